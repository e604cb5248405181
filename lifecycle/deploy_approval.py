"""A second person's word before a deploy, where the policy asks for it (30.5)."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.ids import stable_id
from lifecycle.kinds import AuditAction, Priority, TaskContext, TaskKind, TaskStatus
from lifecycle.options import LifecycleOptions
from lifecycle.texts import one_line
from lifecycle.versions import LockedVersion

_tasks, _audit = tables.tasks.c, tables.audit_logs.c


def request_approval(connection: sa.Connection, version: LockedVersion, options: LifecycleOptions) -> None:
    """Add the task whose completion is the approval; once each time that the version comes to Ready to Launch."""
    connection.execute(
        insert(tables.tasks).on_conflict_do_nothing(),
        {
            "id": stable_id("approve_deploy", version.tenant_id, _key(version)),
            "tenant_id": version.tenant_id,
            "project_id": version.project_id,
            "automation_version_id": version.id,
            "context_type": TaskContext.AUTOMATION_VERSION,
            "context_id": version.id,
            "kind": TaskKind.APPROVAL,
            "idempotency_key": _key(version),
            "title": one_line(f"Approve the deployment of “{version.automation_name}”, version {version.version}"),
            "description": (
                "Completing this task is the approval. It counts when somebody other than the one who deploys"
                f" completes it. {options.version_link(version.id)}"
            ),
            "priority": Priority.HIGH,
            "created_by_system": True,
        },
    )


def is_approved(connection: sa.Connection, version: LockedVersion, actor_context: ActorContext) -> bool:
    """Whether somebody other than the one who deploys has completed the task. Who did is in the audit rows."""
    approver = connection.execute(
        sa.select(_audit.actor_user_id)
        .join(tables.tasks, sa.cast(_tasks.id, sa.Text) == _audit.resource_id)
        .where(
            _tasks.tenant_id == version.tenant_id,
            _tasks.idempotency_key == _key(version),
            _tasks.status == TaskStatus.COMPLETE,
            _audit.action_type == AuditAction.UPDATE_TASK,
            _audit.resource_type == "task",
            _audit.metadata["to_status"].astext == TaskStatus.COMPLETE,
            _audit.actor_user_id.is_not(None),
        )
        .order_by(_audit.id.desc())
        .limit(1)
    ).scalar()
    return approver is not None and approver != actor_context.user_id


def _key(version: LockedVersion) -> str:
    return f"approve_deploy:{version.id}:{version.updated_at.isoformat()}"
