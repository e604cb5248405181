"""20.4 by examples: every rule on both sides of its boundary."""

from typing import Any

import pytest

from dataflows.decisions import Decision, DecisionKind, ReasonCode
from dataflows.detectors.circuit_breaker import CircuitBreaker, CircuitBreakerState
from dataflows.detectors.policies import CircuitBreakerPolicy
from tests.given import (
    DAY,
    HOUR,
    MICROSECOND,
    SECOND,
    Line,
    Said,
    beat,
    blacklist,
    configured,
    decide,
    decisions,
    encode,
    ended,
    recovered,
    released,
    replay,
    run,
    short,
    started,
    stuck,
    tick,
    time,
    timed_out,
)

# The tables use three in an hour; the default of five is shown once.
THREE = {"circuit_breaker": {"threshold": 3}}
T = 30


def reported(*moments: float) -> list[Line]:
    """Time-outs of executions a, b, c, ... at these moments: stuck then and there."""
    return [timed_out(at, "abcdefghij"[number]) for number, at in enumerate(moments)]


def blacklists(given: list[Line], policies: dict[str, Any]) -> list[Said]:
    """What the breaker decides; the stuck detector has tables of its own."""
    return [said for said in decide(*given, policies=policies) if said[0] == "blacklist"]


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param(reported(0, 1), [], id="one short of the threshold"),
        pytest.param(reported(0, 1, 2), [blacklist(2, "a b c")], id="the threshold is reached"),
        pytest.param(reported(0, 1, 2, 3), [blacklist(2, "a b c")], id="said once while it is on the list"),
        pytest.param(reported(*range(10)), [blacklist(2, "a b c")], id="however often the threshold is reached again"),
        pytest.param(reported(0, 1, HOUR), [], id="exactly a window old: out"),
        pytest.param(
            reported(0, 1, HOUR - MICROSECOND),
            [blacklist(HOUR - MICROSECOND, "a b c")],
            id="a microsecond younger: in",
        ),
        pytest.param(
            reported(0, 1, HOUR, HOUR + SECOND),
            [blacklist(HOUR + SECOND, "b c d")],
            id="what has left the window is not named",
        ),
        pytest.param(reported(0, 0, 0), [blacklist(0, "a b c")], id="equal times"),
        pytest.param(
            [timed_out(0, "c"), timed_out(1, "b"), timed_out(2, "a")], [blacklist(2, "a b c")], id="ids are sorted"
        ),
        pytest.param(
            [*reported(0, 1), timed_out(2, "b"), timed_out(3, "a")],
            [],
            id="an execution counts once",
        ),
        pytest.param(
            [*reported(0, 1), timed_out(2, "c", workflow_id="wf2")], [], id="executions of another workflow don't count"
        ),
        pytest.param(
            [*reported(0, 1), timed_out(2, "c", tenant_id="t2")], [], id="nor those of another tenant's of that name"
        ),
        pytest.param(
            [*reported(0, 1), timed_out(2, "c", automation_version_id="v2")],
            [blacklist(2, "a b c")],
            id="those of another version of the workflow do",
        ),
    ],
)
def test_a_workflow_that_keeps_getting_stuck_is_blacklisted(given: list[Line], then: list[Said]) -> None:
    assert blacklists(given, THREE) == then


@pytest.mark.parametrize(
    ("policy", "then"),
    [
        pytest.param({}, {}, id="off, as it is unless a policy says so: the decision is silent about probes"),
        pytest.param(
            {"half_open_after": "30m"},
            {"half_open_after_seconds": 1800, "probe_lease_seconds": 3600},
            id="on: a probe has twice the run's time-out",
        ),
        pytest.param(
            {"half_open_after": "30m", "probe_lease": "45m"},
            {"half_open_after_seconds": 1800, "probe_lease_seconds": 2700},
            id="with a lease of its own",
        ),
    ],
)
def test_a_decision_says_how_it_may_end_by_itself(policy: dict[str, Any], then: dict[str, float]) -> None:
    said = decisions(reported(0, 1, 2), policies={"circuit_breaker": {"threshold": 3, **policy}})
    (decision,) = [one for one in said if one.kind is DecisionKind.BLACKLIST_WORKFLOW]
    assert decision.threshold == {"threshold": 3, "window_seconds": 3600, **then}


