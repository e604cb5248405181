"""A case that enters `Wave-1 Sent`: one task for all time, and a receipt of every attempt (50.7)."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import tables
from lifecycle.actors import WORKER
from lifecycle.credits.case_changes import CaseChange, change_case
from lifecycle.credits.evidence_hygiene import (
    ALLOWED,
    MAX_ATTEMPTS,
    attempt_evidence_hygiene,
    enters_wave_1,
    plain,
    repeat_failed_attempts,
    task_key,
)
from lifecycle.kinds import CaseStatus, ReceiptOutcome, RootCause, TaskStatus
from tests.lifecycle.cases_given import OPS, OPS_ADMIN, apply, case, incident
from tests.lifecycle.given import given_world, row, rows

WAVE_1 = "Wave-1 Sent"
#: What a select shows the same: with the selector for an emoji, and for text.
AS_EMOJI, AS_TEXT = "\N{WHITE HEAVY CHECK MARK}\N{VARIATION SELECTOR-16} ALLOWED", "✅\N{VARIATION SELECTOR-15} ALLOWED"


def given_case(engine: sa.Engine) -> str:
    """A case; its id."""
    given_world(engine)
    apply(engine, incident())
    return str(case(engine)["case_id"])


def change(engine: sa.Engine, case_id: str, **wanted: str) -> None:
    """One change by somebody of operations."""
    with engine.begin() as connection:
        change_case(connection, case_id=case_id, change=CaseChange(**wanted), actor_context=OPS)  # type: ignore[arg-type]


def attempt(engine: sa.Engine, case_id: str) -> ReceiptOutcome:
    """One attempt in a transaction of its own, without the case's lock."""
    with engine.begin() as connection:
        found = connection.execute(sa.select(tables.credit_cases).where(tables.credit_cases.c.case_id == case_id)).one()
        return attempt_evidence_hygiene(connection, found, actor_context=OPS)


def receipts(engine: sa.Engine) -> list[tuple[str, str | None]]:
    """Outcome and reason of each attempt, in order."""
    with engine.connect() as connection:
        found = tables.run_receipts.c
        return [
            (one.outcome, one.reason)
            for one in connection.execute(sa.select(found.outcome, found.reason).order_by(found.id))
        ]


def hygiene_tasks(engine: sa.Engine) -> list[dict[str, object]]:
    """The tasks of that kind."""
    return [dict(one) for one in rows(engine, tables.tasks) if one["kind"] == "evidence_hygiene"]


def test_a_case_that_enters_the_stage_and_is_allowed_has_its_task(engine: sa.Engine) -> None:
    """With the words of the contract, and a receipt that names it."""
    case_id = given_case(engine)
    change(engine, case_id, stage=WAVE_1, wt_gate_for_automation=ALLOWED)
    (task,) = hygiene_tasks(engine)
    assert {name: task[name] for name in ("title", "mode", "priority", "status", "idempotency_key", "tenant_id")} == {
        "title": "Evidence Hygiene (Wave-1)",
        "mode": "Draft-Only",
        "priority": "critical",
        "status": "pending",
        "idempotency_key": f"{case_id}:evidence_hygiene:v1",
        "tenant_id": "t1",
    }
    receipt = row(engine, tables.run_receipts)
    assert (receipt["outcome"], receipt["task_id"], receipt["gate"]) == ("created", task["id"], ALLOWED)
    audited = [one for one in rows(engine, tables.audit_logs) if one["resource_id"] == task["id"]]
    assert [one["action_type"] for one in audited] == ["create_task"]


