"""Approved baselines, weekly reviews of credits, and the jobs that make them."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

#: Constraint, table, column, the words so far, the new ones.
_WORDS = (
    (
        "notification_template_is_known",
        "notifications",
        "template",
        (
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
        ),
        ("credit_review", "baselines_updated"),
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
            "deploy",
            "pause_workflow",
            "resume_workflow",
            "archive_automation",
            "manage_credentials",
            "provider_incident",
            "hold_decision",
            "end_hold",
            "staff_access",
            "change_system_config",
            "hold_at_gate",
            "release_at_gate",
            "open_case",
            "change_case",
        ),
        ("update_baseline",),
    ),
)

#: Table, and what the API may do with it.
_RIGHTS = (
    ("credit_baselines", "SELECT, INSERT, UPDATE"),
    ("credit_reviews", "SELECT"),
)

_ALL = "(SELECT current_setting('breakwater.tenants', true) = '*')"
_VISIBLE = (
    f"{_ALL} OR tenant_id = ANY ((SELECT CASE"
    " current_setting('breakwater.tenants', true) WHEN '*' THEN NULL"
    " ELSE nullif(current_setting('breakwater.tenants', true), '')::text[] END)::text[])"
)


def upgrade() -> None:
    """Make the tables; the API reads them, and changes baselines."""
    op.create_table(
        "credit_job_runs",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("tick", sa.DateTime(timezone=True), nullable=False, comment="when it was due"),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True, comment="the kind of the last error, never its words"),
        sa.Column("made", sa.Integer(), nullable=True, comment="baselines changed, or reports written"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, comment="of the last try"),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "leased_until", sa.DateTime(timezone=True), nullable=False, comment="a try that runs longer has died"
        ),
        sa.CheckConstraint("(outcome = 'running') = (ended_at IS NULL)", name="a_credit_job_that_ended_has_an_outcome"),
        sa.CheckConstraint("job IN ('update_baselines', 'weekly_review')", name="credit_job_is_known"),
        sa.CheckConstraint("outcome IN ('running', 'done', 'retry', 'failed')", name="credit_job_outcome_is_known"),
        sa.PrimaryKeyConstraint("id", name=op.f("credit_job_runs_pkey")),
        sa.UniqueConstraint("job", "tick", name="one_run_a_tick"),
        comment="What ran by the calendar, one row a tick however many workers there are.",
    )
    op.create_table(
        "credit_baselines",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("scenario", sa.String(length=240), nullable=False),
        sa.Column("job_type", sa.Text(), nullable=True),
        sa.Column("median_credits", sa.Numeric(), nullable=False),
        sa.Column("previous_credits", sa.Numeric(), nullable=True, comment="what was approved before; null: nothing"),
        sa.Column(
            "measured_credits", sa.Numeric(), nullable=True, comment="the median itself, before its move was limited"
        ),
        sa.Column("sample_size", sa.Integer(), nullable=False, comment="healthy runs used"),
        sa.Column(
            "calculated_at", sa.DateTime(timezone=True), nullable=False, comment="event time that its window ends at"
        ),
        sa.Column(
            "effective_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="event time from which on it holds; null: not in force yet, or never",
        ),
        sa.Column(
            "ended_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="event time at which another took its place, or it was decided against",
        ),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(status = 'current') = (effective_at IS NOT NULL AND ended_at IS NULL)",
            name="a_current_baseline_is_in_force",
        ),
        sa.CheckConstraint("origin IN ('measured', 'approved', 'imported')", name="baseline_origin_is_known"),
        sa.CheckConstraint(
            "status IN ('proposed', 'current', 'replaced', 'rejected')", name="baseline_status_is_known"
        ),
        sa.CheckConstraint("median_credits >= 0 AND sample_size >= 0", name="a_baseline_is_not_negative"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_baseline_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("id", name=op.f("credit_baselines_pkey")),
        comment="All that ever were approved or proposed.",
    )
    op.create_index(
        "baselines_by_scenario", "credit_baselines", ["tenant_id", "scenario", "effective_at"], unique=False
    )
    op.create_index(
        "one_current_and_one_proposed_baseline_a_scenario",
        "credit_baselines",
        ["tenant_id", "scenario", "status"],
        unique=True,
        postgresql_where=sa.text("status IN ('current', 'proposed')"),
    )
    op.create_table(
        "credit_reviews",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=True),
        sa.Column("iso_week", sa.Text(), nullable=False, comment="2026-W04"),
        sa.Column("revision", sa.Integer(), nullable=False, comment="from 1 on"),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("total_credits", sa.Numeric(), nullable=False),
        sa.Column("total_runs", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False, comment="the report, JSON, byte for byte as in its file"),
        sa.Column("sha256", sa.String(length=64), nullable=False, comment="of the document"),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("revision >= 1", name="revisions_begin_at_one"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_review_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("id", name=op.f("credit_reviews_pkey")),
        sa.UniqueConstraint(
            "tenant_id", "iso_week", "revision", name="one_review_a_revision", postgresql_nulls_not_distinct=True
        ),
        comment="A null tenant is all of them together. A rerun adds a revision.",
    )
    for table, rights in _RIGHTS:
        _let_the_api(table, rights, _VISIBLE)
    _let_the_api("credit_job_runs", "SELECT", _ALL)
    for name, table, column, known, new in _WORDS:
        _set_words(name, table, column, (*known, *new))


def downgrade() -> None:
    """Drop them, with what was told and recorded of them."""
    op.execute("ALTER TABLE audit_logs DISABLE TRIGGER USER")
    for name, table, column, known, new in _WORDS:
        op.execute(f"DELETE FROM {table} WHERE {column} IN ({_listed(new)})")  # noqa: S608  (words of our own)
        _set_words(name, table, column, known)
    op.execute("ALTER TABLE audit_logs ENABLE TRIGGER USER")
    for table in ("credit_job_runs", "credit_reviews", "credit_baselines"):
        op.drop_table(table)


def _let_the_api(table: str, rights: str, visible: str) -> None:
    op.execute(f"GRANT {rights} ON {table} TO breakwater_api")
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY rows_of_the_named_tenants ON {table} TO breakwater_api USING ({visible}) WITH CHECK ({visible})"
    )


def _set_words(name: str, table: str, column: str, words: tuple[str, ...]) -> None:
    op.drop_constraint(name, table)
    op.create_check_constraint(name, table, f"{column} IN ({_listed(words)})")


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)
