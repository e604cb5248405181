"""What the admission gate answered, what it holds back, and what started in spite of it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0014"
down_revision = "0013"

_AUDIT_ACTIONS = (
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
)
_NEW_ACTIONS = ("hold_at_gate", "release_at_gate")

_VISIBLE = (
    "(SELECT current_setting('breakwater.tenants', true) = '*') OR tenant_id = ANY ((SELECT CASE"
    " current_setting('breakwater.tenants', true) WHEN '*' THEN NULL"
    " ELSE nullif(current_setting('breakwater.tenants', true), '')::text[] END)::text[])"
)


def upgrade() -> None:
    """Make the tables; the API answers and holds back, and reads what leaked."""
    op.create_table(
        "admissions",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("idempotency_key", sa.String(length=128), nullable=False),
        sa.Column("execution_id", UUID(), nullable=False, comment="follows from tenant and key"),
        sa.Column("workflow_id", sa.String(length=128), nullable=False),
        sa.Column(
            "automation_version_id",
            sa.String(length=128),
            nullable=True,
            comment="the one that runs, or whose status forbids it",
        ),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True, comment="why not; null when admitted"),
        sa.Column("probe", sa.Boolean(), nullable=False, comment="let through to see whether the workflow works again"),
        sa.Column(
            "position",
            sa.Text(),
            nullable=True,
            comment="topic/partition/offset of the request; null when it came by HTTP",
        ),
        sa.Column(
            "decided_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("trigger IN ('schedule', 'webhook', 'api', 'manual')", name="trigger_is_known"),
        sa.CheckConstraint("verdict IN ('admitted', 'refused')", name="verdict_is_known"),
        sa.CheckConstraint(
            "code IN ('workflow_blacklisted', 'automation_blocked', 'automation_paused', 'automation_archived',"
            " 'automation_not_live', 'workflow_on_hold')",
            name="refusal_code_is_known",
        ),
        sa.CheckConstraint("(verdict = 'refused') = (code IS NOT NULL)", name="a_refusal_says_why"),
        sa.PrimaryKeyConstraint("tenant_id", "idempotency_key", name="admissions_pkey"),
        sa.UniqueConstraint("execution_id", name="an_execution_is_admitted_once"),
        comment="Each answer once; whoever asks again with the key gets the same.",
    )
    op.create_index("admissions_by_time", "admissions", ["decided_at"], postgresql_using="brin")
    op.create_table(
        "gate_holds",
        sa.Column("id", UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("workflow_id", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("case_id", UUID(), nullable=True, comment="the credit case that asked for it"),
        sa.Column(
            "execution_id",
            sa.String(length=128),
            nullable=True,
            comment="of block_dispatch: whose downstream requests are refused",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('quarantine', 'block_dispatch', 'require_ack')", name="gate_hold_kind_is_known"),
        sa.CheckConstraint(
            "(released_at IS NULL) = (released_by IS NULL)", name="a_released_gate_hold_has_time_and_author"
        ),
        sa.CheckConstraint(
            "kind <> 'block_dispatch' OR execution_id IS NOT NULL", name="a_dispatch_is_blocked_for_an_execution"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_gate_hold_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("id", name="gate_holds_pkey"),
    )
    op.create_index(
        "one_gate_hold_of_a_kind_case_and_execution",
        "gate_holds",
        ["tenant_id", "workflow_id", "kind", "case_id", "execution_id"],
        unique=True,
        postgresql_where=sa.text("released_at IS NULL"),
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "enforcement_leaks",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("workflow_id", sa.String(length=128), nullable=False),
        sa.Column("execution_id", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="event time of its first sign of life",
        ),
        sa.Column("forbidden_at", sa.DateTime(timezone=True), nullable=True, comment="since when it was forbidden"),
        sa.Column("found_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('without_admission', 'after_block')", name="leak_kind_is_known"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_leak_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("tenant_id", "workflow_id", "execution_id", name="enforcement_leaks_pkey"),
        comment="Runs that started though the gate had not let them, or too long after it was forbidden.",
    )
    op.create_index("leaks_by_time", "enforcement_leaks", ["found_at"])
    _protect("admissions", "SELECT, INSERT")
    _protect("gate_holds", "SELECT, INSERT, UPDATE")
    _protect("enforcement_leaks", "SELECT")
    _set_actions(*_AUDIT_ACTIONS, *_NEW_ACTIONS)


def downgrade() -> None:
    """Drop them, with what was audited of them."""
    listed = ", ".join(f"'{word}'" for word in _NEW_ACTIONS)
    op.execute("ALTER TABLE audit_logs DISABLE TRIGGER USER")
    op.execute(f"DELETE FROM audit_logs WHERE action_type IN ({listed})")  # noqa: S608  (words of our own)
    op.execute("ALTER TABLE audit_logs ENABLE TRIGGER USER")
    _set_actions(*_AUDIT_ACTIONS)
    for table in ("enforcement_leaks", "gate_holds", "admissions"):
        op.drop_table(table)


def _protect(table: str, rights: str) -> None:
    op.execute(f"GRANT {rights} ON {table} TO breakwater_api")
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY rows_of_the_named_tenants ON {table} TO breakwater_api"
        f" USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})"
    )


def _set_actions(*words: str) -> None:
    op.drop_constraint("audit_action_is_known", "audit_logs")
    listed = ", ".join(f"'{word}'" for word in words)
    op.create_check_constraint("audit_action_is_known", "audit_logs", f"action_type IN ({listed})")
