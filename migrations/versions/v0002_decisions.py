"""Decisions, evidence, stuck executions, the blacklist, dead letters."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=True),
        sa.Column("workflow_id", sa.String(length=128), nullable=True),
        sa.Column("automation_version_id", sa.String(length=128), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=False),
        sa.Column("observed", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("threshold", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("outcome", sa.Text(), server_default=sa.text("'applied'"), nullable=False),
        sa.Column("outcome_reason", sa.Text(), nullable=True, comment="what was done, or why nothing was"),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("outcome IN ('applied', 'refused')", name="decision_outcome_is_known"),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("decisions_pkey")),
        comment="Every decision once, whatever became of it.",
    )
    op.create_index(
        "decisions_by_tenant_and_time", "decisions", ["tenant_id", "occurred_at", "decision_id"], unique=False
    )
    op.create_index("decisions_by_time", "decisions", ["occurred_at", "decision_id"], unique=False)
    op.create_index(
        "decisions_by_workflow_and_time", "decisions", ["tenant_id", "workflow_id", "occurred_at"], unique=False
    )
    op.create_table(
        "decision_evidence",
        sa.Column("decision_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False, comment="0 is the oldest"),
        sa.Column("tenant_id", sa.String(length=128), nullable=True),
        sa.Column("event_id", sa.String(length=128), nullable=False),
        sa.Column("source", sa.Text(), nullable=True, comment="topic or file"),
        sa.Column("partition", sa.Integer(), nullable=True),
        sa.Column("offset", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True, comment="of the raw message"),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.decision_id"], name="evidence_is_of_a_decision"),
        sa.PrimaryKeyConstraint("decision_id", "ordinal", name=op.f("decision_evidence_pkey")),
    )
    op.create_table(
        "stuck_executions",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("workflow_id", sa.String(length=128), nullable=False),
        sa.Column("execution_id", sa.String(length=128), nullable=False),
        sa.Column("automation_version_id", sa.String(length=128), nullable=True),
        sa.Column(
            "stuck_at", sa.DateTime(timezone=True), nullable=True, comment="null: so far only its recovery is known"
        ),
        sa.Column("recovered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("stuck_decision_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("recovered_decision_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(stuck_at IS NULL) = (stuck_decision_id IS NULL) AND (recovered_at IS NULL) = (recovered_decision_id IS NULL) AND (stuck_at IS NOT NULL OR recovered_at IS NOT NULL)",
            name="a_stuck_execution_is_stuck_or_recovered",
        ),
        sa.ForeignKeyConstraint(
            ["recovered_decision_id"], ["decisions.decision_id"], name="a_recovered_execution_was_decided"
        ),
        sa.ForeignKeyConstraint(["stuck_decision_id"], ["decisions.decision_id"], name="a_stuck_execution_was_decided"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_stuck_execution_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("tenant_id", "workflow_id", "execution_id", name=op.f("stuck_executions_pkey")),
    )
    op.create_index(
        "stuck_executions_by_time", "stuck_executions", ["tenant_id", "workflow_id", "stuck_at"], unique=False
    )
    op.create_table(
        "workflow_blacklist",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("workflow_id", sa.String(length=128), nullable=False),
        sa.Column("workflow_name", sa.Text(), nullable=False, comment="as it was called then"),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(length=520), nullable=False, comment="auto:stuck:<n> or manual:<note>"),
        sa.Column("stuck_count", sa.Integer(), nullable=True),
        sa.Column("threshold", sa.Integer(), nullable=True),
        sa.Column("window_seconds", sa.Integer(), nullable=True),
        sa.Column("execution_ids", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("decision_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("blacklisted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("blacklisted_by", sa.Text(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed_by", sa.Text(), nullable=True),
        sa.Column("removal_note", sa.String(length=500), nullable=True),
        sa.CheckConstraint("source IN ('auto', 'manual', 'policy')", name="blacklist_source_is_known"),
        sa.CheckConstraint(
            "(removed_at IS NULL) = (removed_by IS NULL)", name="a_removal_from_the_blacklist_has_time_and_author"
        ),
        sa.CheckConstraint("cardinality(execution_ids) <= 20", name="blacklist_names_at_most_20_executions"),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.decision_id"], name="a_blacklisting_may_be_decided"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_blacklisted_workflow_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("id", name=op.f("workflow_blacklist_pkey")),
    )
    op.create_index(
        "blacklist_history_by_workflow",
        "workflow_blacklist",
        ["tenant_id", "workflow_id", "blacklisted_at"],
        unique=False,
    )
    op.create_index(
        "one_active_blacklist_row_per_workflow",
        "workflow_blacklist",
        ["tenant_id", "workflow_id"],
        unique=True,
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False, comment="topic or file"),
        sa.Column("partition", sa.Integer(), nullable=False, comment="-1 for a file"),
        sa.Column("offset", sa.BigInteger(), nullable=False, comment="byte offset in a file"),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("dead_letters_pkey")),
        sa.UniqueConstraint("source", "partition", "offset", name="one_dead_letter_per_position"),
        comment="Messages that could not be used. The raw bytes are in the topic or file, never here.",
    )
    op.create_index("dead_letters_by_code", "dead_letters", ["code", "id"], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_table("dead_letters")
    op.drop_table("workflow_blacklist")
    op.drop_table("stuck_executions")
    op.drop_table("decision_evidence")
    op.drop_table("decisions")
