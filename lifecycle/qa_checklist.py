"""The tasks of QA, which a version finds when it comes there (30.3)."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.ids import stable_id
from lifecycle.kinds import Priority, TaskContext, TaskKind
from lifecycle.texts import one_line
from lifecycle.versions import LockedVersion

#: Key and title of each; a version has each once, however often it comes back to QA.
CHECKLIST = (
    ("regression", "Run the regression tests"),
    ("integrations", "Run the automation against every connected system"),
    ("error_paths", "Check what happens when a step fails"),
    ("runbook", "Follow the runbook once"),
)


def queue_qa_checklist(connection: sa.Connection, version: LockedVersion) -> None:
    """Add the tasks that the version does not have yet, in the caller's transaction."""
    connection.execute(
        insert(tables.tasks).on_conflict_do_nothing(),
        [
            {
                "id": stable_id("qa_checklist", version.tenant_id, version.id, key),
                "tenant_id": version.tenant_id,
                "project_id": version.project_id,
                "automation_version_id": version.id,
                "context_type": TaskContext.AUTOMATION_VERSION,
                "context_id": version.id,
                "kind": TaskKind.QA_CHECKLIST,
                "idempotency_key": f"qa_checklist:{version.id}:{key}",
                "title": one_line(f"{title}: {version.automation_name}, version {version.version}"),
                "priority": Priority.MEDIUM,
                "created_by_system": True,
            }
            for key, title in CHECKLIST
        ],
    )
