"""The blacklist by hand: on it, off it, on it again; told to everybody who must know (40.2, 40.4)."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.blacklist_changes import Addition, add_to_blacklist, remove_from_blacklist
from lifecycle.capabilities import CAPABILITIES, Role
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.guard.holds import reject_hold
from lifecycle.options import LifecycleOptions
from tests.lifecycle.given import given_world, row, rows
from tests.lifecycle.guard_given import apply, block_of, given_tenants
from tests.sinks.given import T0, blacklists

OTTO = ActorContext.of_user("u9", "console", CAPABILITIES[Role.PLATFORM_ADMIN])


def add(engine: sa.Engine, reason: str = "It writes twice.", *, tenant: str = "t1", workflow: str = "wf1") -> Addition:
    """Put a workflow on the list."""
    with engine.begin() as connection:
        return add_to_blacklist(connection, tenant_id=tenant, workflow_id=workflow, reason=reason, actor_context=OTTO)


def remove(engine: sa.Engine, note: str | None = "It was mended.", *, tenant: str = "t1", workflow: str = "wf1") -> str:
    """Take it off."""
    with engine.begin() as connection:
        return remove_from_blacklist(
            connection,
            tenant_id=tenant,
            workflow_id=workflow,
            note=note,
            actor_context=OTTO,
            options=LifecycleOptions(),
        )


def code_of(change: Callable[[], object]) -> ErrorCode:
    """What a change is refused with."""
    with pytest.raises(LifecycleError) as refused:
        change()
    return refused.value.code


def test_a_workflow_is_added_by_hand_once(engine: sa.Engine) -> None:
    given_world(engine)
    first, second = add(engine), add(engine, "Another reason.")
    assert (first.is_new, second.is_new, second.blacklist_id) == (True, False, first.blacklist_id)
    found = row(engine, tables.workflow_blacklist)
    wanted = {
        "id": first.blacklist_id,
        "workflow_name": "Nightly invoices",
        "source": "manual",
        "reason": "manual:It writes twice.",
        "blacklisted_by": "u9",
        "removed_at": None,
    }
    assert {name: found[name] for name in wanted} == wanted
    audited = row(engine, tables.audit_logs, action_type="blacklist_workflow")
    assert (audited["resource_id"], audited["actor"], audited["invoked_via"]) == ("wf1", "u9", "console")


@pytest.mark.parametrize(
    ("tenant", "workflow", "reason", "code"),
    [
        pytest.param("t1", "nothing", "x", ErrorCode.NOT_FOUND, id="nobody knows the workflow"),
        pytest.param("t2", "wf1", "x", ErrorCode.NOT_FOUND, id="the workflow is another tenant's"),
        pytest.param("t1", "wf1", " ", ErrorCode.REASON_REQUIRED, id="the reason says nothing"),
    ],
)
def test_what_is_refused_changes_nothing(
    engine: sa.Engine, tenant: str, workflow: str, reason: str, code: ErrorCode
) -> None:
    given_world(engine)
    assert code_of(lambda: add(engine, reason, tenant=tenant, workflow=workflow)) is code
    assert code_of(lambda: remove(engine, tenant=tenant, workflow=workflow)) is ErrorCode.NOT_FOUND
    assert rows(engine, tables.workflow_blacklist) == rows(engine, tables.audit_logs) == []


def test_a_reason_is_cut_and_a_secret_in_it_masked(engine: sa.Engine) -> None:
    given_world(engine)
    add(engine, "password=hunter2 " + "long " * 200)
    reason = row(engine, tables.workflow_blacklist)["reason"]
    assert reason.startswith("manual:password=*** long")
    assert len(reason) <= len("manual:") + 500


def test_a_removal_tells_everybody_and_keeps_the_row(engine: sa.Engine) -> None:
    given_world(engine)
    assert apply(engine, [blacklists("x1", "x2", "x3")]) == ["applied blacklisted"]
    removed = remove(engine)
    found = row(engine, tables.workflow_blacklist)
    assert (found["id"], found["removed_by"], found["removal_note"], found["removal_source"]) == (
        removed,
        "u9",
        "It was mended.",
        "manual",
    )
    event = row(engine, tables.outbox_events, type="workflow_released")
    assert (event["tenant_id"], event["message_key"], event["occurred_at"]) == ("t1", "wf1", found["removed_at"])
    assert event["payload"]["kind"] == "workflow_released"
    assert row(engine, tables.tasks)["status"] == "cancelled"
    released = row(engine, tables.audit_logs, action_type="release_workflow")
    assert (released["episode_id"], released["metadata"]) == (removed, {"source": "manual", "was": "auto"})
    mails = rows(engine, tables.notifications, template="workflow_released", channel="email")
    assert [mail["recipient"] for mail in mails] == ["ops@localhost"]
    assert "stuck 3 times within" in mails[0]["body"]
    assert "Otto" in mails[0]["body"]
    assert code_of(lambda: remove(engine)) is ErrorCode.NOT_FOUND


def test_a_complete_review_stays_complete(engine: sa.Engine) -> None:
    given_world(engine)
    apply(engine, [blacklists("x1", "x2", "x3")])
    with engine.begin() as connection:
        connection.execute(sa.update(tables.tasks).values(status="complete", completed_at=sa.func.now()))
    remove(engine)
    assert row(engine, tables.tasks)["status"] == "complete"


def test_a_workflow_can_be_added_again_and_its_history_stays(engine: sa.Engine) -> None:
    given_world(engine)
    ids = []
    for turn in range(3):
        ids.append(add(engine, f"Turn {turn}.").blacklist_id)
        remove(engine, None)
    assert len(set(ids)) == 3
    assert [one["reason"] for one in rows(engine, tables.workflow_blacklist) if one["removed_at"] is not None]
    assert len(rows(engine, tables.outbox_events, type="workflow_released")) == 3
    assert len(rows(engine, tables.notifications, template="workflow_released", channel="email")) == 3


def test_the_breaker_finds_a_workflow_that_was_added_by_hand(engine: sa.Engine) -> None:
    given_world(engine)
    by_hand = add(engine)
    assert apply(engine, [blacklists("x1", "x2", "x3")]) == ["applied already_applied"]
    assert row(engine, tables.workflow_blacklist)["id"] == by_hand.blacklist_id


def test_a_decision_about_the_time_before_a_release_comes_too_late(engine: sa.Engine) -> None:
    given_world(engine)
    add(engine)
    remove(engine)
    released_at = row(engine, tables.workflow_blacklist)["removed_at"]
    minutes = (released_at - T0).total_seconds() / 60
    assert apply(engine, [blacklists("x1", "x2", "x3", at=minutes)]) == ["refused released_since"]
    assert apply(engine, [blacklists("x4", "x5", "x6", at=minutes + 1)]) == ["applied blacklisted"]


def test_a_rejected_blacklisting_lets_the_detector_begin_afresh(engine: sa.Engine) -> None:
    given_tenants(engine, 12)
    apply(engine, [block_of(n, at=60 * n) for n in range(10)])
    decision = blacklists("x1", "x2", at=1, tenant_id="t010", workflow_id="w010", automation_version_id="v010")
    assert apply(engine, [decision]) == ["held held"]
    admin = ActorContext.of_user("otto", "api", CAPABILITIES[Role.OPS_ADMIN])
    with engine.begin() as connection:
        hold_id = row(engine, tables.holds)["id"]
        reject_hold(connection, hold_id=hold_id, actor_context=admin, reason="The policy is wrong.")
    assert row(engine, tables.outbox_events, type="workflow_released")["message_key"] == "w010"


def test_many_at_once_make_one_row_and_one_release(engine: sa.Engine) -> None:
    given_world(engine)

    def attempt(change: Callable[[], Any]) -> str:
        try:
            result = change()
        except LifecycleError as error:
            return error.code.value
        return str(result.is_new) if isinstance(result, Addition) else "released"

    with ThreadPoolExecutor(16) as pool:
        added = Counter(pool.map(attempt, [lambda: add(engine)] * 16))
        released = Counter(pool.map(attempt, [lambda: remove(engine)] * 16))
        mixed = Counter(pool.map(attempt, [lambda: add(engine), lambda: remove(engine)] * 16))
    assert added == {"True": 1, "False": 15}
    assert released == {"released": 1, "not_found": 15}
    active = rows(engine, tables.workflow_blacklist, removed_at=None)
    assert mixed["True"] == mixed["released"] + len(active)
    assert len(rows(engine, tables.workflow_blacklist)) == 1 + mixed["True"]
    assert len(rows(engine, tables.outbox_events, type="workflow_released")) == 1 + mixed["released"]