def test_it_is_said_right_after_the_execution_that_did_it() -> None:
    given = [started(0, "a"), started(0, "b"), started(0, "c"), started(0, "d"), tick(T)]
    assert decide(*given, policies=THREE) == [
        stuck(T, "a"),
        stuck(T, "b"),
        stuck(T, "c"),
        blacklist(T, "a b c"),
        stuck(T, "d"),
    ]


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param(reported(0, 1, 2, 3), [], id="four"),
        pytest.param(reported(0, 1, 2, 3, 4), [blacklist(4, "a b c d e")], id="five"),
        pytest.param(reported(0, 1, 2, 3, HOUR), [], id="five, the first exactly an hour old"),
    ],
)
def test_the_default_is_five_in_an_hour(given: list[Line], then: list[Said]) -> None:
    assert blacklists(given, {}) == then


@pytest.mark.parametrize(
    ("policy", "then"),
    [
        pytest.param({"threshold": 1}, [blacklist(0, "a")], id="one is enough"),
        pytest.param({"threshold": 4, "window": "31m"}, [blacklist(30, "a b c d")], id="window just long enough"),
        pytest.param({"threshold": 4, "window": "30m"}, [], id="window a minute shorter"),
        pytest.param({"threshold": 5, "window": "31m"}, [], id="threshold one higher"),
    ],
)
def test_threshold_and_window_are_configured(policy: dict[str, Any], then: list[Said]) -> None:
    assert blacklists(reported(0, 10, 20, 30), {"circuit_breaker": policy}) == then


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param(
            [started(0, "r"), *reported(T, T + 1), ended(T + 1, "r"), timed_out(T + 2, "d")],
            [blacklist(T + 1, "a b r")],
            id="one counts while it is stuck",
        ),
        pytest.param([started(0, "r"), ended(T, "r"), *reported(T, T + 1)], [], id="one that has recovered does not"),
        pytest.param(
            [started(0, "r"), beat(T, "r"), *reported(T, T + 1, T + 2)],
            [blacklist(T + 2, "a b c")],
            id="nor is it named",
        ),
        pytest.param(
            # r, stuck at 70, has recovered; a, b and c come too late and are judged on arrival.
            [started(HOUR + 10 - T, "r"), ended(HOUR + 10, "r"), tick(3 * HOUR), *reported(10, 11, 12)],
            [],
            id="it goes on setting the end of the window: exactly a window before it is out",
        ),
        pytest.param(
            [
                started(HOUR + 10 - T, "r"),
                ended(HOUR + 10, "r"),
                tick(3 * HOUR),
                *reported(10 + MICROSECOND, 11, 12),
            ],
            [blacklist(12, "a b c")],
            id="a microsecond later is in",
        ),
        pytest.param(
            [started(0, "r"), timed_out(T + 1, "r"), *reported(T + 2, T + 3)],
            [blacklist(T + 3, "a b r")],
            id="one that the platform closes has not recovered",
        ),
    ],
)
def test_a_recovered_execution_is_taken_out_of_the_count(given: list[Line], then: list[Said]) -> None:
    assert blacklists(given, THREE) == then


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param(
            [tick(3 * HOUR), *reported(HOUR - MICROSECOND, 1, 0)],
            [blacklist(0, "a b c")],
            id="a late one counts in the window that ends with the newest",
        ),
        pytest.param([tick(3 * HOUR), *reported(HOUR, 1, 0)], [], id="exactly a window before the newest is out"),
        pytest.param(
            [timed_out(2, "c"), timed_out(1, "b"), timed_out(1.5, "a")],
            [blacklist(2, "a b c")],
            id="disorder within the allowed lateness is judged in order",
        ),
    ],
)
def test_the_window_ends_with_the_newest_stuck_execution(given: list[Line], then: list[Said]) -> None:
    assert blacklists(given, THREE) == then


