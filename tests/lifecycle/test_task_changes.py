"""Claiming and completing tasks: one wins, the others learn that they did not."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.kinds import TaskStatus
from lifecycle.task_changes import TaskOutcome, claim_task, complete_task
from tests.lifecycle.given import given_world, row, rows


def given_task(engine: sa.Engine, status: TaskStatus = TaskStatus.PENDING) -> str:
    """A task of the world, at version 1."""
    given_world(engine)
    task_id = str(uuid4())
    with engine.begin() as connection:
        connection.execute(
            sa.insert(tables.tasks).values(
                id=task_id,
                tenant_id="t1",
                context_type="internal",
                context_id="x",
                kind="general_todo",
                title="Look",
                status=status,
                assignee_user_id="ada" if status is TaskStatus.IN_PROGRESS else None,
                completed_at=sa.func.now() if status is TaskStatus.COMPLETE else None,
            )
        )
    return task_id


def claim(engine: sa.Engine, task_id: str, who: str = "otto", version: int = 1) -> TaskOutcome:
    """One claim in a transaction of its own."""
    actor = ActorContext.of_user(who, "test")
    with engine.begin() as connection:
        return claim_task(connection, task_id=task_id, version=version, assignee_user_id=who, actor_context=actor)


def complete(engine: sa.Engine, task_id: str, who: str = "otto", version: int = 1) -> TaskOutcome:
    """One completion in a transaction of its own."""
    with engine.begin() as connection:
        actor = ActorContext.of_user(who, "test")
        return complete_task(connection, task_id=task_id, version=version, actor_context=actor)


@pytest.mark.parametrize(
    ("status", "version", "claimed", "completed"),
    [
        pytest.param(TaskStatus.PENDING, 1, TaskOutcome.CHANGED, TaskOutcome.CHANGED, id="free"),
        pytest.param(TaskStatus.PENDING, 2, TaskOutcome.STALE, TaskOutcome.STALE, id="free, another version"),
        pytest.param(TaskStatus.IN_PROGRESS, 1, TaskOutcome.CHANGED, TaskOutcome.CHANGED, id="somebody else's"),
        pytest.param(TaskStatus.COMPLETE, 1, TaskOutcome.CLOSED, TaskOutcome.ALREADY_DONE, id="complete"),
        pytest.param(TaskStatus.CANCELLED, 1, TaskOutcome.CLOSED, TaskOutcome.CLOSED, id="cancelled"),
    ],
)
def test_what_becomes_of_a_change(
    engine: sa.Engine, status: TaskStatus, version: int, claimed: TaskOutcome, completed: TaskOutcome
) -> None:
    for change, expected in ((claim, claimed), (complete, completed)):
        task_id = given_task(engine, status)
        before = row(engine, tables.tasks, id=task_id)
        assert change(engine, task_id, version=version) is expected
        after = row(engine, tables.tasks, id=task_id)
        written = rows(engine, tables.audit_logs, resource_id=task_id)
        if expected is TaskOutcome.CHANGED:
            assert after["version"] == 2
            assert [(entry["actor"], entry["action_type"]) for entry in written] == [("otto", "update_task")]
        else:
            assert (after, written) == (before, [])


def test_a_task_that_is_not_there_is_not_found(engine: sa.Engine) -> None:
    given_world(engine)
    assert claim(engine, str(uuid4())) is TaskOutcome.NOT_FOUND
    assert complete(engine, str(uuid4())) is TaskOutcome.NOT_FOUND


def test_of_many_who_claim_at_once_one_gets_it(engine: sa.Engine) -> None:
    task_id = given_task(engine)
    people = [f"person-{number}" for number in range(8)]
    with ThreadPoolExecutor(len(people)) as pool:
        outcomes = list(pool.map(lambda who: claim(engine, task_id, who), people))
    assert Counter(outcomes) == {TaskOutcome.CHANGED: 1, TaskOutcome.STALE: 7}
    winner = people[outcomes.index(TaskOutcome.CHANGED)]
    assert row(engine, tables.tasks, id=task_id)["assignee_user_id"] == winner
    assert [entry["actor"] for entry in rows(engine, tables.audit_logs, resource_id=task_id)] == [winner]
