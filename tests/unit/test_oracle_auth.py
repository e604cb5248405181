"""The reference by hand: every rule of 20.2 on both sides of its boundary."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.reference.given import (
    MINUTE,
    Fields,
    changed,
    credential,
    denied,
    event,
    failed,
    hold_ended,
    is_401,
    said,
    success,
)
from tests.reference.malformed import encode
from tests.reference.oracle import decide

STREAK = "consecutive_failures"
RATIO = "failure_ratio"
THREE = [denied(1, "a"), denied(2, "b"), denied(3, "c")]
BLOCK = ("block", 3, STREAK, "crm", "a b c")


def auth(**values: Any) -> Fields:
    return {"defaults": {"auth_failures": values}}


ONLY_RATIO = auth(consecutive_failures=None, min_runs=4)
PAIRS = auth(consecutive_failures=2, failure_ratio=None)


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param(THREE[:2], [], id="streak of two: nothing"),
        pytest.param(THREE, [BLOCK], id="streak of three: block"),
        pytest.param([*THREE, denied(4, "d")], [BLOCK], id="blocked once, then disarmed"),
        pytest.param([*THREE[:2], success(2, "s", "crm"), denied(3, "c")], [], id="success resets"),
        pytest.param([*THREE[:2], success(2, "s"), denied(3, "c")], [], id="success without system resets"),
        pytest.param([*THREE[:2], success(2, "s", "mail"), denied(3, "c")], [BLOCK], id="success of another: no reset"),
        pytest.param([*THREE[:2], failed(2, "f"), denied(3, "c")], [BLOCK], id="other failure: no reset"),
        pytest.param([*THREE[:2], event(2, "cancelled", "f"), denied(3, "c")], [BLOCK], id="cancelled: no reset"),
        pytest.param([*THREE[:2], denied(3, "c", "mail")], [], id="streaks are per system"),
        pytest.param(
            [denied(1, "m", "mail"), *THREE],
            [("block", 3, STREAK, "crm,mail", "m a b c")],
            id="all systems named",
        ),
        pytest.param(
            [denied(1, "a", None), denied(2, "b", "unknown"), denied(3, "c", None)],
            [("block", 3, STREAK, "unknown", "a b c")],
            id="no system is unknown",
        ),
        pytest.param([*THREE[:2], denied(3, "b", event_id="c")], [], id="an execution counts once"),
        pytest.param(
            [*THREE[:2], event(2, "cancelled", "x"), denied(3, "x")], [], id="cancelled uses up the execution"
        ),
        pytest.param([*THREE[:2], denied(3, "b", execution_id="c")], [], id="an event id counts once"),
        pytest.param([*THREE[:2], event(2, "running", "c"), denied(3, "c")], [BLOCK], id="running uses up nothing"),
        pytest.param([*THREE[:2], denied(3, "c", error_code="WorkflowOnHold")], [], id="the gate's events are none"),
        pytest.param([*THREE[:2], denied(3, "c", workflow_id="wf2")], [], id="streaks are per workflow"),
        pytest.param([*THREE[:2], denied(3, "c", tenant_id="t_b")], [], id="streaks are per tenant"),
        pytest.param(
            [denied(0, "a"), denied(1, "b"), denied(9000, "c")],
            [("block", 9000, STREAK, "crm", "a b c")],
            id="a streak has no age limit, its evidence neither",
        ),
        pytest.param([denied(2, "a"), denied(1, "b"), denied(2, "c")], [], id="older than the newest adds nothing"),
        pytest.param(
            [denied(2, "a"), denied(2, "b"), denied(2, "c")],
            [("block", 2, STREAK, "crm", "a b c")],
            id="equal times are in order",
        ),
        pytest.param([success(4, "s", "mail"), *THREE], [], id="any newer run makes it out of order"),
        pytest.param(
            [event(9, "cancelled", "s"), event(9, "running", "r"), *THREE],
            [BLOCK],
            id="cancelled and running set no newest",
        ),
        pytest.param([*THREE[:2], success(1, "s"), denied(3, "c")], [BLOCK], id="an old success resets nothing"),
        pytest.param(
            [denied(2, "a"), denied(3, "b"), denied(1, "o", "mail"), denied(4, "c")],
            [("block", 4, STREAK, "crm,mail", "o a b c")],
            id="an old failure is in window and evidence",
        ),
    ],
)
def test_streak(given: list[Fields], then: list[tuple[Any, ...]]) -> None:
    assert said(given) == then


def quarter(window_start: float) -> list[Fields]:
    """Two failures and a success, all after `window_start` but the first, which is on it."""
    return [denied(window_start, "a"), success(window_start + 1, "s", "mail"), denied(window_start + 2, "b")]


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([success(0, "s"), success(1, "t"), denied(2, "a"), denied(3, "b")], [], id="exactly the ratio"),
        pytest.param(
            [success(0, "s"), denied(1, "a"), denied(2, "b"), denied(3, "c")],
            [("block", 3, RATIO, "crm", "a b c")],
            id="above the ratio",
        ),
        pytest.param([success(0, "s"), denied(1, "a"), denied(2, "b")], [], id="one run short of min_runs"),
        pytest.param(
            [event(0, "timed_out", "s"), denied(1, "a"), denied(2, "b"), denied(3, "c")],
            [("block", 3, RATIO, "crm", "a b c"), ("stuck", 0, "s", "platform_timeout")],
            id="timed_out is a run",
        ),
        pytest.param(
            [event(0, "cancelled", "s"), denied(1, "a"), denied(2, "b"), denied(3, "c")],
            [],
            id="cancelled is none",
        ),
        pytest.param([*quarter(0), denied(3600, "c")], [], id="exactly window old is outside"),
        pytest.param(
            [*quarter(0), denied(3599, "c")],
            [("block", 3599, RATIO, "crm", "a b c")],
            id="a second younger is inside",
        ),
        pytest.param(
            [success(0, "s"), denied(1, "a", "mail"), denied(2, "b"), denied(3, "c")],
            [],
            id="ratio per system",
        ),
        pytest.param(
            [denied(5, "a"), success(6, "s", "mail"), denied(5, "o"), denied(7, "c")],
            [("block", 7, RATIO, "crm", "a o c")],
            id="out of order counts in the window; evidence by time, then arrival",
        ),
        pytest.param(
            [denied(5, "a"), success(6, "s", "mail"), denied(6, "b"), denied(5, "o")],
            [],
            id="out of order is not judged",
        ),
    ],
)
def test_ratio(given: list[Fields], then: list[tuple[Any, ...]]) -> None:
    assert said(given, policies=ONLY_RATIO) == then


def pair(at: float, names: str, system: str = "crm") -> list[Fields]:
    return [denied(at, names[0], system), denied(at, names[1], system)]


def block(at: float, evidence: str, reason: str = STREAK, systems: str = "crm") -> tuple[Any, ...]:
    return ("block", at, reason, systems, evidence)


FIRST = block(0, "a b")


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([*pair(0, "ab"), denied(899, "c")], [FIRST], id="a second before the cooldown"),
        pytest.param([*pair(0, "ab"), denied(900, "c")], [FIRST, block(900, "a b c")], id="at the cooldown"),
        pytest.param(
            [*pair(0, "ab"), success(1, "s"), *pair(2, "cd")],
            [FIRST, block(2, "a b c d")],
            id="a success arms",
        ),
        pytest.param(
            [*pair(0, "ab"), success(1, "s", "mail"), denied(2, "c")],
            [FIRST, block(2, "a b c")],
            id="a success of another system arms and resets nothing",
        ),
        pytest.param([*pair(9, "ab"), success(8, "s"), *pair(9, "cd")], [block(9, "a b")], id="an old one does not"),
        pytest.param(
            [success(950, "s"), denied(900, "o"), *pair(950, "ab"), denied(949, "p"), denied(960, "c")],
            [block(950, "o a b")],
            id="an old failure neither adds nor ends the cooldown",
        ),
        pytest.param(
            [*pair(0, "ab"), denied(900, "m", "mail"), denied(901, "c")],
            [FIRST, block(901, "a b m c", systems="crm,mail")],
            id="armed by the cooldown it stays armed",
        ),
        pytest.param([*pair(0, "ab"), changed(1, "Blocked", "Live"), denied(2, "c")], [FIRST], id="an unblock clears"),
        pytest.param(
            [*pair(0, "ab"), changed(1, "Blocked", "Live"), *pair(2, "cd")],
            [FIRST, block(2, "c d")],
            id="and arms",
        ),
        pytest.param(
            [*pair(0, "ab"), changed(1, "Ready to Launch", "Live"), *pair(2, "cd")],
            [FIRST, block(2, "c d")],
            id="a deploy too",
        ),
        pytest.param([*pair(0, "ab"), changed(1, "Paused", "Live"), *pair(2, "cd")], [FIRST], id="a resume not"),
        pytest.param(
            [*pair(0, "ab"), changed(5, "Blocked", "Live"), *pair(4, "cd")],
            [FIRST],
            id="before the unblock: nothing",
        ),
        pytest.param(
            [*pair(0, "ab"), changed(5, "Blocked", "Live"), *pair(5, "cd")],
            [FIRST, block(5, "c d")],
            id="at the unblock: counted",
        ),
        pytest.param(
            [*pair(0, "ab"), changed(1, "Blocked", "Live"), denied(2, "b", event_id="n"), denied(2, "c")],
            [FIRST],
            id="counted executions stay counted",
        ),
        pytest.param(
            [changed(5, "Blocked", "Live"), denied(4, "a"), denied(6, "a", event_id="n"), denied(6, "b")],
            [block(6, "n b")],
            id="one that counts for nothing uses up no execution",
        ),
        pytest.param(
            [success(9, "s"), changed(5, "Blocked", "Live"), *pair(6, "cd")],
            [block(6, "c d")],
            id="the newest time is cleared",
        ),
        pytest.param([credential(0, "valid")], [], id="a valid credential"),
        pytest.param([credential(0, "revoked")], [block(0, "", "integration_monitor")], id="a revoked credential"),
        pytest.param(
            [denied(0, "a", "mail"), credential(1, "expired")],
            [block(1, "a", "integration_monitor", "crm,mail")],
            id="an expired one, with the window's evidence",
        ),
        pytest.param([*pair(0, "ab"), credential(1, "invalid")], [FIRST], id="disarmed: nothing"),
        pytest.param([*pair(0, "ab"), credential(900, "invalid")], [FIRST], id="it does not end the cooldown"),
        pytest.param([*pair(0, "ab"), hold_ended(2, 0, 1), denied(3, "c")], [FIRST], id="a hold removes the failures"),
        pytest.param(
            [*pair(1, "ab"), hold_ended(2, 0, 0.5), denied(3, "c")],
            [block(1, "a b"), block(3, "a b c")],
            id="outside the interval it only arms",
        ),
        pytest.param(
            [*pair(0, "ab"), hold_ended(2, 0, 1, "mail"), denied(3, "c")],
            [FIRST, block(3, "a b c")],
            id="a hold of another system only arms",
        ),
    ],
)
def test_arming(given: list[Fields], then: list[tuple[Any, ...]]) -> None:
    assert said(given, policies=PAIRS) == then


@pytest.mark.parametrize(
    ("between", "fires"),
    [
        pytest.param([success(1, "s"), success(1, "t")], True, id="two in a row"),
        pytest.param([success(1, "s")], False, id="one of two"),
        pytest.param([success(1, "s"), failed(1, "f"), success(1, "t")], False, id="a failure breaks the row"),
        pytest.param([success(1, "s"), event(1, "timed_out", "f"), success(1, "t")], False, id="so does a time-out"),
        pytest.param([success(1, "s"), event(1, "cancelled", "f"), success(1, "t")], True, id="cancelled does not"),
    ],
)
def test_successes_in_a_row(between: list[Fields], fires: bool) -> None:
    policies = auth(consecutive_failures=2, failure_ratio=None, rearm_after_successes=2)
    decided = said([*pair(0, "ab"), *between, *pair(2, "cd")], policies=policies)
    assert [one for one in decided if one[:2] == ("block", 2)] == ([block(2, "a b c d")] if fires else [])


@pytest.mark.parametrize(
    ("successes", "fires"),
    [
        pytest.param(1, False, id="ratio still above: not armed"),
        pytest.param(2, True, id="ratio exactly the limit: armed"),
    ],
)
def test_arming_needs_the_ratio(successes: int, fires: bool) -> None:
    calm = [success(1, f"s{number}", "mail") for number in range(successes)]
    policies = auth(consecutive_failures=2, min_runs=3)
    decided = said([*pair(0, "ab"), *calm, denied(2, "c")], policies=policies)
    assert decided == ([FIRST, block(2, "a b c")] if fires else [FIRST])


def test_overrides_are_value_by_value_and_the_workflow_wins() -> None:
    policies = {
        "defaults": {"auth_failures": {"failure_ratio": None}},
        "tenants": {"t_a": {"auth_failures": {"consecutive_failures": 4, "cooldown": "1m"}}},
        "workflows": {"t_a/wf1": {"auth_failures": {"consecutive_failures": 2}}},
    }
    given = [*pair(0, "ab"), denied(MINUTE - 1, "c"), denied(MINUTE, "d")]
    assert said(given, policies=policies) == [FIRST, block(60, "a b c d")]


def test_evidence_is_the_newest_fifty() -> None:
    given = [denied(number, f"x{number}") for number in range(60)]
    decided = said(given, policies=auth(consecutive_failures=60, failure_ratio=None))
    assert decided == [block(59, " ".join(f"x{number}" for number in range(10, 60)))]


def test_the_id_is_of_kind_subject_policy_and_cause() -> None:
    result = decide([encode(fields) for fields in THREE], is_auth_failure=is_401)
    name = "breakwater:block_for_credentials|t_a|wf1|auth_failures|c"
    assert [one["decision_id"] for one in result.decisions] == [str(uuid.uuid5(uuid.NAMESPACE_URL, name))]
