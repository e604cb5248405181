"""Every table of the lifecycle as SQLAlchemy Core; the migrations are proven equal to it."""

from lifecycle.tables.columns import metadata
from lifecycle.tables.decisions import (
    dead_letters,
    decision_evidence,
    decisions,
    stuck_executions,
    workflow_blacklist,
)
from lifecycle.tables.registry import (
    automation_versions,
    automation_versions_status_history,
    automations,
    block_reasons,
    contacts,
    memberships,
    projects,
    systems,
    tenants,
    users,
    workflow_bindings,
    workflows,
)
from lifecycle.tables.work import audit_logs, deliveries, notifications, outbox_events, tasks

#: Tables that nobody may rewrite: a trigger refuses UPDATE, DELETE and TRUNCATE (30.2).
APPEND_ONLY_TABLES = ("audit_logs", "automation_versions_status_history")

__all__ = [
    "APPEND_ONLY_TABLES",
    "audit_logs",
    "automation_versions",
    "automation_versions_status_history",
    "automations",
    "block_reasons",
    "contacts",
    "dead_letters",
    "decision_evidence",
    "decisions",
    "deliveries",
    "memberships",
    "metadata",
    "notifications",
    "outbox_events",
    "projects",
    "stuck_executions",
    "systems",
    "tasks",
    "tenants",
    "users",
    "workflow_bindings",
    "workflow_blacklist",
    "workflows",
]
