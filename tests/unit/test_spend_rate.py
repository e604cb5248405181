"""Bursts and slow rises in what a tenant spends, from runs to decisions. Seeds are fixed."""

import math
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.decisions import Decision, DecisionKind, ReasonCode, decode_decision, encode_decision
from dataflows.detectors.spend_rate import SpendAnomalies, Tenant
from dataflows.detectors.spend_series import DEAREST
from dataflows.events import RunEvent, RunStatus
from dataflows.times import to_micros

T0 = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = 24 * HOUR

Runs = Iterable[tuple[timedelta, str, float]]


def a_run(since: timedelta, workflow: str, credits_: float, number: int) -> RunEvent:
    return RunEvent(
        event_id=f"e{number}",
        status=RunStatus.SUCCESS,
        occurred_at=T0 + since,
        tenant_id="t_acme",
        automation_version_id="v1",
        workflow_id=workflow,
        execution_id=f"x{number}",
        credits_total=credits_,
    )


def decided(runs: Runs, until: timedelta, cut: int | None = None) -> list[Decision]:
    """All that is said of some runs; at `cut` the state goes through a snapshot."""
    detector = SpendAnomalies()
    tenant = detector.begin("t_acme", to_micros(T0))
    out: list[Decision] = []
    for number, (since, workflow, credits_) in enumerate(runs):
        if number == cut:
            tenant = msgspec.msgpack.decode(msgspec.msgpack.encode(tenant), type=Tenant)
        event = a_run(since, workflow, credits_, number)
        out += detector.on_run(tenant, event, to_micros(event.occurred_at))
    return out + detector.on_time(tenant, to_micros(T0 + until))


def steady(
    days: int,
    *,
    seed: int,
    a_day: int = 100,
    workflow: str = "wf1",
    first: int = 0,
    growth: float = 1.0,
    noise: float = 0.2,
) -> Iterator[tuple[timedelta, str, float]]:
    """So many runs a day, of ten credits with some noise; `growth` is from week to week."""
    chance = random.Random(seed)
    for day in range(first, first + days):
        usual = 10.0 * growth ** ((day - first) / 7)
        for number in range(a_day):
            yield DAY * day + DAY * number / a_day, workflow, max(0.0, chance.gauss(usual, noise * usual))


def by_time(*runs: Runs) -> list[tuple[timedelta, str, float]]:
    return sorted((run for one in runs for run in one), key=lambda run: (run[0], run[1]))


def kinds(found: list[Decision]) -> list[tuple[ReasonCode, str | None]]:
    return [(decision.reason_code, decision.workflow_id) for decision in found]


def test_a_burst_of_runs_of_usual_size_is_told_once_with_its_runs() -> None:
    at = DAY * 20 + HOUR * 9
    burst = [(at + timedelta(minutes=n / 4), "wf1", 10.0 + n % 3) for n in range(400)]
    [decision] = decided(by_time(steady(30, seed=1), burst), DAY * 30)
    assert decision.kind is DecisionKind.SPEND_ANOMALY
    assert (decision.reason_code, decision.workflow_id) == (ReasonCode.SPEND_BURST, "wf1")
    assert decision.occurred_at == T0 + at + HOUR
    assert decision.observed["credits"] > 2_400 > decision.threshold["limit"] > decision.threshold["expected"]
    assert 30 < decision.threshold["expected"] < 60
    assert len(decision.detail["runs"]) == DEAREST
    assert all(run["credits"] >= 12.0 for run in decision.detail["runs"])
    assert decode_decision(encode_decision(decision)) == decision


def test_an_hour_that_one_dear_run_made_is_no_burst() -> None:
    at = DAY * 20 + HOUR * 9 + timedelta(minutes=30)
    dear = [(at, "wf1", 5_000.0), (at + timedelta(minutes=1), "wf1", 10.0)]
    assert decided(by_time(steady(25, seed=1), dear), DAY * 25) == []


def test_a_burst_in_the_last_hour_is_told_when_time_goes_on() -> None:
    runs = by_time(steady(20, seed=1), [(DAY * 20 + timedelta(minutes=n / 4), "wf1", 10.0) for n in range(200)])
    assert decided(runs, DAY * 20 + timedelta(minutes=59)) == []
    assert kinds(decided(runs, DAY * 20 + HOUR)) == [(ReasonCode.SPEND_BURST, "wf1")]


