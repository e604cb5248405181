"""20.2 by examples: every rule on both sides of its boundary. What is an auth failure: see `test_auth_errors`."""

from typing import Any

import pytest

from dataflows.decisions import Decision, DecisionKind, ReasonCode
from tests.given import (
    DAY,
    HOUR,
    MICROSECOND,
    SECOND,
    Line,
    Said,
    beat,
    block,
    changed,
    credential,
    decide,
    decisions,
    denied,
    ended,
    failed,
    hold_ended,
    run,
    time,
    timed_out,
)

STREAK, RATIO, MONITOR = "consecutive_failures", "failure_ratio", "integration_monitor"
BEFORE, AFTER = -MICROSECOND, MICROSECOND


def blocks(given: list[Line], duplicates: int = 0, **policy: Any) -> list[Said]:
    """What this detector decides under a policy; the others have tables of their own."""
    said = decide(*given, policies={"auth_failures": policy}, duplicates=duplicates)
    return [one for one in said if one[0] == "block"]


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def all_denied(at: float, executions: str, system: str | None = "crm") -> list[Line]:
    """Auth failures of one moment, in the order of their names."""
    return [denied(at, execution, system) for execution in executions.split()]


def all_ended(at: float, count: int, prefix: str = "ok") -> list[Line]:
    """Successes of a system that has nothing to do with the failing ones."""
    return [ended(at, name, system_key="files") for name in names(prefix, count)]


# ---- streak: three in a row, no matter how long it takes

AB = [denied(1, "a"), denied(2, "b")]
C = denied(3, "c")
ABC = [block(3, STREAK, "crm", "a b c")]


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param(AB, [], id="one short of the threshold"),
        pytest.param([*AB, C], ABC, id="at the threshold"),
        pytest.param([*AB, C, denied(4, "d"), denied(5, "e")], ABC, id="once: then it is disarmed"),
        pytest.param([*AB, ended(2, "s", system_key="crm"), C], [], id="a success of the system resets"),
        pytest.param([*AB, ended(2, "s"), C], [], id="a success without a system resets"),
        pytest.param([*AB, ended(2, "s", system_key=None), C], [], id="null is without"),
        pytest.param([*AB, ended(2, "s", system_key="mail"), C], ABC, id="a success of another system does not"),
        pytest.param([*AB, failed(2, "f"), C], ABC, id="another failure neither adds nor resets"),
        pytest.param([*AB, failed(3, "f")], [], id="nor does it fire"),
        pytest.param([*AB, run(2, "cancelled", "f"), C], ABC, id="cancelled neither"),
        pytest.param(
            [*AB, run(3, "cancelled", "f", system_key="crm", http_status=401)], [], id="cancelled with a 401 neither"
        ),
        pytest.param([*AB, timed_out(2, "f", system_key="crm"), C], ABC, id="timed_out neither"),
        pytest.param(
            [*AB, timed_out(3, "f", system_key="crm", http_status=401)], [], id="timed_out with a 401 neither"
        ),
        pytest.param([*AB, beat(3, "c", system_key="crm", http_status=401)], [], id="what has not ended is none"),
        pytest.param([*AB, ended(3, "c", system_key="crm", http_status=401)], [], id="a success is none"),
        pytest.param([*AB, denied(3, "c", "mail")], [], id="each system has its own streak"),
        pytest.param(
            [*AB, denied(2, "m", "mail"), C], [block(3, STREAK, "crm mail", "a b m c")], id="all failed systems named"
        ),
        pytest.param(
            [denied(1, "a", None), denied(2, "b", "unknown"), denied(3, "c", None)],
            [block(3, STREAK, "unknown", "a b c")],
            id="no system is the system unknown",
        ),
        pytest.param([*AB, denied(3, "c", workflow_id="wf2")], [], id="each workflow has its own"),
        pytest.param([*AB, denied(3, "c", tenant_id="t2")], [], id="each tenant has its own"),
        pytest.param(
            [*AB, denied(3, "c", automation_version_id="v2")], ABC, id="versions of a workflow have one together"
        ),
        pytest.param(
            [denied(0, "a"), denied(DAY, "b"), denied(30 * DAY, "c")],
            [block(30 * DAY, STREAK, "crm", "a b c")],
            id="a streak has no age limit",
        ),
        *(
            pytest.param([*AB, denied(3, "c", error_code=code)], [], id=f"{code}: refused by the gate, reaches nobody")
            for code in ("WorkflowBlacklisted", "AutomationNotRunnable", "WorkflowOnHold")
        ),
        pytest.param([*AB, denied(3, "c", error_code="workflowonhold")], ABC, id="the gate's codes have one spelling"),
    ],
)
def test_a_streak_of_auth_failures_blocks(given: list[Line], then: list[Said]) -> None:
    assert blocks(given) == then


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([*AB, denied(3, "c", run_id="z")], ABC, id="an alias beside the name itself is not read"),
        pytest.param(
            [*AB, {**denied(3, "c"), "execution_id": None, "run_id": "b"}], [], id="an alias names the same execution"
        ),
        pytest.param([*AB, {**C, "status": "Crashed"}], ABC, id="an alias of a status counts like it"),
        pytest.param([*AB, denied(3, "b", event_id="c")], [], id="an execution counts once"),
        pytest.param([*AB, ended(2, "a"), C], ABC, id="by its first terminal event: a later success resets nothing"),
        pytest.param([ended(1, "c"), *AB, C], [], id="and a later failure adds nothing"),
        pytest.param([run(1, "cancelled", "c"), *AB, C], [], id="the first may be cancelled"),
        pytest.param([timed_out(1, "c"), *AB, C], [], id="or timed_out"),
        pytest.param([beat(1, "c"), *AB, C], ABC, id="but it is a terminal one"),
        pytest.param(
            [ended(1, "c", workflow_id="wf2"), *AB, C], ABC, id="an execution of that name elsewhere is another one"
        ),
        pytest.param(
            [ended(9, "c", error_code="WorkflowOnHold"), *AB, C], ABC, id="an event that is ignored uses up nothing"
        ),
    ],
)
def test_a_run_counts_once_by_its_first_terminal_event_to_arrive(given: list[Line], then: list[Said]) -> None:
    assert blocks(given) == then


