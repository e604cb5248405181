"""Who is told of a move, on which channel, and how urgently: the table of 30.3."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import WORKER, ActorContext
from lifecycle.guard.arithmetic import GuardPolicy
from lifecycle.kinds import BlockKind, Channel, Template
from lifecycle.messages import DeliveryFault
from lifecycle.moves import Move
from lifecycle.options import LifecycleOptions
from lifecycle.statuses import Operation, Status
from lifecycle.transitions import move_version
from lifecycle.versions import lock_version
from tests.lifecycle.given import given_world, rows, version
from tests.lifecycle.worker import given_block

EVERYTHING = LifecycleOptions(
    ops_email="ops@breakwater.example",
    public_url="https://bw.example",
    channels=frozenset({Channel.SLACK, Channel.WEBHOOK, Channel.ON_CALL}),
)
OTTO = ActorContext.of_user("u9", "patch_status")
CHAMPION = {"tenant_id": "t1", "name": "Cleo", "email": "cleo@acme.example", "champion": True}
STRANGER = {"tenant_id": "t2", "name": "Max", "email": "max@globex.example", "champion": True}

CLIENT_MAIL = [f"client email {name}@acme.example" for name in ("ada", "bob", "cleo")]
CLIENT = [*CLIENT_MAIL, "client in_app u1"]
OPS_MAIL, OPS_IN_APP, OPS_SLACK, OPS_WEBHOOK = (
    "ops email ops@breakwater.example",
    "ops in_app ops",
    "ops slack ops",
    "ops webhook ops",
)
PAGER = "on_call on_call on_call"


def given_move(
    engine: sa.Engine,
    operation: Operation,
    source: Status,
    target: Status,
    *,
    options: LifecycleOptions = EVERYTHING,
    actor: ActorContext = OTTO,
    reason: str | None = "Asked for by Ada, password: hunter2",
    role: str | None = None,
) -> None:
    """The version v1, moved from `source` to `target`; in the database as `role`, for the tenant t1 alone."""
    blocked = {"blocked_reason": "broken", "blocked_at": sa.func.now(), "block_episode_id": sa.func.gen_random_uuid()}
    free = dict.fromkeys((*blocked, "blocked_from_status"))
    with engine.begin() as connection:
        connection.execute(
            sa.update(tables.automation_versions)
            .where(tables.automation_versions.c.id == "v1")
            .values(status=source, **({**blocked, "blocked_from_status": target} if source is Status.BLOCKED else free))
        )
    with engine.begin() as connection:
        if role is not None:
            connection.exec_driver_sql("SELECT set_config('breakwater.tenants', '{t1}', true)")
            connection.exec_driver_sql(f"SET LOCAL ROLE {role}")
        locked = lock_version(connection, "t1", "v1")
        assert locked is not None
        columns: dict[str, Any] = {}
        if target is Status.BLOCKED:
            columns = {**blocked, "blocked_reason": reason, "blocked_from_status": source}
        elif source is Status.BLOCKED:
            columns = free
        elif target is Status.ARCHIVED:
            columns = {"archived_at": locked.now}
        move = Move(operation=operation, target=target, columns=columns, reason_code="asked", reason=reason)
        move_version(connection, locked, move, actor_context=actor, options=options)


@pytest.mark.parametrize(
    ("operation", "source", "target", "told"),
    [
        pytest.param(
            Operation.UPDATE_STATUS,
            Status.READY_FOR_BUILD,
            Status.BUILD_IN_PROGRESS,
            {"build_started info": [*CLIENT, OPS_MAIL, OPS_IN_APP, OPS_WEBHOOK]},
            id="a build begins: clients and operations by email and in-app",
        ),
        pytest.param(
            Operation.UPDATE_STATUS,
            Status.QA_AND_TESTING,
            Status.BUILD_IN_PROGRESS,
            {},
            id="a build that goes on after tests is no new one",
        ),
        pytest.param(
            Operation.UPDATE_STATUS, Status.AWAITING_CLIENT_APPROVAL, Status.READY_FOR_BUILD, {}, id="nobody: signed"
        ),
        pytest.param(
            Operation.UPDATE_STATUS,
            Status.BUILD_IN_PROGRESS,
            Status.QA_AND_TESTING,
            {"qa_started info": [OPS_IN_APP, OPS_SLACK, OPS_WEBHOOK]},
            id="tests begin: operations in-app and Slack",
        ),
        pytest.param(
            Operation.UPDATE_STATUS,
            Status.QA_AND_TESTING,
            Status.READY_TO_LAUNCH,
            {"ready_to_launch info": ["client email cleo@acme.example", OPS_MAIL, OPS_SLACK, OPS_WEBHOOK]},
            id="ready to launch: the client's champion and operations",
        ),
        pytest.param(
            Operation.BLOCK,
            Status.LIVE,
            Status.BLOCKED,
            {"automation_blocked critical": [*CLIENT, OPS_MAIL, OPS_IN_APP, OPS_SLACK, OPS_WEBHOOK, PAGER]},
            id="blocked by hand: clients, operations, on-call",
        ),
        pytest.param(
            Operation.UNBLOCK,
            Status.BLOCKED,
            Status.LIVE,
            {"automation_unblocked info": [*CLIENT, OPS_MAIL, OPS_IN_APP, OPS_WEBHOOK, PAGER]},
            id="unblocked by hand: clients, operations, and the pager's incident ends",
        ),
        pytest.param(
            Operation.UNBLOCK_FOR_CREDENTIALS,
            Status.BLOCKED,
            Status.LIVE,
            {"automation_unblocked info": [*CLIENT, OPS_MAIL, OPS_IN_APP, OPS_WEBHOOK, PAGER]},
            id="unblocked since credentials work again: the same",
        ),
        pytest.param(
            Operation.DEPLOY,
            Status.READY_TO_LAUNCH,
            Status.LIVE,
            {
                "automation_live info": [*CLIENT, "client in_app u2", OPS_SLACK, OPS_WEBHOOK],
                "deployment_success info": [OPS_MAIL, OPS_WEBHOOK],
            },
            id="deployed: clients and collaborators; operations by email",
        ),
        pytest.param(
            Operation.PAUSE,
            Status.LIVE,
            Status.PAUSED,
            {"workflow_paused warning": [*CLIENT, OPS_MAIL, OPS_IN_APP, OPS_WEBHOOK]},
            id="paused: clients and operations",
        ),
        pytest.param(
            Operation.RESUME,
            Status.PAUSED,
            Status.LIVE,
            {"workflow_resumed info": [*CLIENT, OPS_MAIL, OPS_IN_APP, OPS_WEBHOOK]},
            id="resumed: clients and operations",
        ),
        pytest.param(
            Operation.ARCHIVE,
            Status.PAUSED,
            Status.ARCHIVED,
            {"archived info": ["analytics in_app analytics", OPS_IN_APP, OPS_WEBHOOK]},
            id="archived: operations and analytics in-app",
        ),
    ],
)
def test_a_move_tells_whom_the_table_names(
    engine: sa.Engine, operation: Operation, source: Status, target: Status, told: dict[str, list[str]]
) -> None:
    given_world(
        engine,
        users=[{"id": "u2", "email": "olga@acme.example", "display_name": "Olga"}],
        contacts=[CHAMPION, STRANGER],
    )
    with engine.begin() as connection:
        connection.execute(sa.update(tables.projects).values(owner_user_id="u2"))
    given_move(engine, operation, source, target)
    notices = rows(engine, tables.notifications)
    found: dict[str, list[str]] = {}
    for notice in notices:
        found.setdefault(f"{notice['template']} {notice['severity']}", []).append(
            f"{notice['audience']} {notice['channel']} {notice['recipient']}"
        )
    assert {name: sorted(whom) for name, whom in found.items()} == {name: sorted(whom) for name, whom in told.items()}
    assert "hunter2" not in str(notices)
    assert all(notice["tenant_id"] == "t1" for notice in notices)
    assert {n["status"] for n in notices if n["channel"] == "in_app"} <= {"delivered"}
    assert {n["status"] for n in notices if n["channel"] != "in_app"} <= {"pending"}


def test_channels_that_are_not_set_up_get_nothing(engine: sa.Engine) -> None:
    given_world(engine)
    given_move(engine, Operation.BLOCK, Status.LIVE, Status.BLOCKED, options=LifecycleOptions())
    assert {notice["channel"] for notice in rows(engine, tables.notifications)} == {"email", "in_app"}


def test_people_are_named_and_reasons_masked(engine: sa.Engine) -> None:
    given_world(engine)
    given_move(engine, Operation.PAUSE, Status.LIVE, Status.PAUSED)
    given_move(engine, Operation.RESUME, Status.PAUSED, Status.LIVE, actor=WORKER, reason=None)
    paused, resumed = (
        rows(engine, tables.notifications, template=template, recipient="u1")[0]["body"]
        for template in ("workflow_paused", "workflow_resumed")
    )
    assert "by Otto" in paused
    assert "Asked for by Ada, password: ***" in paused
    assert "by Breakwater" in resumed
    assert "none was given" in resumed


def test_the_apis_role_can_tell_and_staff_of_no_tenant_are_operations_to_clients(engine: sa.Engine) -> None:
    given_world(engine, contacts=[STRANGER])
    given_move(engine, Operation.PAUSE, Status.LIVE, Status.PAUSED, role="breakwater_api")
    told = rows(engine, tables.notifications)
    assert {n["recipient"] for n in told if n["audience"] == "client"} == {"ada@acme.example", "bob@acme.example", "u1"}
    assert all("by operations" in n["body"] for n in told)


def test_each_move_is_told_again_and_each_block_once(engine: sa.Engine) -> None:
    given_world(engine)
    for _ in range(2):
        given_move(engine, Operation.PAUSE, Status.LIVE, Status.PAUSED)
        given_move(engine, Operation.BLOCK, Status.LIVE, Status.BLOCKED)
    told = [n["template"] for n in rows(engine, tables.notifications, recipient="u1")]
    assert sorted(told) == ["automation_blocked"] * 2 + ["workflow_paused"] * 2


def test_what_clients_are_told_of_an_automatic_block_waits_and_others_are_told_at_once(engine: sa.Engine) -> None:
    given_world(engine)
    options = LifecycleOptions(channels=EVERYTHING.channels, guard=GuardPolicy(client_mail_delay=timedelta(minutes=2)))
    given_block(engine, options=options)
    notices = rows(engine, tables.notifications)
    waiting = [n for n in notices if n["audience"] == "client"]
    assert {n["channel"] for n in waiting} == {"email", "in_app"}
    assert {n["status"] for n in waiting} == {"pending"}
    for notice in waiting:
        assert notice["not_before"] - notice["created_at"] >= timedelta(minutes=2)
    assert {n["not_before"] for n in notices if n["audience"] != "client"} == {None}
    with engine.connect() as connection:
        jobs = connection.execute(
            sa.text(
                "SELECT args->>'notification_id', scheduled_at FROM procrastinate_jobs"
                " WHERE task_name = 'deliver_notification'"
            )
        ).all()
    due = dict(jobs)  # type: ignore[arg-type]
    assert {n["id"]: n["not_before"] for n in notices if n["status"] == "pending"} == due
    reasons = rows(engine, tables.block_reasons, kind=BlockKind.CREDENTIALS)
    assert version(engine)["block_episode_id"] == reasons[0]["episode_id"] == waiting[0]["episode_id"]


def test_the_page_of_notifications_names_every_template_channel_and_fault() -> None:
    page = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text()
    for word in (*Template, *Channel, *DeliveryFault):
        assert f"`{word}`" in page, word
