"""Who owns which version: what an event's ids are checked against (10, Identity)."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataflows.dead_letters import DeadLetterCode
from dataflows.registry import (
    Binding,
    Registry,
    StaticRegistry,
    TrustingRegistry,
    UnreadableRegistryError,
    read_registry,
)
from tests.given import Line, control, encode, ended, offset, replay, stuck, tick, timed_out

V1 = Binding(tenant_id="t1", automation_version_id="v1", workflow_id="wf1")
V2 = Binding(tenant_id="t1", automation_version_id="v2", workflow_id="wf2")
UNBOUND = Binding(tenant_id="t1", automation_version_id="v3")
FOREIGN = Binding(tenant_id="t2", automation_version_id="v4", workflow_id="wf4")
REGISTRY = StaticRegistry({one.automation_version_id: one for one in (V1, V2, UNBOUND, FOREIGN)})

MISMATCH, UNKNOWN = DeadLetterCode.TENANT_MISMATCH, DeadLetterCode.UNKNOWN_AUTOMATION_VERSION


def judge(registry: Registry, **ids: Any) -> list[str | DeadLetterCode]:
    """The workflow that a time-out with these ids is held against, or the code of its dead letter."""
    outcome = replay([encode(timed_out(0, **ids))], registry=registry)
    return [one.workflow_id for one in outcome.decisions] + [one.code for one in outcome.dead_letters]


@pytest.mark.parametrize(
    ("ids", "then"),
    [
        pytest.param({}, ["wf1"], id="the version's tenant and workflow"),
        pytest.param({"workflow_id": None}, ["wf1"], id="no workflow: the one bound to the version"),
        pytest.param(
            {"automation_version_id": "v3", "workflow_id": None}, ["v3"], id="none bound either: the version's id"
        ),
        pytest.param({"automation_version_id": "v3", "workflow_id": "v3"}, ["v3"], id="which may be written out"),
        pytest.param({"automation_version_id": "v3"}, [MISMATCH], id="another workflow than that"),
        pytest.param({"workflow_id": "wf2"}, [MISMATCH], id="the workflow of another version"),
        pytest.param({"workflow_id": "WF1"}, [MISMATCH], id="ids have one spelling"),
        pytest.param({"tenant_id": "t2"}, [MISMATCH], id="another tenant than the version's"),
        pytest.param(
            {"automation_version_id": "v4", "workflow_id": "wf4"},
            [MISMATCH],
            id="another tenant's version and workflow",
        ),
        pytest.param({"automation_version_id": "v9"}, [UNKNOWN], id="an unknown version"),
        pytest.param({"automation_version_id": "V1"}, [UNKNOWN], id="a version in another spelling"),
        pytest.param(
            {"automation_version_id": "v9", "tenant_id": "t9"}, [UNKNOWN], id="of an unknown version nothing is known"
        ),
        pytest.param(
            {"tenant_id": "t2", "payload": {"tenant_id": "t1"}}, [MISMATCH], id="what the payload says is not read"
        ),
        pytest.param(
            {"tenant_id": "t2", "http_status": 1}, [DeadLetterCode.INVALID_FIELD], id="an invalid field comes first"
        ),
    ],
)
def test_an_event_is_what_the_registry_says(ids: dict[str, Any], then: list[str | DeadLetterCode]) -> None:
    assert judge(REGISTRY, **ids) == then


@pytest.mark.parametrize(
    ("ids", "then"),
    [
        pytest.param({"tenant_id": "t9"}, ["wf1"], id="any tenant"),
        pytest.param({"automation_version_id": "v9", "workflow_id": "wf9"}, ["wf9"], id="any version and workflow"),
        pytest.param({"automation_version_id": "v9", "workflow_id": None}, ["v9"], id="no workflow: the version's id"),
    ],
)
def test_without_a_registry_the_envelope_is_trusted(ids: dict[str, Any], then: list[str]) -> None:
    assert judge(TrustingRegistry(), **ids) == then


class Behind(StaticRegistry):
    """A registry whose memory is older than what it reads when asked again."""

    def recheck(self, automation_version_id: str) -> Binding | None:
        """As it is now: v1 was bound anew, v2 removed."""
        return Binding("t1", "v1", "wf9") if automation_version_id == "v1" else None


@pytest.mark.parametrize(
    ("ids", "then"),
    [
        pytest.param({"workflow_id": "wf9"}, ["wf9"], id="the new workflow"),
        pytest.param({"workflow_id": "wf1"}, ["wf1"], id="the old one agrees with memory"),
        pytest.param({"workflow_id": "wf8"}, [MISMATCH], id="neither"),
        pytest.param({"tenant_id": "t2"}, [MISMATCH], id="another tenant, still"),
        pytest.param({"automation_version_id": "v2", "workflow_id": "wf1"}, [UNKNOWN], id="a version that is gone"),
    ],
)
def test_an_event_that_contradicts_the_registry_has_it_look_again(
    ids: dict[str, Any], then: list[str | DeadLetterCode]
) -> None:
    assert judge(Behind({"v1": V1, "v2": V2}), **ids) == then


@pytest.mark.parametrize("around", [[], [b"x\n"]], ids=["as a batch", "one by one"])
def test_a_foreign_event_moves_nothing(around: list[bytes]) -> None:
    lines: list[Line] = [
        timed_out(0, "a"),
        ended(10_000, "b", tenant_id="t2"),
        ended(10_000, "c", automation_version_id="v9"),
        timed_out(1, "d"),
    ]
    outcome = replay([b"".join([*around, *map(encode, lines)])], registry=REGISTRY)
    assert [(offset(one.occurred_at), one.detail["execution_id"]) for one in outcome.decisions] == [
        (stuck(0)[1], "a"),
        (stuck(1)[1], "d"),
    ]
    assert outcome.summary["events"] == 2
    assert outcome.summary["late"] == 0
    assert [one.code for one in outcome.dead_letters[len(around) :]] == [MISMATCH, UNKNOWN]


def test_the_explanation_has_no_values() -> None:
    lines = [ended(0, "a", tenant_id="t2"), ended(0, "b", workflow_id="wf2"), ended(0, "c", automation_version_id="v9")]
    assert [one.explanation for one in replay(list(map(encode, lines)), registry=REGISTRY).dead_letters] == [
        "the automation version belongs to another tenant",
        "the workflow is not the one bound to the automation version",
        "the registry has no such automation version",
    ]


def test_control_events_are_the_platform_s_own() -> None:
    lines = [control(0, "workflow_released", tenant_id="t9"), {**tick(1), "workflow_id": "wf1"}]
    assert replay([b"".join(map(encode, lines))], registry=REGISTRY).dead_letters == []


# ---- the file


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "registry.json"
    path.write_bytes(content)
    return path


def test_a_file_of_bindings(tmp_path: Path) -> None:
    rows = [
        {
            "tenant_id": "t1",
            "automation_version_id": "v1",
            "workflow_id": "wf1",
            "project_id": "p1",
            "status": "Live",
            "a_field_of_the_future": 1,
        },
        {"tenant_id": "t1", "automation_version_id": "v2", "workflow_id": None},
    ]
    registry = read_registry(write(tmp_path, json.dumps(rows).encode()))
    assert registry.binding("v1") == Binding("t1", "v1", "wf1", "p1", "Live")
    assert registry.binding("v2") == Binding("t1", "v2")
    assert registry.binding("v3") is None


def test_an_empty_file_of_bindings_knows_nobody(tmp_path: Path) -> None:
    assert judge(read_registry(write(tmp_path, b"[]"))) == [UNKNOWN]


@pytest.mark.parametrize(
    ("content", "then"),
    [
        pytest.param(b"", "no JSON text", id="an empty file"),
        pytest.param(b"[{", "no JSON text", id="cut off"),
        pytest.param(b'["\xff"]', "no JSON text", id="no UTF-8"),
        pytest.param(b"{}", "must be a JSON array of objects", id="an object"),
        pytest.param(b"[1]", "row 0: Expected `object`, got `int`", id="a row that is no object"),
        pytest.param(
            b'[{"tenant_id": "t1", "automation_version_id": "v1"}, {"tenant_id": "t1"}]',
            "row 1: Object missing required field `automation_version_id`",
            id="a row without a version",
        ),
        pytest.param(
            b'[{"tenant_id": 1, "automation_version_id": "v1"}]',
            "row 0: Expected `str`, got `int` - at `$.tenant_id`",
            id="a tenant that is a number",
        ),
    ],
)
def test_what_is_no_registry(tmp_path: Path, content: bytes, then: str) -> None:
    with pytest.raises(UnreadableRegistryError) as fault:
        read_registry(write(tmp_path, content))
    assert str(fault.value).startswith(then)