def test_a_duplicate_counts_for_nothing() -> None:
    assert blocks([*AB, denied(3, "c", event_id="b")], duplicates=1) == []
    assert blocks([*AB, denied(2, "c", event_id="b", workflow_id="wf2"), C]) == ABC


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([*all_denied(2, "a b"), denied(2 + BEFORE, "c")], [], id="a microsecond older: adds nothing"),
        pytest.param(
            [*all_denied(2, "a b"), denied(2, "c")], [block(2, STREAK, "crm", "a b c")], id="equal times are in order"
        ),
        pytest.param([*AB, ended(2 + BEFORE, "s"), C], ABC, id="a success a microsecond older resets nothing"),
        pytest.param([*AB, ended(2, "s"), C], [], id="one of equal time resets"),
        *(
            pytest.param([run(9, status, "n"), *AB, C], [], id=f"a newer {status} makes the rest out of order")
            for status in ("success", "failure", "timed_out")
        ),
        *(
            pytest.param([run(9, status, "n"), *AB, C], ABC, id=f"a newer {status} does not")
            for status in ("queued", "started", "running", "cancelled")
        ),
        pytest.param(
            [run(9, "failure", "n", error_code="WorkflowOnHold"), *AB, C], ABC, id="nor does one that is ignored"
        ),
        pytest.param([ended(9, "n", workflow_id="wf2"), *AB, C], ABC, id="nor one of another workflow"),
        pytest.param([ended(1, "n"), ended(9, "n", event_id="2"), *AB, C], ABC, id="nor a repeated end"),
        pytest.param(
            [denied(2, "a"), denied(3, "b"), denied(1, "m", "mail"), denied(4, "c")],
            [block(4, STREAK, "crm mail", "m a b c")],
            id="it is counted in the window: named, and evidence",
        ),
    ],
)
def test_a_run_older_than_the_newest_only_counts_in_the_window(given: list[Line], then: list[Said]) -> None:
    assert blocks(given) == then


# ---- ratio: more than half of at least four runs in an hour

