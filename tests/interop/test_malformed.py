"""Whatever comes, a mapping gives a run event, nothing, or the reason why not; and says none of its values."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dataflows.dead_letters import Unusable
from dataflows.interop import cloudevents, credit_webhook, openlineage
from dataflows.interop.acceptance import accept, within_claim
from dataflows.interop.references import Reference
from tests.given import started, time
from tests.interop.test_credit_webhook import RECORD
from tests.interop.test_openlineage import lineage

SECRET = "sk-live-4f9a"
LATER = datetime(2100, 1, 1, tzinfo=UTC)

ENVELOPE = {
    "id": "1",
    "source": "s",
    "type": "t",
    "specversion": "1.0",
    "time": time(0).isoformat(),
    "data": started(0),
}
BINARY = {
    "ce_id": b"1",
    "ce_source": b"s",
    "ce_type": b"t",
    "ce_specversion": b"1.0",
    "ce_time": b"2026-03-02T08:00:00Z",
}


def reference(_: str) -> Reference:
    return Reference("t1", "v1", "wf1")


def map_anything(raw: bytes) -> None:
    """Try all mappings on the same bytes."""
    for read in (
        lambda: cloudevents.unwrap(raw, [("content-type", b"application/cloudevents+json")]),
        lambda: cloudevents.unwrap(raw, list(BINARY.items())),
        lambda: cloudevents.from_http({"content-type": "application/cloudevents+json"}, raw),
        lambda: openlineage.to_run_event(raw, reference),
        lambda: credit_webhook.to_run_event(raw, "t1", LATER, reference),
        lambda: raw,
    ):
        try:
            found = read()
            if found is not None:
                accept(within_claim(found, ["t1"]), latest=LATER, workflow_of=lambda *_: "wf1")
        except Unusable as refused:
            assert SECRET not in refused.explanation  # noqa: PT017  (there may be none)


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(
        [SECRET, "", "\x00", "\ud800", "ä" * 200, [], {}, [SECRET], {SECRET: SECRET}, 10**400, "9999-12-31"]
    ),
)


@given(st.binary(max_size=200))
@example(b'{"id":"\\ud800","source":"s","type":"t","specversion":"1.0","data":{}}')
@example(b'{"a":' * 5000)
@example(b"[" * 100_000)
@example(b'{"id":"1","source":"s","type":"t","specversion":"1.0","x":' + b"9" * 5000 + b',"data":{}}')
def test_any_bytes(raw: bytes) -> None:
    map_anything(raw)


@pytest.mark.parametrize(
    "good", [ENVELOPE, lineage(), RECORD, started(0)], ids=["cloudevent", "lineage", "record", "run"]
)
@given(data=st.data())
def test_good_ones_with_something_odd_in_one_field(good: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([*good, SECRET]))
    map_anything(json.dumps({**good, name: data.draw(odd)}).encode())


@given(st.dictionaries(st.sampled_from([*BINARY, "ce_" + SECRET, "ce_", "content-type"]), st.binary(max_size=20)))
def test_any_headers(headers: dict[str, bytes]) -> None:
    try:
        cloudevents.unwrap(json.dumps(started(0)).encode(), list({**BINARY, **headers}.items()))
    except Unusable as refused:
        assert SECRET not in refused.explanation  # noqa: PT017  (there may be none)
