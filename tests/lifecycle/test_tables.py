"""The database itself refuses what must not be (30.2)."""

import pytest
import sqlalchemy as sa

from tests.lifecycle.given import given_world

EPISODE = "'00000000-0000-5000-8000-000000000001'"
TASK = (
    "INSERT INTO tasks (tenant_id, automation_version_id, context_type, context_id, kind, system_key, title{more})"
    " VALUES ('t1', 'v1', 'automation_version', 'v1', '{kind}', {system}, 'x'{values})"
)
BLACKLIST = (
    "INSERT INTO workflow_blacklist (tenant_id, workflow_id, workflow_name, source, reason, blacklisted_by{more})"
    " VALUES ('t1', 'wf1', 'x', 'auto', 'x', 'x'{values})"
)


def task(kind: str = "credentials_issue", system: str = "'crm'", more: str = "", values: str = "") -> str:
    """An insertion of a task."""
    return TASK.format(kind=kind, system=system, more=more, values=values)


def blacklist(more: str = "", values: str = "") -> str:
    """An insertion into the blacklist."""
    return BLACKLIST.format(more=more, values=values)


VERSION = "UPDATE automation_versions SET {} WHERE id = 'v1'"
AUDIT = (
    "INSERT INTO audit_logs (tenant_id, actor, invoked_via, system_initiated, action_type, resource_type, resource_id)"
    " VALUES ('t1', 'x', 'x', true, 'update_status', 'x', 'x')"
)
SECOND_LIVE = (
    "INSERT INTO automation_versions (id, tenant_id, automation_id, version, status)"
    " VALUES ('v1b', 't1', 'a1', 2, 'Live')"
)
BLOCKED = f"status = 'Blocked', blocked_from_status = 'Live', blocked_at = now(), block_episode_id = {EPISODE}"