def test_busy_days_and_quiet_nights_are_no_bursts() -> None:
    chance = random.Random(5)
    runs = [
        (HOUR * hour + timedelta(minutes=60 * n / 40), "wf1", chance.uniform(8, 12))
        for hour in range(24 * 60)
        for n in range(40 if 8 <= hour % 24 < 18 and hour // 24 % 7 < 5 else 4)
    ]
    assert decided(runs, DAY * 60) == []
    at_night = [(DAY * 50 + HOUR * 3 + timedelta(minutes=n), "wf1", 10.0) for n in range(40)]
    assert kinds(decided(by_time(runs, at_night), DAY * 60)) == [(ReasonCode.SPEND_BURST, "wf1")]


def test_eight_percent_a_week_are_told_by_week_three_and_once() -> None:
    for seed in range(5):
        runs = by_time(steady(42, seed=seed), steady(35, seed=seed + 100, first=42, growth=1.08))
        found = decided(runs, DAY * 77)
        [drift] = [one for one in found if one.reason_code is ReasonCode.SPEND_DRIFT]
        assert drift.workflow_id == "wf1"
        assert T0 + DAY * 42 < drift.occurred_at <= T0 + DAY * 63
        assert drift.observed["credits_a_day"] > drift.threshold["limit"] > drift.threshold["expected"]


def test_a_steady_year_has_at_most_one_false_alarm() -> None:
    for seed in range(4):
        assert len(decided(steady(365, seed=seed), DAY * 365)) <= 1


def test_many_small_rises_show_in_the_sum_of_the_tenant() -> None:
    """Forty workflows of six uneven runs a day; each rises by 15 %, which none of them shows."""
    workflows = []
    for number in range(40):
        some = {"a_day": 6, "workflow": f"wf{number:02}", "noise": 0.5}
        workflows.append(list(steady(42, seed=number, **some)))  # type: ignore[arg-type]
        more = steady(14, seed=number + 500, first=42, **some)  # type: ignore[arg-type]
        workflows.append([(since, workflow, credits_ * 1.15) for since, workflow, credits_ in more])
    found = decided(by_time(*workflows), DAY * 56)
    # One of forty rises by more than its fifteen percent, by chance, and is told after the tenant.
    assert kinds(found) == [(ReasonCode.SPEND_DRIFT, None), (ReasonCode.SPEND_DRIFT, "wf01")]
    decision = found[0]
    assert decision.detail["scope"] == "tenant"
    assert len(decision.detail["workflows"]) == 10
    assert decision.occurred_at > T0 + DAY * 42


def test_what_a_workflow_was_told_of_is_not_told_of_the_tenant_too() -> None:
    at = DAY * 20 + HOUR * 9
    burst = [(at + timedelta(minutes=n / 4), "wf1", 10.0) for n in range(200)]
    runs = by_time(steady(25, seed=1), steady(25, seed=2, workflow="wf2"), burst)
    assert kinds(decided(runs, DAY * 25)) == [(ReasonCode.SPEND_BURST, "wf1")]


def test_a_burst_of_a_workflow_does_not_hide_one_of_the_tenant() -> None:
    """A week later forty workflows have four runs more in an hour: too few for any of them."""
    at = DAY * 20 + HOUR * 9
    burst = [(at + timedelta(seconds=n), "wf1", 10.0) for n in range(2_000)]
    small = [steady(30, seed=number, a_day=6, workflow=f"wf{number}") for number in range(2, 42)]
    more = [(at + DAY * 7 + timedelta(seconds=n), f"wf{2 + n % 40}", 10.0) for n in range(160)]
    found = decided(by_time(steady(30, seed=1), *small, burst, more), DAY * 30)
    assert kinds(found) == [(ReasonCode.SPEND_BURST, "wf1"), (ReasonCode.SPEND_BURST, None)]


def test_what_was_told_as_a_burst_is_not_told_as_a_rise_too() -> None:
    at = DAY * 32 + HOUR * 9
    burst = [(at + timedelta(minutes=n / 20), "wf1", 10.0) for n in range(1_000)]
    runs = by_time(steady(50, seed=1), steady(50, seed=2, workflow="wf2"), burst)
    assert kinds(decided(runs, DAY * 50)) == [(ReasonCode.SPEND_BURST, "wf1")]


def test_workflows_that_spend_nothing_any_more_are_forgotten() -> None:
    detector = SpendAnomalies()
    tenant = detector.begin("t_acme", to_micros(T0))
    runs = by_time(steady(3, seed=1), steady(45, seed=2, workflow="wf2", a_day=4))
    for number, (since, workflow, credits_) in enumerate(runs):
        event = a_run(since, workflow, credits_, number)
        detector.on_run(tenant, event, to_micros(event.occurred_at))
    assert set(tenant.workflows) == {"wf2"}


def test_a_long_silence_begins_anew() -> None:
    runs = by_time(steady(20, seed=1), steady(5, seed=2, first=60, a_day=1000))
    assert decided(runs, DAY * 65) == []


def test_no_amount_makes_the_detector_say_what_is_no_number() -> None:
    endless = [(DAY * 20 + timedelta(minutes=number), "wf1", 1.7e308) for number in range(10)]
    found = decided(by_time(steady(60, seed=3), endless), DAY * 60)
    assert [one.reason_code for one in found if one.workflow_id == "wf1"] == [ReasonCode.SPEND_BURST]
    numbers = [number for one in found for number in (*one.observed.values(), *one.threshold.values())]
    assert all(math.isfinite(number) for number in numbers)
    assert [decode_decision(encode_decision(one)) for one in found] == found


def test_a_tenant_that_begins_in_the_evening_has_not_risen() -> None:
    runs = [(since, workflow, 10.0) for since, workflow, _ in steady(40, seed=1) if since >= HOUR * 20]
    assert decided(runs, DAY * 40) == []


def test_it_does_not_matter_how_often_the_time_is_told() -> None:
    detector = SpendAnomalies()
    tenant = detector.begin("t_acme", to_micros(T0))
    runs = by_time(steady(20, seed=1), steady(25, seed=2, first=60, a_day=1000))
    burst = [(DAY * 70 + timedelta(minutes=n / 4), "wf1", 100.0) for n in range(200)]
    runs = by_time(runs, burst)
    out, told = [], timedelta(0)
    for number, (since, workflow, credits_) in enumerate(runs):
        while told + timedelta(minutes=20) <= since:
            told += timedelta(minutes=20)
            out += detector.on_time(tenant, to_micros(T0 + told))
        event = a_run(since, workflow, credits_, number)
        out += detector.on_run(tenant, event, to_micros(event.occurred_at))
    assert out
    assert out == decided(runs, DAY * 85)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1_600))
