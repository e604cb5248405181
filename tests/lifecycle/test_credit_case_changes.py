"""What people do with credit cases, and who may do it (50.4)."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.admission.admissions import Answer, Request, answer
from lifecycle.credits.case_changes import (
    CaseChange,
    acknowledge_case,
    change_case,
    release_holds_of_case,
    reopen_case,
)
from lifecycle.credits.case_reads import CaseFilter, list_cases, read_case
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.kinds import CaseStatus, RootCause, Trigger
from lifecycle.options import LifecycleOptions
from tests.lifecycle.cases_given import MEMBER, OPS, OPS_ADMIN, WITH_SLACK, apply, case, holds, incident
from tests.lifecycle.given import content, given_world, row, rows

RESOLVED = CaseChange(status=CaseStatus.RESOLVED, root_cause=RootCause.MISCONFIG, recurrence_notes="A limit on items.")
OPEN, INVESTIGATING, MITIGATING = CaseStatus.OPEN, CaseStatus.INVESTIGATING, CaseStatus.MITIGATING


def given_case(engine: sa.Engine, severity: str = "SEV1") -> str:
    """A case of that severity; its id."""
    given_world(engine)
    apply(engine, incident(severity))
    return str(case(engine)["case_id"])


def change(
    engine: sa.Engine, case_id: str, wanted: CaseChange, actor: ActorContext = OPS_ADMIN, version: int | None = None
) -> bool:
    """One change in a transaction of its own."""
    with engine.begin() as connection:
        return change_case(connection, case_id=case_id, change=wanted, version=version, actor_context=actor)


def acknowledge(engine: sa.Engine, case_id: str, actor: ActorContext = OPS) -> bool:
    """One acknowledgment."""
    with engine.begin() as connection:
        return acknowledge_case(connection, case_id=case_id, actor_context=actor)


def release(engine: sa.Engine, case_id: str, actor: ActorContext = OPS_ADMIN) -> int:
    """One release."""
    with engine.begin() as connection:
        return release_holds_of_case(connection, case_id=case_id, actor_context=actor)


def reopen(engine: sa.Engine, case_id: str, actor: ActorContext = OPS_ADMIN) -> str:
    """Reopen it; the new id."""
    with engine.begin() as connection:
        return reopen_case(connection, case_id=case_id, actor_context=actor, options=LifecycleOptions())


def operations(engine: sa.Engine) -> list[str]:
    """What audit rows say was done with cases by people."""
    found = rows(engine, tables.audit_logs, resource_type="credit_case", actor="u9")
    return [one["metadata"]["operation"] for one in sorted(found, key=lambda one: one["id"])]


def test_an_acknowledged_case_lets_its_workflow_run_again(engine: sa.Engine) -> None:
    case_id = given_case(engine)
    assert holds(engine) == [("wf1", "require_ack", None)]
    assert acknowledge(engine, case_id)
    assert holds(engine) == []
    assert case(engine)["acknowledged_by"] == "u9"
    assert not acknowledge(engine, case_id)
    assert operations(engine) == ["acknowledge"]


def test_a_run_that_joins_an_acknowledged_case_asks_for_no_other_acknowledgment(engine: sa.Engine) -> None:
    case_id = given_case(engine)
    acknowledge(engine, case_id)
    apply(engine, incident("SEV1", "RUN-2"))
    assert holds(engine) == []


def test_a_case_that_becomes_graver_wants_to_be_acknowledged_again(engine: sa.Engine) -> None:
    case_id = given_case(engine)
    acknowledge(engine, case_id)
    apply(engine, incident("SEV0", "RUN-2"))
    raised = case(engine)
    assert raised["acknowledged_at"] is None
    assert (raised["acknowledge_by"] - raised["raised_at"]).total_seconds() == 15 * 60
    assert holds(engine) == [("wf1", "block_dispatch", "RUN-2"), ("wf1", "quarantine", None)]


def test_an_acknowledgment_does_not_end_a_quarantine(engine: sa.Engine) -> None:
    case_id = given_case(engine, "SEV0")
    acknowledge(engine, case_id)
    assert [kind for _, kind, _ in holds(engine)] == ["block_dispatch", "quarantine"]


def verdict(engine: sa.Engine, key: str, parent: str | None = None) -> str | None:
    """Why the gate refuses a run of the workflow; None when it admits it."""
    request = Request("wf1", Trigger.MANUAL, key, tenants=None, parent_execution_id=parent)
    with engine.begin() as connection:
        (said,) = answer(connection, [request])
    assert isinstance(said, Answer)
    return said.code


def test_the_gate_refuses_a_workflow_until_its_case_is_acknowledged(engine: sa.Engine) -> None:
    given_world(engine)
    assert verdict(engine, "before") is None
    apply(engine, incident("SEV1"))
    case_id = case(engine)["case_id"]
    assert verdict(engine, "meanwhile") == "workflow_on_hold"
    acknowledge(engine, case_id)
    assert verdict(engine, "after") is None


def test_the_gate_refuses_a_workflow_in_quarantine_until_an_admin_resolves_its_case(engine: sa.Engine) -> None:
    case_id = given_case(engine, "SEV0")
    acknowledge(engine, case_id)
    assert verdict(engine, "meanwhile") == "workflow_on_hold"
    change(engine, case_id, RESOLVED)
    assert verdict(engine, "after") is None
    assert verdict(engine, "asked for by the run", "RUN-1") is None


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        pytest.param([INVESTIGATING, MITIGATING], None, id="one step after the other"),
        pytest.param([INVESTIGATING, INVESTIGATING], None, id="the same again changes nothing"),
        pytest.param([MITIGATING], ErrorCode.INVALID_STATUS_TRANSITION, id="no step is left out"),
        pytest.param([INVESTIGATING, OPEN], ErrorCode.INVALID_STATUS_TRANSITION, id="nothing leads back"),
    ],
)
def test_a_case_moves_as_the_table_says(engine: sa.Engine, steps: list[CaseStatus], code: ErrorCode | None) -> None:
    case_id = given_case(engine)
    *before, last = steps
    for status in before:
        change(engine, case_id, CaseChange(status=status), OPS)
    if code is None:
        change(engine, case_id, CaseChange(status=last), OPS)
        assert case(engine)["status"] == last
        return
    with pytest.raises(LifecycleError) as refusal:
        change(engine, case_id, CaseChange(status=last), OPS)
    assert refusal.value.code is code


def test_who_moves_a_case_has_acknowledged_it(engine: sa.Engine) -> None:
    case_id = given_case(engine)
    change(engine, case_id, CaseChange(status=INVESTIGATING), OPS)
    assert case(engine)["acknowledged_by"] == "u9"
    assert holds(engine) == []
    assert operations(engine) == ["acknowledge", "change"]


def test_a_case_is_resolved_from_any_status_with_its_task_and_holds(engine: sa.Engine) -> None:
    case_id = given_case(engine, "SEV0")
    assert change(engine, case_id, RESOLVED)
    found = case(engine)
    assert (found["status"], found["root_cause"], found["resolved_by"]) == ("Resolved", "Misconfig", "u9")
    assert holds(engine) == []
    assert not row(engine, tables.credit_case_runs)["artifacts_quarantined"]
    assert row(engine, tables.tasks, kind="credit_case")["status"] == "complete"
    assert operations(engine) == ["acknowledge", "resolve", "release_holds"]
    assert not change(engine, case_id, RESOLVED)


@pytest.mark.parametrize(
    ("severity", "wanted", "actor", "code", "fields"),
    [
        pytest.param("SEV0", RESOLVED, OPS, ErrorCode.FORBIDDEN, [], id="a SEV0 is resolved by an admin"),
        pytest.param("SEV1", RESOLVED, OPS, ErrorCode.FORBIDDEN, [], id="a SEV1 too"),
        pytest.param("SEV2", RESOLVED, MEMBER, ErrorCode.FORBIDDEN, [], id="a member changes nothing"),
        pytest.param(
            "SEV1",
            CaseChange(status=CaseStatus.RESOLVED),
            OPS_ADMIN,
            ErrorCode.STATUS_PREREQUISITE_MISSING,
            ["root_cause", "recurrence_notes"],
            id="all that is missing is named",
        ),
        pytest.param(
            "SEV2",
            CaseChange(status=CaseStatus.RESOLVED),
            OPS_ADMIN,
            ErrorCode.STATUS_PREREQUISITE_MISSING,
            ["root_cause"],
            id="a SEV2 needs a root cause alone",
        ),
    ],
)
def test_what_a_resolution_needs(
    engine: sa.Engine, severity: str, wanted: CaseChange, actor: ActorContext, code: ErrorCode, fields: list[str]
) -> None:
    case_id = given_case(engine, severity)
    before = content(engine)
    with pytest.raises(LifecycleError) as refusal:
        change(engine, case_id, wanted, actor)
    assert refusal.value.code is code
    assert [detail.field for detail in refusal.value.details] == fields
    assert content(engine) == before


def test_what_was_said_before_counts_when_a_case_is_resolved(engine: sa.Engine) -> None:
    case_id = given_case(engine)
    change(engine, case_id, CaseChange(root_cause=RootCause.LEGIT_LOAD, recurrence_notes="Expected each quarter."), OPS)
    assert change(engine, case_id, CaseChange(status=CaseStatus.RESOLVED))
    assert case(engine)["root_cause"] == "Legit Load"


def test_a_sev2_is_resolved_by_operations(engine: sa.Engine) -> None:
    case_id = given_case(engine, "SEV2")
    assert change(engine, case_id, CaseChange(status=CaseStatus.RESOLVED, root_cause=RootCause.UNKNOWN), OPS)


def test_a_change_names_the_version_that_it_was_made_on(engine: sa.Engine) -> None:
    case_id = given_case(engine)
    change(engine, case_id, CaseChange(fix="A limit."), version=1)
    with pytest.raises(LifecycleError) as refusal:
        change(engine, case_id, CaseChange(fix="Another limit."), version=1)
    assert refusal.value.code is ErrorCode.CONCURRENCY_CONFLICT


def test_holds_are_released_by_admins_of_operations_alone(engine: sa.Engine) -> None:
    case_id = given_case(engine, "SEV0")
    with pytest.raises(LifecycleError) as refusal:
        release(engine, case_id, OPS)
    assert refusal.value.code is ErrorCode.FORBIDDEN
    assert release(engine, case_id) == 2
    assert release(engine, case_id) == 0
    assert holds(engine) == []
    assert case(engine)["status"] == "Open"


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda engine: acknowledge(engine, "CASE-20260302-XXXXXX"), id="acknowledge"),
        pytest.param(lambda engine: change(engine, "CASE-20260302-XXXXXX", RESOLVED), id="resolve"),
        pytest.param(lambda engine: release(engine, "CASE-20260302-XXXXXX"), id="release"),
        pytest.param(lambda engine: reopen(engine, "CASE-20260302-XXXXXX"), id="reopen"),
    ],
)
def test_a_case_that_nobody_has_is_not_found(engine: sa.Engine, act: Callable[[sa.Engine], Any]) -> None:
    given_world(engine)
    with pytest.raises(LifecycleError) as refusal:
        act(engine)
    assert refusal.value.code is ErrorCode.NOT_FOUND


def test_an_incident_after_the_resolution_opens_another_case(engine: sa.Engine) -> None:
    case_id = given_case(engine)
    change(engine, case_id, RESOLVED)
    assert apply(engine, incident("SEV2", "RUN-2")) == ["case_opened"]
    assert case(engine, status="Open")["severity"] == "SEV2"


def test_to_reopen_a_case_is_to_open_another_one_with_a_link(engine: sa.Engine) -> None:
    case_id = given_case(engine)
    change(engine, case_id, RESOLVED)
    new_id = reopen(engine, case_id)
    old, new = case(engine, case_id=case_id), case(engine, case_id=new_id)
    assert (old["status"], new["status"], new["reopened_from"]) == ("Resolved", "Open", old["id"])
    assert new["acknowledged_by"] == "u9"
    assert apply(engine, incident("SEV1", "RUN-2")) == ["case_joined"]
    with engine.connect() as connection:
        assert read_case(connection, new_id).reopened_from == case_id
        assert read_case(connection, case_id).reopened_as == new_id
    with pytest.raises(LifecycleError) as refusal:
        reopen(engine, case_id)
    assert refusal.value.code is ErrorCode.CONCURRENCY_CONFLICT


def test_a_case_that_is_open_is_not_reopened(engine: sa.Engine) -> None:
    case_id = given_case(engine)
    with pytest.raises(LifecycleError) as refusal:
        reopen(engine, case_id)
    assert refusal.value.code is ErrorCode.INVALID_STATUS_TRANSITION


@pytest.fixture
def pooled(database_url: str) -> Iterator[sa.Engine]:
    """Connections for many writers."""
    pooled = sa.create_engine(database_url, pool_size=16)
    yield pooled
    pooled.dispose()


def test_incidents_that_race_a_resolution_are_in_the_old_case_or_in_one_new_one(pooled: sa.Engine) -> None:
    case_id = given_case(pooled)

    def act(number: int) -> None:
        if number == 0:
            change(pooled, case_id, RESOLVED)
        else:
            apply(pooled, incident("SEV1", f"RUN {number}"))

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(act, range(16)))
    assert len(rows(pooled, tables.credit_case_runs)) == 16
    cases = rows(pooled, tables.credit_cases)
    assert len([one for one in cases if one["status"] != "Resolved"]) <= 1
    assert len(cases) <= 2


@pytest.mark.parametrize(
    ("status", "result"),
    [
        pytest.param("pending", "planned", id="not delivered yet"),
        pytest.param("delivered", "done", id="delivered"),
        pytest.param("failed", "failed", id="not delivered"),
    ],
)
def test_the_result_of_a_message_is_that_of_its_delivery(engine: sa.Engine, status: str, result: str) -> None:
    given_world(engine)
    apply(engine, incident("SEV1"), options=WITH_SLACK)
    with engine.begin() as connection:
        notifications = tables.notifications
        connection.execute(sa.update(notifications).where(notifications.c.channel == "slack").values(status=status))
    with engine.connect() as connection:
        found = read_case(connection, case(engine)["case_id"])
    assert {one.action: one.result for one in found.actions}["slack_alert"] == result


def test_lists_are_read_page_by_page(engine: sa.Engine) -> None:
    given_world(engine)
    said = [incident("SEV1" if number % 2 else "SEV2", f"R{number}", scenario=f"S{number}") for number in range(5)]
    for one in said:  # each in a transaction of its own, so at a time of its own
        apply(engine, one)
    found, after = [], None
    with engine.connect() as connection:
        while True:
            page, after = list_cases(connection, CaseFilter(), after=after, limit=2)
            found += [one.scenario for one in page]
            if after is None:
                break
        grave, _ = list_cases(connection, CaseFilter(severity=case(engine, scenario="S1")["severity"]))
    assert found == ["S4", "S3", "S2", "S1", "S0"]
    assert [one.scenario for one in grave] == ["S3", "S1"]