@pytest.mark.parametrize(
    ("gate", "verdict", "outcome", "reason"),
    [
        pytest.param(ALLOWED, None, "created", None, id="the contract's words are allowed"),
        pytest.param(AS_EMOJI, None, "created", None, id="a selector that makes it an emoji changes nothing"),
        pytest.param(AS_TEXT, None, "created", None, id="a selector that makes it text changes nothing"),
        pytest.param(f"  {ALLOWED}\t", None, "created", None, id="spaces around it change nothing"),
        pytest.param(ALLOWED, "Needs counsel", "created", None, id="a verdict does not take back what the gate allows"),
        pytest.param("⛔ BLOCKED", "Needs counsel", "blocked", "Needs counsel", id="blocked for its verdict"),
        pytest.param("⛔ BLOCKED", None, "blocked", "⛔ BLOCKED", id="blocked without a verdict: for the gate's value"),
        pytest.param("⛔ BLOCKED", "  ", "blocked", "⛔ BLOCKED", id="a verdict of spaces is none"),
        pytest.param("⛔ NO", " \u26a0\ufe0f Hold", "blocked", "\u26a0\ufe0f Hold", id="a reason is quoted as it is"),
        pytest.param(None, "Needs counsel", "blocked", "Needs counsel", id="no gate blocks"),
        pytest.param(None, None, "blocked", None, id="nothing at all blocks, and says nothing"),
        pytest.param("ALLOWED", None, "blocked", "ALLOWED", id="without its mark it does not allow"),
        pytest.param("✅ Allowed", None, "blocked", "✅ Allowed", id="in other letters it does not allow"),
        pytest.param("✅  ALLOWED", None, "blocked", "✅  ALLOWED", id="two spaces inside are another value"),
    ],
)
def test_the_gate_decides(
    engine: sa.Engine, gate: str | None, verdict: str | None, outcome: str, reason: str | None
) -> None:
    """Blocked with its reason, else created."""
    case_id = given_case(engine)
    words = {"wt_gate_for_automation": gate, "wt_gate_verdict": verdict}
    change(engine, case_id, stage=WAVE_1, **{name: value for name, value in words.items() if value is not None})
    assert receipts(engine) == [(outcome, reason)]
    assert len(hygiene_tasks(engine)) == (outcome == "created")


def test_another_stage_asks_for_nothing(engine: sa.Engine) -> None:
    """No task and no receipt, and none for edits of a case that is in the stage already."""
    case_id = given_case(engine)
    change(engine, case_id, stage="Wave-1 Drafted", wt_gate_for_automation=ALLOWED)
    assert receipts(engine) == []
    change(engine, case_id, stage=WAVE_1)
    change(engine, case_id, fix="A limit on items.")
    change(engine, case_id, stage=f" {WAVE_1}")
    assert receipts(engine) == [("created", None)]


@pytest.mark.parametrize("status", TaskStatus)
def test_a_task_in_any_state_is_not_made_again(engine: sa.Engine, status: TaskStatus) -> None:
    """A case that leaves the stage and enters it again finds the task, done or not."""
    case_id = given_case(engine)
    change(engine, case_id, stage=WAVE_1, wt_gate_for_automation=ALLOWED)
    with engine.begin() as connection:
        connection.execute(
            sa.update(tables.tasks)
            .where(tables.tasks.c.idempotency_key == task_key(case_id))
            .values(
                status=status,
                assignee_user_id="u9",
                completed_at=sa.func.now() if status is TaskStatus.COMPLETE else None,
            )
        )
    change(engine, case_id, stage="Wave-2")
    change(engine, case_id, stage=WAVE_1)
    assert receipts(engine) == [("created", None), ("duplicate", None)]
    (task,) = hygiene_tasks(engine)
    assert {one["task_id"] for one in rows(engine, tables.run_receipts)} == {task["id"]}


def test_a_gate_that_opens_later_lets_the_next_entry_through(engine: sa.Engine) -> None:
    """Receipts say both."""
    case_id = given_case(engine)
    change(engine, case_id, stage=WAVE_1, wt_gate_for_automation="⛔ BLOCKED")
    change(engine, case_id, stage="Wave-1 Drafted")
    change(engine, case_id, stage=WAVE_1, wt_gate_for_automation=ALLOWED)
    assert receipts(engine) == [("blocked", "⛔ BLOCKED"), ("created", None)]


def test_of_twenty_attempts_at_once_one_creates(engine: sa.Engine) -> None:
    """Each has its receipt."""
    case_id = given_case(engine)
    change(engine, case_id, wt_gate_for_automation=ALLOWED)
    with ThreadPoolExecutor(20) as pool:
        outcomes = sorted(pool.map(lambda _: attempt(engine, case_id), range(20)))
    assert outcomes == [ReceiptOutcome.CREATED] + 19 * [ReceiptOutcome.DUPLICATE]
    assert sorted(outcome for outcome, _ in receipts(engine)) == outcomes
    assert len(hygiene_tasks(engine)) == 1