ONLY_RATIO: dict[str, Any] = {"consecutive_failures": None, "min_runs": 4}


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([*all_ended(0, 2), *all_denied(1, "a b")], [], id="exactly the ratio"),
        pytest.param([*all_ended(0, 2), *all_denied(1, "a b c")], [block(1, RATIO, "crm", "a b c")], id="above it"),
        pytest.param(all_denied(1, "a b c"), [], id="one run short of min_runs"),
        pytest.param(all_denied(1, "a b c d"), [block(1, RATIO, "crm", "a b c d")], id="min_runs reached"),
        pytest.param(
            [failed(0, "f"), *all_denied(1, "a b c")], [block(1, RATIO, "crm", "a b c")], id="a failure is a run"
        ),
        pytest.param(
            [timed_out(0, "f"), *all_denied(1, "a b c")], [block(1, RATIO, "crm", "a b c")], id="timed_out is a run"
        ),
        pytest.param([run(0, "cancelled", "f"), *all_denied(1, "a b c")], [], id="cancelled is none"),
        pytest.param([beat(0, "f"), *all_denied(1, "a b c")], [], id="one that has not ended is none"),
        pytest.param(
            [*all_denied(0, "m", "mail"), *all_ended(0, 1), *all_denied(1, "a b")],
            [],
            id="the ratio is of one system's failures",
        ),
        pytest.param(
            [*all_denied(0, "m n", "mail"), *all_denied(1, "a b c")],
            [block(1, RATIO, "crm mail", "m n a b c")],
            id="among all runs of the workflow",
        ),
        pytest.param([ended(0, "s", workflow_id="wf2"), *all_denied(1, "a b c")], [], id="not of another workflow"),
        pytest.param(
            [*all_denied(0, "a"), *all_denied(1, "b c"), denied(HOUR, "d")], [], id="a run exactly a window old is out"
        ),
        pytest.param(
            [*all_denied(0, "a"), *all_denied(1, "b c"), denied(HOUR + BEFORE, "d")],
            [block(HOUR + BEFORE, RATIO, "crm", "a b c d")],
            id="a microsecond younger is in",
        ),
        pytest.param(
            [*all_ended(0, 2), *all_denied(1, "a b"), denied(HOUR + BEFORE, "c")],
            [block(HOUR + BEFORE, RATIO, "crm", "a b c")],
            id="successes that are still in the window",
        ),
        pytest.param(
            [*all_ended(0, 3), *all_denied(1, "a b c"), denied(HOUR + BEFORE, "d")],
            [block(HOUR + BEFORE, RATIO, "crm", "a b c d")],
            id="four of seven",
        ),
        pytest.param([*all_ended(0, 4), *all_denied(1, "a b c"), denied(HOUR + BEFORE, "d")], [], id="four of eight"),
        pytest.param(
            [*all_ended(0, 4), *all_denied(1, "a b c"), denied(HOUR, "d")],
            [block(HOUR, RATIO, "crm", "a b c d")],
            id="four of four, when the successes have left the window",
        ),
        pytest.param(
            [*all_denied(5, "a b"), denied(4, "o"), denied(6, "c")],
            [block(6, RATIO, "crm", "o a b c")],
            id="an out-of-order failure counts",
        ),
        pytest.param([*all_denied(5, "a b c"), denied(4, "o")], [], id="but is not judged itself"),
        pytest.param(
            [*all_denied(5, "a b"), ended(4, "s"), denied(6, "c")],
            [block(6, RATIO, "crm", "a b c")],
            id="an out-of-order success is a run",
        ),
        pytest.param(
            [*all_denied(HOUR, "a b"), denied(0, "o"), denied(HOUR, "c")],
            [],
            id="an out-of-order run exactly a window before the newest is out",
        ),
        pytest.param(
            [*all_denied(HOUR, "a b"), denied(AFTER, "o"), denied(HOUR, "c")],
            [block(HOUR, RATIO, "crm", "o a b c")],
            id="a microsecond later it is in",
        ),
    ],
)
def test_too_large_a_share_of_auth_failures_blocks(given: list[Line], then: list[Said]) -> None:
    assert blocks(given, **ONLY_RATIO) == then


@pytest.mark.parametrize(
    ("ratio", "auth_failures", "runs", "fires"),
    [
        pytest.param(0.5, 5, 10, False, id="a half is a half"),
        pytest.param(0.3, 3, 10, False, id="three tenths are three tenths"),
        pytest.param(0.3, 4, 13, True, id="a bit more"),
        pytest.param(0.29, 29, 100, False, id="twenty-nine hundredths"),
        pytest.param(0.29, 30, 100, True, id="thirty"),
        pytest.param(1 / 3, 7, 21, False, id="a third"),
        pytest.param(1.0, 30, 30, False, id="no share is above all"),
        pytest.param(1, 30, 30, False, id="one may be written without a point"),
    ],
)
def test_exactly_the_ratio_does_not_fire(ratio: float, auth_failures: int, runs: int, *, fires: bool) -> None:
    given = [*all_ended(0, runs - auth_failures), *all_denied(1, " ".join(names("x", auth_failures)))]
    said = blocks(given, consecutive_failures=None, failure_ratio=ratio, min_runs=runs)
    assert [one[:3] for one in said] == ([("block", "0:01:00", RATIO)] if fires else [])


