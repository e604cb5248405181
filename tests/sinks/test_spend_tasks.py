"""Spend anomalies that come together (50.9, 60.5): one task of a tenant and kind, few notices, and none is lost."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from dataflows.decisions import Decision
from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.capabilities import Role, capabilities_of
from lifecycle.credits.joined_spend import read_joined
from lifecycle.credits.spend_told import is_step, step_before
from lifecycle.decisions import get_decision, list_decisions
from lifecycle.kinds import TaskStatus
from lifecycle.outbox import cancel_waiting
from lifecycle.slack import build_payload
from lifecycle.task_changes import TaskChange, TaskOperation, TaskOutcome, change_task
from sinks.services import Outcome, Result
from tests.lifecycle.given import content, given_world, row, rows
from tests.lifecycle.test_storm_control import Inbox, deliver, let_pass
from tests.sinks.given import T0
from tests.sinks.test_spend_anomaly import apply, burst, drift

OPS = ActorContext.of_user("u9", "api", capabilities_of([Role.OPS_BUILD]))
OPENED, JOINED = Result(Outcome.APPLIED, "told"), Result(Outcome.APPLIED, "task_joined")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ATTEMPTS = 20


def of(number: int, *, after: timedelta = timedelta(0), spent: float = 1500.0, **changes: Any) -> Decision:
    """A burst of one of many workflows of a tenant, so long after the others."""
    return burst(
        str(number),
        **{
            "workflow_id": f"scenario:S{number}",
            "occurred_at": T0 + HOUR + after,
            "observed": {"credits": spent, "runs": 150, "score": 0.93},
            **changes,
        },
    )


def change(engine: sa.Engine, operation: TaskOperation) -> None:
    """Somebody of operations changes the only task."""
    task = row(engine, tables.tasks)
    with engine.begin() as connection:
        outcome = change_task(
            connection,
            tenant_id="t1",
            task_id=task["id"],
            version=task["version"],
            change=TaskChange(operation=operation),
            actor_context=OPS,
        )
    assert outcome is TaskOutcome.CHANGED


def titles(engine: sa.Engine) -> list[str]:
    """Of all tasks, in order."""
    return sorted(str(task["title"]) for task in rows(engine, tables.tasks))


@pytest.mark.parametrize(
    ("second", "joins"),
    [
        pytest.param(of(2), True, id="another workflow in the same hour"),
        pytest.param(of(1, decision_id="00000000-0000-5000-8000-000000000001"), True, id="the same workflow"),
        pytest.param(of(2, workflow_id=None, detail={"scope": "tenant"}), True, id="the tenant's sum"),
        pytest.param(of(2, after=24 * HOUR - timedelta(microseconds=1)), True, id="a moment less than a day later"),
        pytest.param(of(2, after=24 * HOUR), False, id="a day later"),
        pytest.param(of(2, after=-24 * HOUR + timedelta(microseconds=1)), True, id="a moment less than a day before"),
        pytest.param(of(2, after=-24 * HOUR), False, id="a day before"),
        pytest.param(of(2, tenant_id="t2"), False, id="another tenant"),
        pytest.param(drift(occurred_at=T0 + HOUR), False, id="a drift"),
    ],
)
def test_what_comes_together_is_one_task(engine: sa.Engine, second: Decision, joins: bool) -> None:
    given_world(engine)
    first = of(1)
    assert apply(engine, first) + apply(engine, second) == [OPENED, JOINED if joins else OPENED]
    tasks = rows(engine, tables.tasks)
    assert len(tasks) == (1 if joins else 2)
    assert {one["decision_id"] for one in rows(engine, tables.task_decisions)} == {
        first.decision_id,
        second.decision_id,
    }
    if joins:
        assert titles(engine) == ["Find out why Acme spends more than usual: 2 bursts"]


@pytest.mark.parametrize(
    ("after", "joins"),
    [
        pytest.param(7 * DAY - timedelta(microseconds=1), True, id="a moment less than a week later"),
        pytest.param(7 * DAY, False, id="a week later"),
    ],
)
def test_drifts_of_a_week_are_one_task(engine: sa.Engine, after: timedelta, joins: bool) -> None:
    given_world(engine)
    first = drift(occurred_at=T0)
    second = drift("3", workflow_id="scenario:S3", occurred_at=T0 + after, detail={"scope": "workflow", "runs": []})
    assert apply(engine, first, second) == [OPENED, JOINED if joins else OPENED]
    if joins:
        assert titles(engine) == ["Find out why Acme spends more than usual: 2 drifts"]


@pytest.mark.parametrize(
    ("operations", "joins"),
    [
        pytest.param([TaskOperation.CLAIM], True, id="somebody works on it"),
        pytest.param([TaskOperation.COMPLETE], False, id="it is done"),
        pytest.param([TaskOperation.COMPLETE, TaskOperation.REOPEN], True, id="it is open again"),
    ],
)
def test_only_an_open_task_is_joined(engine: sa.Engine, operations: Sequence[TaskOperation], joins: bool) -> None:
    given_world(engine)
    apply(engine, of(1))
    for operation in operations:
        change(engine, operation)
    before = row(engine, tables.tasks)
    assert apply(engine, of(2)) == [JOINED if joins else OPENED]
    (after,) = rows(engine, tables.tasks, id=before["id"])
    kept = ("status", "assignee_user_id", "priority", "kind", "created_at")
    assert [after[name] for name in kept] == [before[name] for name in kept]
    # Who looks at it has not seen what joined: what they do on the old version is refused.
    assert after["version"] == before["version"] + joins


def test_a_task_reopened_beside_another_one_disturbs_nobody(engine: sa.Engine) -> None:
    given_world(engine)
    apply(engine, of(1))
    change(engine, TaskOperation.COMPLETE)
    apply(engine, of(2))
    with engine.begin() as connection:
        connection.execute(
            sa.update(tables.tasks)
            .values(status=TaskStatus.PENDING, completed_at=None)
            .where(tables.tasks.c.version > 1)
        )
    assert apply(engine, of(3), of(4)) == [JOINED, JOINED]
    assert len(rows(engine, tables.tasks)) == 2
    assert len(rows(engine, tables.task_decisions)) == 4


def test_a_task_of_several_workflows_is_of_no_automation(engine: sa.Engine) -> None:
    given_world(engine)
    first = burst()
    about = ("automation_version_id", "context_type", "context_id")
    apply(engine, first, burst("2"))
    task = row(engine, tables.tasks)
    assert tuple(task[name] for name in about) == ("v1", "workflow", "wf1")
    apply(engine, of(3))
    task = row(engine, tables.tasks)
    assert tuple(task[name] for name in about) == (None, "internal", first.decision_id)


def test_each_anomaly_is_a_decision_that_leads_to_the_task_and_back(engine: sa.Engine) -> None:
    given_world(engine)
    said = [of(number, spent=100.0 * number) for number in range(1, 6)]
    apply(engine, *said, of(9, tenant_id="t2"))
    (task,) = rows(engine, tables.tasks, tenant_id="t1")
    with engine.connect() as connection:
        for one in said:
            found = get_decision(connection, one.decision_id)
            assert found is not None
            assert [task.id for task in found.tasks] == [task["id"]]
            assert len(found.evidence) == 2
        listed = list_decisions(connection, task_id=task["id"], limit=3)
        others = list_decisions(connection, task_id=task["id"], after=listed.next, limit=3)
        joined = read_joined(connection, [task["id"]], limit=2)[task["id"]]
    assert {one.decision_id for one in (*listed.decisions, *others.decisions)} == {one.decision_id for one in said}
    assert (joined.count, joined.since, joined.until) == (5, T0 + HOUR, T0 + HOUR)
    assert [(one.workflow_id, one.spent, one.evidence) for one in joined.furthest] == [
        ("scenario:S5", 500.0, 2),
        ("scenario:S4", 400.0, 2),
    ]


def test_operations_are_told_at_the_first_and_at_few_others(engine: sa.Engine) -> None:
    given_world(engine)
    assert apply(engine, *(of(number) for number in range(120))) == [OPENED] + 119 * [JOINED]
    assert titles(engine) == ["Find out why Acme spends more than usual: 120 bursts"]
    bell = [one["title"] for one in rows(engine, tables.notifications, channel="in_app")]
    assert sorted(bell, key=len) == [
        "Spends more than usual: Acme, 3 bursts",
        "Spends more than usual: Acme, 10 bursts",
        "Spends more than usual: Acme, 30 bursts",
        "Spends more than usual: Acme, 100 bursts",
        "Spends more than usual: Acme, “S0”, 1,500 credits in one hour",
    ]


def test_what_waits_is_replaced_by_what_says_more(engine: sa.Engine) -> None:
    """The first is told at once; then what came within the interval, in one message, by its last step."""
    given_world(engine)
    inbox = Inbox()

    def work() -> None:
        deliver(engine, inbox, *(one["id"] for one in rows(engine, tables.notifications, channel="slack")))

    apply(engine, of(1))
    work()
    for number in range(2, 35):
        apply(engine, of(number))
        work()
    assert [message.title for message in inbox.taken] == [
        "Spends more than usual: Acme, “S1”, 1,500 credits in one hour"
    ]
    let_pass(engine)
    work()
    assert [message.title for message in inbox.taken[1:]] == ["Spends more than usual: Acme, 30 bursts"]
    assert sorted(one["status"] for one in rows(engine, tables.notifications, channel="slack")) == [
        "cancelled",
        "cancelled",
        "delivered",
        "delivered",
    ]


def test_the_message_of_several_says_how_many_and_names_the_furthest(engine: sa.Engine) -> None:
    given_world(engine)
    evil = burst("9", workflow_id="scenario:<!here>", observed={"credits": 9000.0, "runs": 9, "score": 0.9})
    apply(engine, of(1), evil, of(3, workflow_id=None, spent=2500.0))
    task = row(engine, tables.tasks)
    link = f"https://bw.example/console/decisions?task_id={task['id']}"
    assert task["description"].startswith("Bursts that come together often have one cause")
    assert task["description"].endswith(f"No single run need be dear. All of them: {link}")
    inbox = Inbox()
    deliver(engine, inbox, *(one["id"] for one in rows(engine, tables.notifications, channel="slack")))
    (message,) = inbox.taken
    assert "between 2026-03-02 09:00:00 UTC and 2026-03-02 09:00:00 UTC" in message.body
    assert "- all workflows together 2,500 credits in one hour instead of 40.25\n" in message.body
    header, section, actions, about = build_payload(message)["blocks"]
    assert header["text"]["text"].endswith("Spends more than usual: Acme, 3 bursts")
    assert [field["text"] for field in section["fields"]] == [
        "*Tenant:*\nAcme",
        "*Bursts:*\n3",
        "*Since:*\n2026-03-02 09:00:00 UTC",
        "*Furthest:*\n“&lt;!here&gt;” 9,000 credits in one hour instead of 40.25",
        "*Second:*\nall workflows together 2,500 credits in one hour instead of 40.25",
        "*Third:*\n“S1” 1,500 credits in one hour instead of 40.25",
    ]
    assert [(one["text"]["text"], one["url"]) for one in actions["elements"]] == [
        ("Open all", link),
        ("Credits", "https://bw.example/console/credits?tenant_id=t1"),
    ]
    assert about["elements"][0]["text"] == "No run is dear by itself. Nothing was stopped."


def test_twenty_at_once_are_one_task(engine: sa.Engine) -> None:
    given_world(engine)
    with ThreadPoolExecutor(ATTEMPTS) as threads:
        results = list(threads.map(lambda number: apply(engine, of(number)), range(ATTEMPTS)))
    assert sorted(one.reason or "" for (one,) in results) == (ATTEMPTS - 1) * ["task_joined"] + ["told"]
    assert titles(engine) == ["Find out why Acme spends more than usual: 20 bursts"]
    task = row(engine, tables.tasks)
    assert {one["task_id"] for one in rows(engine, tables.task_decisions)} == {task["id"]}
    assert len(rows(engine, tables.notifications, channel="in_app")) == 3


def test_sinks_that_meet_tenants_and_kinds_in_different_orders_make_a_task_for_each(engine: sa.Engine) -> None:
    given_world(engine)

    def write(number: int) -> list[Result]:
        # Each sink's decisions share a transaction, and lock what they join in an order of their own.
        said = [
            made(f"{number}-{made.__name__}", workflow_id=f"scenario:S{number}", occurred_at=T0, tenant_id=tenant)
            for tenant in ("t1", "t2")
            for made in (burst, drift)
        ]
        return apply(engine, *(said if number % 2 else said[::-1]))

    with ThreadPoolExecutor(4) as threads:
        found = [result for results in threads.map(write, range(4)) for result in results]
    assert (found.count(OPENED), found.count(JOINED)) == (4, 12)
    assert titles(engine) == sorted(
        f"Find out why {tenant} spends more than usual: 4 {kind}"
        for tenant in ("Acme", "Globex")
        for kind in ("bursts", "drifts")
    )


def test_one_anomaly_twenty_times_at_once_is_told_once(engine: sa.Engine) -> None:
    given_world(engine)
    with ThreadPoolExecutor(ATTEMPTS) as threads:
        results = list(threads.map(lambda _: apply(engine, of(1)), range(ATTEMPTS)))
    assert sorted(one.outcome for (one,) in results) == ["applied"] + (ATTEMPTS - 1) * ["duplicate"]
    assert len(rows(engine, tables.task_decisions)) == len(rows(engine, tables.tasks)) == 1


def test_all_again_changes_nothing(engine: sa.Engine) -> None:
    given_world(engine)
    came = [*(of(number) for number in range(12)), drift(), of(50, after=2 * DAY)]
    apply(engine, *came)
    before, versions = content(engine), [task["version"] for task in rows(engine, tables.tasks)]
    results = [result for one in reversed(came) for result in apply(engine, one)]
    assert {result.outcome for result in results} == {Outcome.DUPLICATE}
    assert content(engine) == before
    assert [task["version"] for task in rows(engine, tables.tasks)] == versions


def test_a_notice_that_is_being_delivered_is_not_waited_for(engine: sa.Engine) -> None:
    given_world(engine)
    apply(engine, of(1))
    notice = row(engine, tables.notifications, channel="slack")
    held = sa.select(tables.notifications).where(tables.notifications.c.id == notice["id"]).with_for_update()
    with engine.begin() as delivering, engine.begin() as connection:
        delivering.execute(held)
        connection.execute(sa.text("SET LOCAL lock_timeout = '1ms'"))  # to wait at all is an error
        cancel_waiting(connection, notice["episode_id"])
    assert row(engine, tables.notifications, channel="slack")["status"] == "pending"
    with engine.begin() as connection:
        cancel_waiting(connection, notice["episode_id"])
    assert row(engine, tables.notifications, channel="slack")["status"] == "cancelled"


@given(st.integers(1, 10**9))
def test_a_task_is_told_of_twice_as_often_as_its_count_has_digits_at_most(count: int) -> None:
    steps = [first * 10**zeros for zeros in range(10) for first in (1, 3) if first * 10**zeros <= count]
    assert len(steps) <= 2 * len(str(count))
    assert all(is_step(step) for step in steps)
    assert is_step(count) == (count in steps)
    assert [step_before(step) for step in steps[1:]] == steps[:-1]