def refuse_tasks(engine: sa.Engine) -> None:
    """From now on no task of this kind can be written."""
    with engine.begin() as connection:
        connection.execute(
            sa.text("ALTER TABLE tasks ADD CONSTRAINT out_of_order CHECK (kind <> 'evidence_hygiene') NOT VALID")
        )


def test_a_failure_leaves_its_receipt_and_is_tried_again(engine: sa.Engine) -> None:
    """The change of the case stands, and the sweep makes the task once it can."""
    case_id = given_case(engine)
    refuse_tasks(engine)
    change(engine, case_id, stage=WAVE_1, wt_gate_for_automation=ALLOWED)
    assert case(engine)["stage"] == WAVE_1
    assert receipts(engine) == [("error", "CheckViolation")]
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE tasks DROP CONSTRAINT out_of_order"))
    for outcomes in ([ReceiptOutcome.CREATED], []):
        with engine.begin() as connection:
            assert repeat_failed_attempts(connection, actor_context=WORKER) == outcomes
    assert len(hygiene_tasks(engine)) == 1


def test_a_failure_that_lasts_is_given_up(engine: sa.Engine) -> None:
    """After so many receipts that say so."""
    case_id = given_case(engine)
    refuse_tasks(engine)
    change(engine, case_id, stage=WAVE_1, wt_gate_for_automation=ALLOWED)
    for _ in range(MAX_ATTEMPTS + 2):
        with engine.begin() as connection:
            repeat_failed_attempts(connection, actor_context=WORKER)
    assert receipts(engine) == MAX_ATTEMPTS * [("error", "CheckViolation")]


def test_a_case_that_left_the_stage_is_not_tried_again(engine: sa.Engine) -> None:
    """Nor one that was resolved."""
    case_id = given_case(engine)
    refuse_tasks(engine)
    change(engine, case_id, stage=WAVE_1, wt_gate_for_automation=ALLOWED)
    change(engine, case_id, stage="Closed")
    with engine.begin() as connection:
        assert repeat_failed_attempts(connection, actor_context=WORKER) == []
    change(engine, case_id, stage=WAVE_1)
    with engine.begin() as connection:
        resolved = CaseChange(
            status=CaseStatus.RESOLVED, root_cause=RootCause.MISCONFIG, recurrence_notes="A limit on items."
        )
        change_case(connection, case_id=case_id, change=resolved, actor_context=OPS_ADMIN)
    with engine.begin() as connection:
        assert repeat_failed_attempts(connection, actor_context=WORKER) == []


@pytest.mark.parametrize("statement", ["UPDATE run_receipts SET outcome = 'blocked'", "DELETE FROM run_receipts"])
def test_receipts_are_kept_as_they_are(engine: sa.Engine, statement: str) -> None:
    """Nobody rewrites them."""
    change(engine, given_case(engine), stage=WAVE_1)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(sa.text(statement))


@given(st.text(), st.text(alphabet=" \t\n\N{VARIATION SELECTOR-16}\N{VARIATION SELECTOR-1}"))
def test_selectors_and_spaces_around_a_value_are_not_seen(value: str, around: str) -> None:
    """Whatever is in the middle; and what is plain stays so."""
    assert plain(around + value + around) == plain(value) == plain(plain(value))


@pytest.mark.parametrize(
    ("before", "after", "enters"),
    [
        pytest.param(None, WAVE_1, True, id="from nothing"),
        pytest.param("Drafted", f"{WAVE_1} ", True, id="from another one"),
        pytest.param(WAVE_1, WAVE_1, False, id="it stays"),
        pytest.param(f" {WAVE_1}", WAVE_1, False, id="it is written otherwise"),
        pytest.param(WAVE_1, "Drafted", False, id="it ends"),
        pytest.param(None, None, False, id="there is none"),
    ],
)
def test_a_stage_begins_once(before: str | None, after: str | None, enters: bool) -> None:
    """Only the change to it counts."""
    assert enters_wave_1(before, after) == enters