def three(at: float, names: str = "u v w") -> list[Line]:
    """Three time-outs at one moment."""
    return [timed_out(at, name) for name in names.split()]


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([*reported(0, 1), released(1.5), timed_out(2, "c")], [], id="a release clears the count"),
        pytest.param(
            [*reported(0, 1, 2), released(5), *three(5 + MICROSECOND)],
            [blacklist(2, "a b c"), blacklist(5 + MICROSECOND, "u v w")],
            id="a released workflow can be blacklisted again",
        ),
        pytest.param([*reported(0, 1, 2), *three(4)], [blacklist(2, "a b c")], id="one that is not released can't"),
        pytest.param(
            [released(5), *three(5)], [], id="stuck at the time of the release, and read after it: counts for nothing"
        ),
        pytest.param(
            [*three(5, "u v"), released(5), timed_out(5, "w")],
            [],
            id="stuck at the time of the release, and read before it: cleared",
        ),
        pytest.param(
            [*three(5), released(5), *three(6, "x y z")],
            [blacklist(5, "u v w"), blacklist(6, "x y z")],
            id="blacklisted at the time of the release: released",
        ),
        pytest.param(
            [released(5), *three(5 + MICROSECOND)],
            [blacklist(5 + MICROSECOND, "u v w")],
            id="stuck a microsecond after the release: counts",
        ),
        pytest.param(
            [released(5), tick(HOUR), *three(4)], [], id="stuck before the release, and reported long after it: nothing"
        ),
        pytest.param(
            [*reported(4.5, 4.6), released(5), timed_out(4.7, "c")],
            [blacklist(4.7, "a b c")],
            id="a release takes its place in event time, not in that of arrival",
        ),
        pytest.param(
            [*reported(0, 1), tick(9), released(4), timed_out(9, "c"), timed_out(9, "d")],
            [],
            id="a release that comes late clears on arrival",
        ),
        pytest.param(
            [*reported(0, 1), released(1.5, workflow_id="wf2"), timed_out(2, "c")],
            [blacklist(2, "a b c")],
            id="the release of another workflow clears nothing here",
        ),
        pytest.param(
            [*reported(0, 1), released(1.5, tenant_id="t2"), timed_out(2, "c")],
            [blacklist(2, "a b c")],
            id="nor that of another tenant's workflow of that name",
        ),
        pytest.param(
            [started(0, "a"), started(0, "b"), released(T), timed_out(T, "c"), tick(DAY)],
            [],
            id="deadlines come before a release of their time, and are cleared by it",
        ),
        pytest.param(
            [timed_out(2 * HOUR, "z"), tick(3 * HOUR), released(0), *reported(1, 2, 3)],
            [blacklist(3, "a b c")],
            id="the newest stuck execution is forgotten too: the window ends anew",
        ),
        pytest.param(
            [released(8), tick(HOUR), released(2), *three(5)],
            [],
            id="an older release does not take back a newer one",
        ),
    ],
)
def test_a_release_begins_afresh(given: list[Line], then: list[Said]) -> None:
    assert blacklists(given, THREE) == then


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param(
            [configured(0, 1001, threshold=2), *reported(1, 2)],
            [blacklist(2, "a b")],
            id="fewer are enough from then on",
        ),
        pytest.param(
            [configured(2, 1001, threshold=2), *reported(0, 1, 2)],
            [blacklist(2, "a b c")],
            id="what got stuck before counts, and is judged by what held then",
        ),
        pytest.param(
            [configured(2 + MICROSECOND, 1001, threshold=2), *reported(0, 2), timed_out(2 + 2 * MICROSECOND, "c")],
            [blacklist(2 + 2 * MICROSECOND, "a b c")],
            id="nothing is judged again when it changes",
        ),
        pytest.param(
            [*reported(0, 1), configured(0, 1001, threshold=2)],
            [blacklist(1, "a b")],
            id="it holds from its event time, whenever it came before the watermark",
        ),
        pytest.param(
            [configured(0, 1001, threshold=2), configured(2, 1002, threshold=4), *reported(1, 3, 4, 5)],
            [blacklist(5, "a b c d")],
            id="the newest of them holds",
        ),
        pytest.param(
            [configured(0, 1001, threshold=2), configured(0, 1002), *reported(1, 2, 3)],
            [blacklist(3, "a b c")],
            id="back to the policy",
        ),
        pytest.param(
            [configured(0, 1001, threshold=2), configured(0, 1001, threshold=9), *reported(1, 2)],
            [blacklist(2, "a b")],
            id="a repeat of a version changes nothing",
        ),
        pytest.param(
            [*reported(0, 2 * HOUR), configured(3 * HOUR, 1001, window_minutes=600), timed_out(4 * HOUR, "c")],
            [blacklist(4 * HOUR, "a b c")],
            id="a longer window finds what a shorter one had left behind",
        ),
        pytest.param(
            [configured(0, 1001, window_minutes=10_080), *reported(0, 2 * DAY, 7 * DAY - MICROSECOND)],
            [blacklist(7 * DAY - MICROSECOND, "a b c")],
            id="the longest window is a week",
        ),
        pytest.param(
            [configured(0, 1001, window_minutes=10_080), *reported(0, 2 * DAY, 7 * DAY)], [], id="and not more"
        ),
        pytest.param(
            [configured(0, 1001, window_minutes=1), *reported(0, 1, 1.5)], [], id="a shorter window counts fewer"
        ),
    ],
)
def test_the_default_thresholds_change_from_an_event_time_on(given: list[Line], then: list[Said]) -> None:
    assert blacklists(given, THREE) == then