def test_the_defaults_are_three_in_a_row_or_half_of_ten() -> None:
    mixed = [one for n in range(4) for one in (denied(n, f"a{n}"), ended(n, f"s{n}"))]
    assert blocks([*mixed, denied(4, "a4"), denied(4, "a5")]) == [block(4, RATIO, "crm", "a0 a1 a2 a3 a4 a5")]
    assert blocks([*mixed[:-2], denied(4, "a4"), denied(4, "a5")]) == []
    assert blocks([*mixed, denied(4, "a4"), ended(4, "s4")]) == []


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param(
            [*all_ended(0, 1), *all_denied(1, "a b c")], [block(1, STREAK, "crm", "a b c")], id="both: the streak"
        ),
        pytest.param(
            [*all_denied(0, "a b"), ended(1, "s"), *all_denied(1, "c")],
            [block(1, RATIO, "crm", "a b c")],
            id="the ratio alone: evidence is the window's",
        ),
        pytest.param(
            [denied(0, "old"), denied(HOUR, "m", "mail"), *all_denied(HOUR, "a b")],
            [block(HOUR, STREAK, "crm mail", "old m a b")],
            id="evidence is the streak, however old, and the window",
        ),
        pytest.param(
            [denied(0, "m", "mail"), *all_denied(HOUR, "a b c")],
            [block(HOUR, STREAK, "crm", "a b c")],
            id="a failure of another system exactly a window old is not in it",
        ),
        pytest.param(
            [denied(AFTER, "m", "mail"), *all_denied(HOUR, "a b c")],
            [block(HOUR, STREAK, "crm mail", "m a b c")],
            id="a microsecond younger it is, and its system has failed",
        ),
        pytest.param(
            [*all_denied(1, "m n", "mail"), *all_denied(1, "a b c")],
            [block(1, STREAK, "crm mail", "m n a b c")],
            id="of equal time: in the order of arrival",
        ),
        pytest.param(
            [denied(2, "a"), denied(1, "o"), denied(2, "b"), denied(2, "c")],
            [block(2, STREAK, "crm", "o a b c")],
            id="of different times: in that order",
        ),
        pytest.param(
            [denied(1, "a"), ended(1, "s"), *all_ended(1, 3), *all_denied(2, "b c d")],
            [block(2, STREAK, "crm", "a b c d")],
            id="failures of the window that are not of the streak are evidence too",
        ),
    ],
)
def test_reason_and_evidence(given: list[Line], then: list[Said]) -> None:
    assert blocks(given, min_runs=4) == then


@pytest.mark.parametrize("threshold", [pytest.param(50, id="fifty"), pytest.param(51, id="fifty-one: the newest")])
def test_evidence_is_the_newest_fifty_events(threshold: int) -> None:
    executions = names("x", threshold)
    given = [denied(number * SECOND, execution) for number, execution in enumerate(executions)]
    said = blocks(given, consecutive_failures=threshold, failure_ratio=None)
    assert said == [block((threshold - 1) * SECOND, STREAK, "crm", " ".join(executions[-50:]))]


# ---- disarmed after a decision, and armed again: two in a row, no ratio

PAIRS: dict[str, Any] = {"consecutive_failures": 2, "failure_ratio": None}
QUARTER = 15
FIRST_PAIR = all_denied(0, "a b")
FIRST = block(0, STREAK, "crm", "a b")


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([denied(QUARTER + BEFORE, "c")], [FIRST], id="a microsecond before the cooldown is over"),
        pytest.param(
            [denied(QUARTER, "c")], [FIRST, block(QUARTER, STREAK, "crm", "a b c")], id="exactly the cooldown later"
        ),
        pytest.param(
            [denied(1, "c"), denied(QUARTER, "d")],
            [FIRST, block(QUARTER, STREAK, "crm", "a b c d")],
            id="counting went on meanwhile",
        ),
        pytest.param(
            [denied(QUARTER, "c"), denied(2 * QUARTER + BEFORE, "d"), denied(2 * QUARTER, "e")],
            [FIRST, block(QUARTER, STREAK, "crm", "a b c"), block(2 * QUARTER, STREAK, "crm", "a b c d e")],
            id="the cooldown runs from the newest decision",
        ),
        pytest.param(
            [denied(QUARTER, "m", "mail"), denied(QUARTER, "c")],
            [FIRST, block(QUARTER, STREAK, "crm mail", "a b m c")],
            id="the first failure after the cooldown arms, though it does not fire itself",
        ),
        pytest.param([failed(QUARTER, "f"), denied(QUARTER + BEFORE, "c")], [FIRST], id="another failure does not arm"),
        pytest.param(
            [failed(2 * QUARTER, "f"), denied(QUARTER, "c")], [FIRST], id="nor does an auth failure out of order"
        ),
    ],
)
def test_the_cooldown(given: list[Line], then: list[Said]) -> None:
    assert blocks([*FIRST_PAIR, *given], **PAIRS) == then


