"""New words in closed lists, how blocks end, and notices that wait."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

#: Constraint, table, column, the words so far, the new ones.
_WORDS = (
    (
        "notification_template_is_known",
        "notifications",
        "template",
        ("automation_blocked", "credentials_failed_critical", "workflow_blacklisted", "silence"),
        (
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
        ),
    ),
    (
        "notification_channel_is_known",
        "notifications",
        "channel",
        ("email", "in_app"),
        ("slack", "webhook", "on_call"),
    ),
    ("delivery_channel_is_known", "deliveries", "channel", ("email", "in_app"), ("slack", "webhook", "on_call")),
    (
        "notification_audience_is_known",
        "notifications",
        "audience",
        ("client", "ops", "platform_admin"),
        ("on_call", "analytics"),
    ),
    (
        "audit_action_is_known",
        "audit_logs",
        "action_type",
        (
            "update_status",
            "block_automation",
            "unblock_automation",
            "blacklist_workflow",
            "release_workflow",
            "create_task",
            "update_task",
        ),
        (
            "deploy",
            "pause_workflow",
            "resume_workflow",
            "archive_automation",
            "manage_credentials",
            "provider_incident",
            "hold_decision",
            "end_hold",
            "staff_access",
        ),
    ),
    ("decision_outcome_is_known", "decisions", "outcome", ("applied", "refused"), ("held",)),
)


def upgrade() -> None:
    """Let the words in; add the columns."""
    for name, table, column, known, new in _WORDS:
        _set_words(name, table, column, (*known, *new))
    op.add_column(
        "block_reasons",
        sa.Column(
            "occurred_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="event time of the decision; null when there was none",
        ),
    )
    op.add_column("block_reasons", sa.Column("cleared_by", sa.Text(), nullable=True))
    op.add_column("block_reasons", sa.Column("clearing", sa.Text(), nullable=True))
    op.create_check_constraint(
        "clearing_is_known",
        "block_reasons",
        "clearing IN ('verified', 'completed', 'override', 'provider_incident', 'archived')",
    )
    op.create_check_constraint(
        "a_cleared_reason_says_when_how_and_by_whom",
        "block_reasons",
        "(cleared_at IS NULL) = (cleared_by IS NULL) AND (cleared_at IS NULL) = (clearing IS NULL)",
    )
    op.create_index(
        "block_reasons_by_event_time",
        "block_reasons",
        ["occurred_at"],
        postgresql_where=sa.text("decision_id IS NOT NULL"),
    )
    op.create_index("block_reasons_by_version", "block_reasons", ["tenant_id", "automation_version_id", "opened_at"])
    op.add_column(
        "contacts",
        sa.Column(
            "champion",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="is told before a launch too",
        ),
    )
    op.add_column(
        "notifications",
        sa.Column(
            "not_before",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="waits until then, so that it can be cancelled",
        ),
    )
    op.create_index("notifications_by_episode", "notifications", ["episode_id"])


def downgrade() -> None:
    """Take it all out again, with what was written in the new words."""
    op.drop_index("notifications_by_episode", "notifications")
    op.drop_column("notifications", "not_before")
    op.drop_column("contacts", "champion")
    op.drop_index("block_reasons_by_version", "block_reasons")
    op.drop_index("block_reasons_by_event_time", "block_reasons")
    op.drop_constraint("a_cleared_reason_says_when_how_and_by_whom", "block_reasons")
    op.drop_constraint("clearing_is_known", "block_reasons")
    for column in ("clearing", "cleared_by", "occurred_at"):
        op.drop_column("block_reasons", column)
    op.execute("ALTER TABLE audit_logs DISABLE TRIGGER USER")
    for _, table, column, _, new in reversed(_WORDS):
        if table != "decisions":
            op.execute(f"DELETE FROM {table} WHERE {column} IN ({_listed(new)})")  # noqa: S608  (words of our own)
    op.execute("UPDATE decisions SET outcome = 'refused' WHERE outcome = 'held'")
    op.execute("ALTER TABLE audit_logs ENABLE TRIGGER USER")
    for name, table, column, known, _ in _WORDS:
        _set_words(name, table, column, known)


def _set_words(name: str, table: str, column: str, words: tuple[str, ...]) -> None:
    op.drop_constraint(name, table)
    op.create_check_constraint(name, table, f"{column} IN ({_listed(words)})")


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)