def test_a_decision_names_the_version_that_it_was_made_by() -> None:
    given = [configured(0, 1001, threshold=2, window_minutes=30), *reported(1, 2)]
    (decision,) = (one for one in decisions(given) if one.kind is DecisionKind.BLACKLIST_WORKFLOW)
    assert decision.policy_version == 1001
    assert decision.threshold == {"threshold": 2, "window_seconds": 1800.0}


@pytest.mark.parametrize("layer", ["tenants", "workflows"])
def test_what_a_tenant_or_workflow_has_of_its_own_does_not_change(layer: str) -> None:
    name = "t1" if layer == "tenants" else "t1/wf1"
    document = {layer: {name: {"circuit_breaker": {"threshold": 3}}}}
    lines = [configured(0, 1001, threshold=1, window_minutes=1), *reported(1, 1.5, 1.75, 9, 20)]
    given = b"".join(map(encode, lines))
    said = [short(one) for one in replay([given], policies=document).decisions]
    assert [one for one in said if one[0] == "blacklist"] == [blacklist(1.75, "a b c")]


def test_everything_that_a_decision_says() -> None:
    given = [started(0, "r"), *reported(T + 2, T + 1), ended(T + 5, "r"), timed_out(T + 6, "c")]
    assert decide(*given, policies=THREE) == [
        stuck(T, "r"),
        stuck(T + 1, "b", "platform_timeout"),
        stuck(T + 2, "a", "platform_timeout"),
        blacklist(T + 2, "a b r"),
        recovered(T + 5, "r"),
        stuck(T + 6, "c", "platform_timeout"),
    ]
    assert decisions(given, policies=THREE)[3] == Decision(
        # UUIDv5 of "breakwater:blacklist_workflow|t1|wf1|circuit_breaker|a"
        decision_id="811555e1-3ef9-5231-93ba-f46378a30ba3",
        kind=DecisionKind.BLACKLIST_WORKFLOW,
        tenant_id="t1",
        workflow_id="wf1",
        automation_version_id="v1",
        occurred_at=time(T + 2),
        policy_id="circuit_breaker",
        policy_version=1,
        reason_code=ReasonCode.STUCK_THRESHOLD,
        observed={"stuck_count": 3, "newest_stuck_at": time(T + 2)},
        threshold={"threshold": 3, "window_seconds": 3600.0},
        evidence=["r:started:0", "b:timed_out:31", "a:timed_out:32"],
        detail={"stuck_count": 3, "execution_ids": ["a", "b", "r"], "reason": "auto:stuck:3"},
    )


#: Half of the executions that ended or got stuck in the hour must have got stuck.
HALF = {"circuit_breaker": {"threshold": 3, "min_stuck_ratio": 0.5}}