def test_without_a_cooldown_every_auth_failure_is_judged() -> None:
    third = block(0, STREAK, "crm", "a b c")
    assert blocks([*FIRST_PAIR, denied(0, "c")], **PAIRS, cooldown="0s") == [FIRST, third]


@pytest.mark.parametrize(
    ("between", "armed"),
    [
        pytest.param([ended(1, "s"), ended(1, "t")], True, id="as many as it takes"),
        pytest.param([ended(1, "s")], False, id="one short of it"),
        pytest.param([ended(1, "s", system_key="mail"), ended(1, "t", system_key="files")], True, id="of any systems"),
        pytest.param([ended(1, "s"), failed(1, "f"), ended(1, "t")], False, id="a failure breaks the row"),
        pytest.param([ended(1, "s"), denied(1, "f", "mail"), ended(1, "t")], False, id="an auth failure too"),
        pytest.param([ended(1, "s"), timed_out(1, "f"), ended(1, "t")], False, id="a time-out too"),
        pytest.param([ended(1, "s"), run(1, "cancelled", "f"), ended(1, "t")], True, id="cancelled does not"),
        pytest.param([ended(1, "s"), beat(1, "f"), ended(1, "t")], True, id="a heartbeat does not"),
        pytest.param([ended(1, "s"), ended(1, "s", event_id="2")], False, id="an execution counts once"),
        pytest.param([ended(1, "s"), ended(1 + BEFORE, "t")], False, id="one out of order does not count"),
        pytest.param(
            [ended(1, "s"), failed(1 + BEFORE, "f"), ended(1, "t")], True, id="a failure out of order breaks nothing"
        ),
        pytest.param([ended(1, "s"), failed(1, "f"), *all_ended(1, 2)], True, id="a new row"),
    ],
)
def test_successes_in_a_row_arm(between: list[Line], *, armed: bool) -> None:
    said = blocks([*FIRST_PAIR, *between, *all_denied(2, "c d")], **PAIRS, rearm_after_successes=2)
    assert [one[:3] for one in said] == [FIRST[:3], ("block", "0:02:00", STREAK)][: 1 + armed]


def test_successes_from_before_the_decision_are_no_part_of_the_row() -> None:
    policy = {**PAIRS, "rearm_after_successes": 2}
    given = [*all_ended(0, 1), *FIRST_PAIR, *all_ended(1, 1, "s"), *all_denied(2, "c")]
    assert blocks(given, **policy) == [FIRST]


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([*all_ended(1, 1), denied(2, "c")], [FIRST], id="2 of 3: above, not armed"),
        pytest.param(
            [*all_ended(1, 2), denied(2, "c")], [FIRST, block(2, STREAK, "crm", "a b c")], id="2 of 4: not above, armed"
        ),
        pytest.param(
            [failed(1, "f"), *all_ended(1, 1), denied(2, "c")],
            [FIRST, block(2, STREAK, "crm", "a b c")],
            id="looked at on each success, whatever made it fall",
        ),
        pytest.param([*all_ended(1, 1), failed(1, "f"), denied(2, "c")], [FIRST], id="on no failure"),
        pytest.param(
            [*all_denied(0, "m n o p q", "mail"), *all_ended(1, 2), denied(2, "c")],
            [FIRST],
            id="5 of 9 of another system: not armed",
        ),
        pytest.param(
            [*all_denied(0, "m n o p q", "mail"), *all_ended(1, 3), denied(2, "c")],
            [FIRST, block(2, STREAK, "crm mail", "a b m n o p q c")],
            id="5 of 10: armed",
        ),
        pytest.param(
            [*all_ended(HOUR + BEFORE, 1), denied(HOUR, "c")],
            [FIRST],
            id="while the failures are in the window: 2 of 3",
        ),
        pytest.param(
            [*all_ended(HOUR, 1), denied(HOUR, "c")],
            [FIRST, block(HOUR, STREAK, "crm", "a b c")],
            id="when they have left it: no ratio, armed",
        ),
    ],
)
def test_successes_arm_only_while_no_ratio_is_above(given: list[Line], then: list[Said]) -> None:
    assert blocks([*FIRST_PAIR, *given], consecutive_failures=2, min_runs=3, cooldown="2h") == then


