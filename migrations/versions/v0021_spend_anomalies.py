"""Notices of spend anomalies."""

from alembic import op

revision = "0021"
down_revision = "0020"

_TEMPLATES = (
    "automation_blocked",
    "credentials_failed_critical",
    "workflow_blacklisted",
    "silence",
    "build_started",
    "qa_started",
    "ready_to_launch",
    "automation_unblocked",
    "automation_live",
    "deployment_success",
    "deployment_problem",
    "workflow_paused",
    "workflow_resumed",
    "archived",
    "provider_incident",
    "decisions_held",
    "channel_failing",
    "workflow_released",
    "credit_case",
    "credit_case_overdue",
    "credit_health",
    "credit_review",
    "baselines_updated",
)


def upgrade() -> None:
    """Let notices have the template."""
    _set_templates(*_TEMPLATES, "spend_anomaly")


def downgrade() -> None:
    """Notices of spend anomalies are gone with their template."""
    op.execute("DELETE FROM notifications WHERE template = 'spend_anomaly'")
    _set_templates(*_TEMPLATES)


def _set_templates(*words: str) -> None:
    op.drop_constraint("notification_template_is_known", "notifications")
    listed = ", ".join(f"'{word}'" for word in words)
    op.create_check_constraint("notification_template_is_known", "notifications", f"template IN ({listed})")