def test_a_restart_changes_nothing(cut: int) -> None:
    burst = [(DAY * 20 + HOUR * 9 + timedelta(minutes=n / 4), "wf1", 10.0) for n in range(200)]
    runs = by_time(steady(30, seed=1, a_day=48), burst)
    assert decided(runs, DAY * 30, cut) == decided(runs, DAY * 30)


def test_a_restart_from_what_an_hour_has_spent_changes_nothing() -> None:
    """What was remembered when the hour began, and its runs so far: the silence before them is learned again."""
    detector = SpendAnomalies()
    tenant = detector.begin("t_acme", to_micros(T0))
    runs = by_time(steady(20, seed=1), steady(20, seed=2, workflow="wf2", a_day=2))
    for number, (since, workflow, credits_) in enumerate(runs):
        event = a_run(since, workflow, credits_, number)
        detector.on_run(tenant, event, to_micros(event.occurred_at))
    burst = DAY * 22 + HOUR * 9
    detector.on_time(tenant, to_micros(T0 + burst))
    restarted = msgspec.msgpack.decode(msgspec.msgpack.encode(tenant), type=Tenant)
    for number in range(60):
        event = a_run(burst + timedelta(seconds=number), "wf2", 10.0, 10_000 + number)
        assert detector.on_run(tenant, event, to_micros(event.occurred_at)) == ()
    restarted.current.update(tenant.current)
    told = detector.on_time(tenant, to_micros(T0 + burst + HOUR))
    assert kinds(told) == [(ReasonCode.SPEND_BURST, "wf2")]
    assert detector.on_time(restarted, to_micros(T0 + burst + HOUR)) == told
    assert msgspec.msgpack.encode(restarted) == msgspec.msgpack.encode(tenant)


def test_credits_that_are_no_numbers_of_a_day_do_not_break_it() -> None:
    found = decided(by_time(steady(25, seed=1), [(DAY * 22, "wf1", 1e300)]), DAY * 25)
    assert all(math.isfinite(one.observed["credits"]) for one in found)