def test_successes_that_armed_are_no_part_of_the_next_row() -> None:
    policy = {**PAIRS, "rearm_after_successes": 2}
    given = [*FIRST_PAIR, *all_ended(1, 2), credential(1, "invalid"), *all_ended(2, 1, "s"), *all_denied(3, "c")]
    assert blocks(given, **policy) == [FIRST, block(1, MONITOR, "crm", "a b")]


@pytest.mark.parametrize(
    ("min_runs", "then"),
    [
        pytest.param(3, [FIRST], id="2 of 3 runs, three are enough: above, not armed"),
        pytest.param(4, [FIRST, block(2, STREAK, "crm", "a b c")], id="2 of 3 runs, four are needed: no ratio, armed"),
    ],
)
def test_a_ratio_exists_from_min_runs_on_in_arming_too(min_runs: int, then: list[Said]) -> None:
    given = [*FIRST_PAIR, *all_ended(1, 1), denied(2, "c")]
    assert blocks(given, consecutive_failures=2, min_runs=min_runs) == then


# ---- what else changes what the detector does

SECOND_PAIR = all_denied(2, "c d")
AGAIN = block(2, STREAK, "crm", "c d")


@pytest.mark.parametrize(
    ("change", "then"),
    [
        pytest.param(changed(1, "Blocked", "Live"), [FIRST, AGAIN], id="an unblock"),
        pytest.param(changed(1, "Blocked", "Paused"), [FIRST, AGAIN], id="out of Blocked to anywhere"),
        pytest.param(changed(1, "Blocked", "Archived"), [FIRST, AGAIN], id="the archive too"),
        pytest.param(changed(1, "Ready to Launch", "Live"), [FIRST, AGAIN], id="a deploy"),
        pytest.param(changed(1, "Ready to Launch", "Paused"), [FIRST], id="no deploy"),
        pytest.param(changed(1, "Paused", "Live"), [FIRST], id="a resume is none"),
        pytest.param(changed(1, "Live", "Blocked"), [FIRST], id="a block clears nothing"),
        pytest.param(changed(1, "Live", "Archived"), [FIRST], id="an archive clears nothing"),
        pytest.param(changed(1, "Blocked", "Live", workflow_id="wf2"), [FIRST], id="another workflow's"),
        pytest.param(changed(1, "Blocked", "Live", tenant_id="t2"), [FIRST], id="another tenant's"),
        pytest.param(changed(1, "Blocked", "Live", automation_version_id="v1"), [FIRST, AGAIN], id="with a version"),
    ],
)
def test_which_status_changes_clear_and_arm(change: Line, then: list[Said]) -> None:
    assert blocks([*FIRST_PAIR, change, *SECOND_PAIR], **PAIRS) == then


UNBLOCK = changed(5, "Blocked", "Live")


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([denied(1, "a"), UNBLOCK, denied(6, "b")], [], id="clears the streak"),
        pytest.param(
            [*all_denied(5 + BEFORE, "c d"), UNBLOCK],
            [block(5 + BEFORE, STREAK, "crm", "c d")],
            id="what arrived before it is judged before it",
        ),
        pytest.param(
            [UNBLOCK, *all_denied(5 + BEFORE, "c d")], [], id="runs a microsecond before it count for nothing"
        ),
        pytest.param([UNBLOCK, *all_denied(5, "c d")], [block(5, STREAK, "crm", "c d")], id="runs of its time count"),
        pytest.param(
            [ended(9, "n"), UNBLOCK, *all_denied(6, "c d")],
            [block(6, STREAK, "crm", "c d")],
            id="clears the newest time",
        ),
        pytest.param(
            [*all_denied(1, "a b"), UNBLOCK, denied(6, "a", event_id="a2"), denied(6, "c")],
            [block(1, STREAK, "crm", "a b")],
            id="execution ids already counted stay remembered",
        ),
        pytest.param(
            [UNBLOCK, denied(5 + BEFORE, "a", event_id="early"), *all_denied(6, "a b")],
            [block(6, STREAK, "crm", "a b")],
            id="a run that counts for nothing does not use up its execution",
        ),
        pytest.param(
            [UNBLOCK, changed(2, "Blocked", "Live"), *all_denied(3, "c d")],
            [],
            id="an older change takes nothing back from a newer one",
        ),
        pytest.param(
            [denied(6, "a"), changed(5, "Paused", "Live"), denied(7, "b")],
            [block(7, STREAK, "crm", "a b")],
            id="a change that clears nothing leaves the streak",
        ),
    ],
)
def test_an_unblock_begins_afresh(given: list[Line], then: list[Said]) -> None:
    assert blocks(given, **PAIRS) == then