def well(*moments: float) -> list[Line]:
    """Executions y0, y1, ... end well at these moments."""
    return [ended(at, f"y{number}") for number, at in enumerate(moments)]


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param(reported(0, 1, 2), [blacklist(2, "a b c")], id="nothing but stuck executions"),
        pytest.param([*well(0, 0, 1), *reported(1, 2, 3)], [blacklist(3, "a b c")], id="exactly the ratio"),
        pytest.param([*well(0, 0, 1, 1), *reported(1, 2, 3)], [], id="one more that ended: less than it"),
        pytest.param(
            [*well(0, 0, 1, 1), *reported(1, 2, 3, 4)],
            [blacklist(4, "a b c d")],
            id="looked at again with each execution that gets stuck",
        ),
        pytest.param(
            [*well(4.99, 4.99, 4.99, 4.99), *reported(HOUR + 5, HOUR + 5.5, HOUR + 5.75)],
            [blacklist(HOUR + 5.75, "a b c")],
            id="the minute before the window's begin does not count",
        ),
        pytest.param(
            [*well(5, 5.5, 5.5, 5.99), *reported(HOUR + 5, HOUR + 5.5, HOUR + 5.75)],
            [],
            id="the minute in which the window begins counts whole",
        ),
        pytest.param(
            [*well(0, 0, 1), run(1, "failure", "f", http_status=500), *reported(1, 2, 3)],
            [],
            id="a failure is an end like another",
        ),
        pytest.param(
            [*well(0, 0), *(ended(0.5 + number, "again") for number in range(3)), *reported(1, 2, 3)],
            [blacklist(3, "a b c")],
            id="an execution ends once",
        ),
        pytest.param(
            [
                *(started(0, "r"), *well(1, 1, 1), *reported(T), ended(T + 1, "r")),
                *(timed_out(T + 2, "b"), timed_out(T + 3, "c")),
            ],
            [],
            id="one that has recovered and ended is one that ended",
        ),
        pytest.param(
            [*well(0, 0, 1), ended(1, "z", workflow_id="wf2"), *reported(1, 2, 3)],
            [blacklist(3, "a b c")],
            id="those of another workflow don't count",
        ),
        pytest.param(
            [*well(0, 0, 0, 0), released(1), *reported(1.5, 2, 3)],
            [blacklist(3, "a b c")],
            id="a release clears them as well",
        ),
        pytest.param(
            [released(2), tick(HOUR), *well(1, 1, 1, 1), *reported(2.5, 3, 3)],
            [blacklist(3, "a b c")],
            id="late ones from before a release don't count",
        ),
        pytest.param([tick(HOUR), *well(0, 0, 1, 1), *reported(1, 2, 3)], [], id="late ones count on arrival"),
        pytest.param(
            [*(started(0, name) for name in "abc"), *well(T, T, T, T), tick(T + 1)],
            [blacklist(T, "a b c")],
            id="one that ends when another gets stuck ends after it",
        ),
        pytest.param(
            [*well(10, 10, 10, 10), tick(3 * HOUR), *reported(3, 2, 1)],
            [blacklist(1, "a b c")],
            id="those that ended later than the newest got stuck don't count",
        ),
        pytest.param(
            [configured(0, 1001, window_minutes=10), *well(0, 0, 0, 5), *reported(11, 12, 13)],
            [blacklist(13, "a b c")],
            id="in the window that is in force",
        ),
    ],
)
def test_with_a_ratio_enough_of_all_executions_must_have_got_stuck(given: list[Line], then: list[Said]) -> None:
    assert blacklists(given, HALF) == then


def test_a_decision_by_a_ratio_says_of_how_many() -> None:
    policies = {"circuit_breaker": {"threshold": 3, "min_stuck_ratio": 0.1}}
    given = [*well(*(number / 2 for number in range(17))), *reported(9, 9, 9)]
    (decision,) = (one for one in decisions(given, policies=policies) if one.kind is DecisionKind.BLACKLIST_WORKFLOW)
    assert decision.observed == {
        "stuck_count": 3,
        "newest_stuck_at": time(9),
        "execution_count": 20,
        "stuck_ratio": 0.15,
    }
    assert decision.threshold == {"threshold": 3, "window_seconds": 3600.0, "min_stuck_ratio": 0.1}


def test_what_is_remembered_of_ends_is_bounded_by_the_window() -> None:
    breaker, state = CircuitBreaker(CircuitBreakerPolicy(min_stuck_ratio=0.5), 1), CircuitBreakerState()
    for second in range(0, 24 * 3600, 7):
        breaker.on_ended(state, second * 1_000_000)
    assert state.ended is not None
    assert len(state.ended) == 61
