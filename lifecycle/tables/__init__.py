"""Every table of the lifecycle as SQLAlchemy Core; the migrations are proven equal to it."""

from lifecycle.tables.admissions import admissions, enforcement_leaks, gate_holds
from lifecycle.tables.breaker import blacklist_version, breaker_probes, system_config, system_config_versions
from lifecycle.tables.cases import credit_case_actions, credit_case_runs, credit_cases
from lifecycle.tables.columns import metadata
from lifecycle.tables.credentials import automation_version_credentials, credential_events, credentials
from lifecycle.tables.credits import credit_ledger_heads, credit_runs
from lifecycle.tables.decisions import (
    dead_letters,
    decision_evidence,
    decisions,
    stuck_executions,
    workflow_blacklist,
)
from lifecycle.tables.deploys import platform_intents
from lifecycle.tables.guard import automatic_stops, holds, provider_incidents
from lifecycle.tables.notion import notion_cursors, notion_outages, notion_pages
from lifecycle.tables.projects import payments, pricing_config, project_artifacts, qa_results, quotes
from lifecycle.tables.receipts import run_receipts
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
from lifecycle.tables.reviews import credit_baselines, credit_job_runs, credit_reviews
from lifecycle.tables.work import (
    audit_logs,
    channel_outages,
    deliveries,
    notice_silences,
    notifications,
    outbox_events,
    task_decisions,
    tasks,
)

#: Tables that nobody may rewrite: a trigger refuses UPDATE, DELETE and TRUNCATE (30.2).
APPEND_ONLY_TABLES = ("audit_logs", "automation_versions_status_history", "credit_runs", "run_receipts")

__all__ = [
    "APPEND_ONLY_TABLES",
    "admissions",
    "audit_logs",
    "automatic_stops",
    "automation_version_credentials",
    "automation_versions",
    "automation_versions_status_history",
    "automations",
    "blacklist_version",
    "block_reasons",
    "breaker_probes",
    "channel_outages",
    "contacts",
    "credential_events",
    "credentials",
    "credit_baselines",
    "credit_case_actions",
    "credit_case_runs",
    "credit_cases",
    "credit_job_runs",
    "credit_ledger_heads",
    "credit_reviews",
    "credit_runs",
    "dead_letters",
    "decision_evidence",
    "decisions",
    "deliveries",
    "enforcement_leaks",
    "gate_holds",
    "holds",
    "memberships",
    "metadata",
    "notice_silences",
    "notifications",
    "notion_cursors",
    "notion_outages",
    "notion_pages",
    "outbox_events",
    "payments",
    "platform_intents",
    "pricing_config",
    "project_artifacts",
    "projects",
    "provider_incidents",
    "qa_results",
    "quotes",
    "run_receipts",
    "stuck_executions",
    "system_config",
    "system_config_versions",
    "systems",
    "task_decisions",
    "tasks",
    "tenants",
    "users",
    "workflow_bindings",
    "workflow_blacklist",
    "workflows",
]