def test_an_unblock_clears_the_window() -> None:
    given = [*all_ended(1, 9), UNBLOCK, *all_denied(6, "a b c d")]
    assert blocks(given, **ONLY_RATIO) == [block(6, RATIO, "crm", "a b c d")]
    assert blocks([*given[:9], *given[10:]], **ONLY_RATIO) == []


def test_an_unblock_clears_the_row_of_successes() -> None:
    policy = {**PAIRS, "rearm_after_successes": 2}
    again = block(6, STREAK, "crm", "c d")
    given = [*FIRST_PAIR, *all_ended(1, 1), UNBLOCK, *all_denied(6, "c d"), ended(7, "s"), *all_denied(8, "e f")]
    assert blocks(given, **policy) == [FIRST, again]


@pytest.mark.parametrize(
    ("repeat", "then"),
    [
        pytest.param({"event_id": "change"}, [block(4, STREAK, "crm", "a b c")], id="with its id it changes nothing"),
        pytest.param({"event_id": "another"}, [], id="another one clears again"),
    ],
)
def test_a_status_change_that_comes_twice(repeat: dict[str, str], then: list[Said]) -> None:
    first = changed(1, "Blocked", "Live", event_id="change")
    again = changed(1, "Blocked", "Live", **repeat)
    assert blocks([first, denied(2, "a"), denied(3, "b"), again, denied(4, "c")]) == then


@pytest.mark.parametrize(
    ("given", "then"),
    [
        *(
            pytest.param([credential(1, status)], [block(1, MONITOR, "crm", "")], id=f"{status} fires")
            for status in ("invalid", "expired", "revoked")
        ),
        *(
            pytest.param([credential(1, status)], [], id=f"{status} does not")
            for status in ("active", "unknown", "Revoked")
        ),
        pytest.param(
            [denied(1, "a"), denied(1, "m", "mail"), credential(2, "expired")],
            [block(2, MONITOR, "crm mail", "a m")],
            id="evidence is the streak and the window",
        ),
        pytest.param([*FIRST_PAIR, credential(1, "invalid")], [FIRST], id="not while it is disarmed"),
        pytest.param([*FIRST_PAIR, credential(DAY, "invalid")], [FIRST], id="it does not end the cooldown"),
        pytest.param(
            [credential(1, "invalid"), *all_denied(2, "a b")], [block(1, MONITOR, "crm", "")], id="it disarms"
        ),
        pytest.param(
            [credential(1, "invalid"), denied(1 + QUARTER + BEFORE, "a"), denied(1 + QUARTER, "b")],
            [block(1, MONITOR, "crm", ""), block(1 + QUARTER, STREAK, "crm", "a b")],
            id="and starts the cooldown",
        ),
        pytest.param(
            [credential(1, "invalid"), ended(1, "s"), credential(2, "invalid", "cred2")],
            [block(1, MONITOR, "crm", ""), block(2, MONITOR, "crm", "")],
            id="armed again, another one fires",
        ),
        pytest.param(
            [credential(1, "invalid"), ended(1, "s"), credential(1, "invalid")],
            [block(1, MONITOR, "crm", "")],
            id="the same one does not",
        ),
        pytest.param(
            [credential(1, "invalid", workflow_id="wf2"), denied(2, "a")],
            [block(1, MONITOR, "crm", "")],
            id="of another workflow: that one's decision",
        ),
    ],
)
def test_a_credential_event_fires_at_once(given: list[Line], then: list[Said]) -> None:
    assert blocks(given, **PAIRS) == then


@pytest.mark.parametrize(
    ("hold", "then"),
    [
        pytest.param(hold_ended(2, 0, 1), [], id="both failures in the interval: none is left"),
        pytest.param(hold_ended(2, 0 + AFTER, 1), [], id="one of them: one is left"),
        pytest.param(hold_ended(2, 0, 1 + BEFORE), [], id="the other one"),
        pytest.param(hold_ended(2, AFTER, 1 + BEFORE), [block(3, STREAK, "crm", "a b c")], id="none of them"),
        pytest.param(hold_ended(2, 0, 1, "mail"), [block(3, STREAK, "crm", "a b c")], id="of another system"),
    ],
)
def test_the_end_of_a_hold_removes_failures_of_its_system(hold: Line, then: list[Said]) -> None:
    assert blocks([denied(0, "a"), denied(1, "b"), hold, denied(3, "c")]) == then