REFUSED = [
    pytest.param([VERSION.format("status = 'live'")], "status_is_known", id="a status in other letters"),
    pytest.param([VERSION.format("status = 'Blocked'")], "blocked_has_reason", id="blocked without a reason"),
    pytest.param([VERSION.format(BLOCKED)], "blocked_has_reason", id="blocked with all but the reason"),
    pytest.param(
        [VERSION.format(f"{BLOCKED}, blocked_reason = '  '")], "blocked_has_reason", id="blocked with a blank reason"
    ),
    pytest.param(
        [VERSION.format("status = 'Blocked', blocked_reason = 'x'")], "blocked_has_reason", id="blocked from nowhere"
    ),
    pytest.param([VERSION.format("blocked_reason = 'x'")], "blocked_has_reason", id="live with a reason"),
    pytest.param([VERSION.format("blocked_from_status = 'Live'")], "blocked_has_reason", id="live with an origin"),
    pytest.param(
        [VERSION.format(f"{BLOCKED}, blocked_reason = 'x'".replace("'Live'", "'Archived'"))],
        "blocked_from_a_status_that_can_be_returned_to",
        id="blocked from the end",
    ),
    pytest.param(
        [VERSION.format(f"{BLOCKED}, blocked_reason = 'x'".replace("'Live'", "'Blocked'"))],
        "blocked_from_a_status_that_can_be_returned_to",
        id="blocked from blocked",
    ),
    pytest.param([VERSION.format("status = 'Archived'")], "archived_has_time", id="archived at no time"),
    pytest.param([VERSION.format("archived_at = now()")], "archived_has_time", id="live and archived"),
    pytest.param(
        [SECOND_LIVE],
        "one_live_version_per_automation",
        id="two live versions of an automation",
    ),
    pytest.param(
        ["INSERT INTO automation_versions (id, tenant_id, automation_id, version) VALUES ('v3', 't1', 'a2', 2)"],
        "a_version_belongs_to_an_automation_of_its_tenant",
        id="a version of another tenant's automation",
    ),
    pytest.param(
        [task().replace("'t1'", "'t2'")],
        "a_task_is_of_a_version_of_its_tenant",
        id="a task on another tenant's version",
    ),
    pytest.param(
        ["UPDATE workflow_bindings SET wrk_workflow_id = 'wf2' WHERE tenant_id = 't1'"],
        "a_binding_is_to_a_workflow_of_its_tenant",
        id="a binding to another tenant's workflow",
    ),
    pytest.param(
        ["UPDATE workflow_bindings SET wrk_workflow_id = NULL WHERE tenant_id = 't1'"],
        "a_usable_binding_has_a_workflow",
        id="an active binding to nothing",
    ),
    pytest.param([task(), task()], "one_open_task_per_version_kind_and_system", id="two open tasks of a system"),
    pytest.param(
        [task(system="NULL"), task(system="NULL")],
        "one_open_task_per_version_kind_and_system",
        id="two open tasks of no system",
    ),
    pytest.param(
        [task("remediation", "NULL"), task("remediation", "NULL")],
        "one_open_task_per_version_kind_and_system",
        id="two open remediations",
    ),
    pytest.param(
        [task("general_todo", more=", idempotency_key", values=", 'k'")] * 2,
        "one_task_per_idempotency_key",
        id="an idempotency key twice",
    ),
    pytest.param([task("fix_it")], "task_kind_is_known", id="a kind of task that is none"),
    pytest.param(
        [task(more=", status", values=", 'in_progress'")],
        "a_task_in_progress_has_an_assignee",
        id="worked on by nobody",
    ),
    pytest.param([blacklist()] * 2, "one_active_blacklist_row_per_workflow", id="blacklisted twice"),
    pytest.param(
        [blacklist(", removed_at", ", now()")],
        "a_removal_from_the_blacklist_has_time_and_author",
        id="removed by nobody",
    ),
    pytest.param(
        [blacklist(", execution_ids", ", array_fill('x'::text, array[21])")],
        "blacklist_names_at_most_20_executions",
        id="21 executions",
    ),
    pytest.param(
        ["UPDATE projects SET status = 'Blocked'"], "project_status_is_a_delivery_status", id="a blocked project"
    ),
    pytest.param([AUDIT, "UPDATE audit_logs SET actor = 'y'"], "audit_logs is append-only", id="audit: changed"),
    pytest.param([AUDIT, "DELETE FROM audit_logs"], "audit_logs is append-only", id="audit: deleted"),
    pytest.param(["TRUNCATE audit_logs"], "audit_logs is append-only", id="audit: emptied"),
    pytest.param(
        ["UPDATE automation_versions_status_history SET actor = 'y'"], "is append-only", id="history: changed"
    ),
    pytest.param(["DELETE FROM automation_versions_status_history"], "is append-only", id="history: deleted"),
    pytest.param(["TRUNCATE automation_versions_status_history"], "is append-only", id="history: emptied"),
]

ALLOWED = [
    pytest.param([VERSION.format(f"{BLOCKED}, blocked_reason = 'x'")], id="blocked with all that belongs to it"),
    pytest.param([task(), task(system="'mail'"), task("remediation")], id="tasks of several systems and kinds"),
    pytest.param(
        [task(more=", status, completed_at", values=", 'complete', now()"), task()], id="a new task after a closed one"
    ),
    pytest.param([task("general_todo"), task("general_todo")], id="two tasks that block nothing"),
    pytest.param([blacklist(", removed_at, removed_by", ", now(), 'x'"), blacklist()], id="blacklisted again"),
    pytest.param(
        [VERSION.format("status = 'Paused'"), "UPDATE automation_versions SET version = 2 WHERE id = 'v1'"],
        id="paused: no live version",
    ),
]


def run(engine: sa.Engine, statements: list[str]) -> None:
    """Run statements in one transaction."""
    given_world(engine)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize(("statements", "because"), REFUSED)
def test_the_database_refuses(engine: sa.Engine, statements: list[str], because: str) -> None:
    with pytest.raises(sa.exc.IntegrityError, match=because):
        run(engine, statements)


@pytest.mark.parametrize("statements", ALLOWED)
def test_the_database_allows(engine: sa.Engine, statements: list[str]) -> None:
    run(engine, statements)
