"""Credit cases: their timelines, what was done about them, and how they are told of."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0017"
down_revision = "0016"

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
        ),
        ("credit_case", "credit_case_overdue", "credit_health"),
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
        ),
        ("open_case", "change_case"),
    ),
)

_TABLES = ("credit_cases", "credit_case_runs", "credit_case_actions")

_VISIBLE = (
    "(SELECT current_setting('breakwater.tenants', true) = '*') OR tenant_id = ANY ((SELECT CASE"
    " current_setting('breakwater.tenants', true) WHEN '*' THEN NULL"
    " ELSE nullif(current_setting('breakwater.tenants', true), '')::text[] END)::text[])"
)

#: What migration 0010 made; a case is named by the id that people use.
_TENANT_OF = """
CREATE OR REPLACE FUNCTION tenant_of(kind text, id text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    RETURN CASE kind
        WHEN 'automation_version' THEN (SELECT t.tenant_id FROM automation_versions t WHERE t.id = $2)
        WHEN 'automation' THEN (SELECT t.tenant_id FROM automations t WHERE t.id = $2)
        WHEN 'project' THEN (SELECT t.tenant_id FROM projects t WHERE t.id = $2)
        WHEN 'workflow' THEN (SELECT t.tenant_id FROM workflows t WHERE t.workflow_id = $2)
        WHEN 'credential' THEN (SELECT t.tenant_id FROM credentials t WHERE t.id = $2)
        WHEN 'task' THEN (SELECT t.tenant_id FROM tasks t WHERE t.id::text = $2)
        WHEN 'hold' THEN (SELECT t.tenant_id FROM holds t WHERE t.id::text = $2)
        WHEN 'decision' THEN (SELECT t.tenant_id FROM decisions t WHERE t.decision_id::text = $2){more}
    END;
END
$$
"""
_OF_CASES = """
        WHEN 'credit_case' THEN (SELECT t.tenant_id FROM credit_cases t WHERE t.case_id = $2)"""


def upgrade() -> None:
    """Make the tables; the API reads and changes cases."""
    op.create_table(
        "credit_cases",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False, comment="CASE-YYYYMMDD-XXXXXX, the name that people use"),
        sa.Column("scenario", sa.String(length=240), nullable=False),
        sa.Column("job_type", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.String(length=128), nullable=False, comment="of the primary run"),
        sa.Column("primary_execution_id", sa.String(length=128), nullable=False),
        sa.Column("automation_version_id", sa.String(length=128), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("exposure_band", sa.Text(), nullable=False),
        sa.Column(
            "sensitive_flags", ARRAY(sa.Text()), nullable=False, comment="those of its runs that tell of data at risk"
        ),
        sa.Column("status", sa.Text(), server_default=sa.text("'Open'"), nullable=False),
        sa.Column("stage", sa.String(length=120), nullable=True),
        sa.Column("wt_gate_for_automation", sa.String(length=120), nullable=True),
        sa.Column("wt_gate_verdict", sa.String(length=500), nullable=True),
        sa.Column("root_cause", sa.Text(), nullable=True),
        sa.Column("fix", sa.String(length=4000), nullable=True),
        sa.Column(
            "recurrence_notes", sa.String(length=4000), nullable=True, comment="how it is kept from happening again"
        ),
        sa.Column("slack_thread_url", sa.String(length=2048), nullable=True),
        sa.Column(
            "reopened_from",
            sa.Uuid(as_uuid=False),
            nullable=True,
            comment="the resolved case that this one goes on from",
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("acknowledge_by", sa.DateTime(timezone=True), nullable=True, comment="null: nobody waits for it"),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column(
            "escalated_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when on-call was told that nobody had acknowledged it in time",
        ),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(status = 'Resolved') = (resolved_at IS NOT NULL) AND (status = 'Resolved') = (resolved_by IS NOT NULL)",
            name="a_resolved_case_has_time_and_author",
        ),
        sa.CheckConstraint(
            "NOT (status = 'Resolved') OR root_cause IS NOT NULL", name="a_resolved_case_has_a_root_cause"
        ),
        sa.CheckConstraint(
            "NOT (status = 'Resolved') OR severity = 'SEV2' OR recurrence_notes IS NOT NULL",
            name="a_grave_case_is_resolved_with_recurrence_notes",
        ),
        sa.CheckConstraint("case_id ~ '^CASE-[0-9]{8}-[A-Z0-9]{6}$'", name="a_case_id_has_its_form"),
        sa.CheckConstraint(
            "category IN ('Cost/Credits', 'Data/PII', 'Delivery/Email', 'Filing/Regulatory', 'Reliability', 'Other')",
            name="case_category_is_known",
        ),
        sa.CheckConstraint(
            "exposure_band IN ('Regulatory', 'Financial', 'Privacy', 'Operational')", name="case_exposure_is_known"
        ),
        sa.CheckConstraint(
            "root_cause IN ('Misconfig', 'Legit Load', 'External Dependency', 'Unknown')",
            name="case_root_cause_is_known",
        ),
        sa.CheckConstraint("severity IN ('SEV0', 'SEV1', 'SEV2')", name="case_severity_is_known"),
        sa.CheckConstraint(
            "status IN ('Open', 'Investigating', 'Mitigating', 'Resolved')", name="case_status_is_known"
        ),
        sa.CheckConstraint(
            "(acknowledged_at IS NULL) = (acknowledged_by IS NULL)", name="an_acknowledged_case_has_time_and_author"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "reopened_from"],
            ["credit_cases.tenant_id", "credit_cases.id"],
            name="a_case_is_reopened_in_its_tenant",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_case_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("id", name=op.f("credit_cases_pkey")),
        sa.UniqueConstraint("case_id", name="a_case_id_is_given_once"),
        sa.UniqueConstraint("tenant_id", "id", name="a_case_is_found_by_tenant_and_id"),
    )
    op.create_index("cases_by_tenant_and_time", "credit_cases", ["tenant_id", "opened_at", "id"], unique=False)
    op.create_index("cases_by_time", "credit_cases", ["opened_at", "id"], unique=False)
    op.create_index(
        "cases_to_acknowledge",
        "credit_cases",
        ["acknowledge_by"],
        unique=False,
        postgresql_where=sa.text("acknowledged_at IS NULL AND escalated_at IS NULL AND NOT (status = 'Resolved')"),
    )
    op.create_index(
        "one_open_case_per_scenario",
        "credit_cases",
        ["tenant_id", "scenario"],
        unique=True,
        postgresql_where=sa.text("NOT (status = 'Resolved')"),
    )
    op.create_table(
        "credit_case_actions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("case_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.String(length=128), nullable=True, comment="null: the case as a whole"),
        sa.Column("execution_id", sa.String(length=128), nullable=True, comment="null: the workflow as a whole"),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column(
            "episode_id",
            sa.Uuid(as_uuid=False),
            nullable=True,
            comment="of the notice that is the action; its delivery is the result",
        ),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True, comment="null while planned"),
        sa.CheckConstraint(
            "action IN ('quarantine', 'block_dispatch', 'create_case', 'page_lock', 'slack_escalate', 'slack_alert', 'require_ack_before_rerun', 'log_case_optional', 'weekly_review')",
            name="case_action_is_known",
        ),
        sa.CheckConstraint("result IN ('planned', 'done', 'failed', 'not_configured')", name="action_result_is_known"),
        sa.CheckConstraint("severity IN ('SEV0', 'SEV1', 'SEV2')", name="action_severity_is_known"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "case_id"],
            ["credit_cases.tenant_id", "credit_cases.id"],
            name="an_action_is_of_a_case_of_its_tenant",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("credit_case_actions_pkey")),
        comment="What each severity of a case asked for, and what became of it.",
    )
    op.create_index(
        "one_action_of_a_kind_severity_and_run",
        "credit_case_actions",
        ["case_id", "action", "severity", "workflow_id", "execution_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "credit_case_runs",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("case_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("workflow_id", sa.String(length=128), nullable=False),
        sa.Column("execution_id", sa.String(length=128), nullable=False),
        sa.Column("decision_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("credits_total", sa.Numeric(), nullable=False),
        sa.Column("baseline_credits", sa.Numeric(), nullable=True),
        sa.Column("variance_multiplier", sa.Double(), nullable=True),
        sa.Column("misconfig_likelihood", sa.Text(), nullable=False),
        sa.Column("risk_flags", ARRAY(sa.Text()), nullable=False),
        sa.Column("risk_summary", sa.Text(), nullable=False),
        sa.Column(
            "artifacts_quarantined",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="nobody should use what the run made",
        ),
        sa.Column("joined_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("severity IN ('SEV0', 'SEV1', 'SEV2')", name="run_severity_is_known"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "case_id"],
            ["credit_cases.tenant_id", "credit_cases.id"],
            name="a_run_is_of_a_case_of_its_tenant",
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "workflow_id", "execution_id", "case_id", name=op.f("credit_case_runs_pkey")
        ),
        comment="The timeline of each case.",
    )
    op.create_index("case_runs_by_case_and_time", "credit_case_runs", ["case_id", "occurred_at"], unique=False)
    op.create_index(
        "credit_runs_of_the_worst", "credit_runs", ["recorded_at"], postgresql_where=sa.text("severity = 'SEV0'")
    )
    for table in _TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO breakwater_api")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY rows_of_the_named_tenants ON {table} TO breakwater_api"
            f" USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})"
        )
    op.execute(_TENANT_OF.format(more=_OF_CASES))
    for name, table, column, known, new in _WORDS:
        _set_words(name, table, column, (*known, *new))


def downgrade() -> None:
    """Drop them, with what was told and recorded of cases."""
    op.execute("ALTER TABLE audit_logs DISABLE TRIGGER USER")
    for name, table, column, known, new in _WORDS:
        op.execute(f"DELETE FROM {table} WHERE {column} IN ({_listed(new)})")  # noqa: S608  (words of our own)
        _set_words(name, table, column, known)
    op.execute("ALTER TABLE audit_logs ENABLE TRIGGER USER")
    op.execute(_TENANT_OF.format(more=""))
    op.drop_index("credit_runs_of_the_worst", "credit_runs")
    for table in reversed(_TABLES):
        op.drop_table(table)


def _set_words(name: str, table: str, column: str, words: tuple[str, ...]) -> None:
    op.drop_constraint(name, table)
    op.create_check_constraint(name, table, f"{column} IN ({_listed(words)})")


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)