@pytest.mark.parametrize(
    ("hold", "then"),
    [
        pytest.param(hold_ended(2, 0, 1), [], id="both failures in the interval: three runs are left, one too few"),
        pytest.param(
            hold_ended(2, 0, 1 + BEFORE),
            [block(3, RATIO, "crm", "b c d e")],
            id="one of them: four runs, four failures",
        ),
        pytest.param(hold_ended(2, AFTER, 1), [block(3, RATIO, "crm", "a c d e")], id="the other one"),
    ],
)
def test_the_end_of_a_hold_removes_failures_from_the_window(hold: Line, then: list[Said]) -> None:
    given = [denied(0, "a"), denied(1, "b"), hold, *all_denied(3, "c d e")]
    assert blocks(given, **ONLY_RATIO) == then


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([hold_ended(1, 50, 51), denied(2, "c")], [FIRST, block(2, STREAK, "crm", "a b c")], id="arms"),
        pytest.param([hold_ended(1, 0, 1), denied(2, "c")], [FIRST], id="armed, but the streak is gone"),
        pytest.param([hold_ended(1, 0, 1), *SECOND_PAIR], [FIRST, AGAIN], id="a new streak fires within the cooldown"),
        pytest.param(
            [*all_denied(1, "m", "mail"), hold_ended(1, 0, 1), *all_denied(2, "c d")],
            [FIRST, block(2, STREAK, "crm mail", "m c d")],
            id="the failures of other systems stay",
        ),
    ],
)
def test_the_end_of_a_hold_arms(given: list[Line], then: list[Said]) -> None:
    assert blocks([*FIRST_PAIR, *given], **PAIRS) == then


# ---- one of each, whole


def test_everything_that_a_decision_says() -> None:
    given = [ended(0, "s"), denied(1, "m", "mail"), *AB, C]
    assert decisions(given) == [
        Decision(
            # UUIDv5 of "breakwater:block_for_credentials|t1|wf1|auth_failures|c"
            decision_id="bccbe20e-ff3b-5acf-8e1c-1cd181f8b4f8",
            kind=DecisionKind.BLOCK_FOR_CREDENTIALS,
            tenant_id="t1",
            workflow_id="wf1",
            automation_version_id="v1",
            occurred_at=time(3),
            policy_id="auth_failures",
            policy_version=1,
            reason_code=ReasonCode.CONSECUTIVE_FAILURES,
            observed={
                "system_key": "crm",
                "consecutive_failures": 3,
                "auth_failures": 3,
                "runs": 5,
                "failure_ratio": None,
            },
            threshold={"consecutive_failures": 3, "failure_ratio": 0.5, "min_runs": 10, "window_seconds": 3600.0},
            evidence=["m", "a", "b", "c"],
            detail={"failed_systems": ["crm", "mail"]},
        )
    ]


def test_everything_that_a_decision_on_a_credential_event_says() -> None:
    assert decisions([credential(1, "revoked")]) == [
        Decision(
            # UUIDv5 of "breakwater:block_for_credentials|t1|wf1|auth_failures|cred1"
            decision_id="c800fd6e-414b-5bab-94bc-c38e62fb1815",
            kind=DecisionKind.BLOCK_FOR_CREDENTIALS,
            tenant_id="t1",
            workflow_id="wf1",
            automation_version_id=None,
            occurred_at=time(1),
            policy_id="auth_failures",
            policy_version=1,
            reason_code=ReasonCode.INTEGRATION_MONITOR,
            observed={
                "system_key": "crm",
                "consecutive_failures": 0,
                "auth_failures": 0,
                "runs": 0,
                "failure_ratio": None,
            },
            threshold={"consecutive_failures": 3, "failure_ratio": 0.5, "min_runs": 10, "window_seconds": 3600.0},
            evidence=[],
            detail={"failed_systems": ["crm"]},
        )
    ]


def test_the_version_of_a_credential_events_decision_is_that_of_the_newest_run() -> None:
    given = [beat(0, "x"), ended(1, "y", automation_version_id="v2"), credential(1, "revoked")]
    assert [one.automation_version_id for one in decisions(given)] == ["v2"]
