"""Receipts of attempts to create a task once."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_VISIBLE = (
    "(SELECT current_setting('breakwater.tenants', true) = '*') OR tenant_id = ANY ((SELECT CASE"
    " current_setting('breakwater.tenants', true) WHEN '*' THEN NULL"
    " ELSE nullif(current_setting('breakwater.tenants', true), '')::text[] END)::text[])"
)


def upgrade() -> None:
    """Make the table, which nobody rewrites; the API adds to it."""
    op.create_table(
        "run_receipts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("case_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False, comment="of the task that it is about"),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column(
            "reason", sa.String(length=500), nullable=True, comment="why it was blocked, or the class of the error"
        ),
        sa.Column("gate", sa.String(length=120), nullable=True, comment="what the gate said then"),
        sa.Column("task_id", sa.Uuid(as_uuid=False), nullable=True, comment="the task that was made, or was there"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("outcome <> 'created' OR task_id IS NOT NULL", name="what_was_created_is_named"),
        sa.CheckConstraint("outcome IN ('created', 'duplicate', 'blocked', 'error')", name="receipt_outcome_is_known"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "case_id"],
            ["credit_cases.tenant_id", "credit_cases.id"],
            name="a_receipt_is_of_a_case_of_its_tenant",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_receipt_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("id", name=op.f("run_receipts_pkey")),
        comment="Append-only: a trigger refuses UPDATE, DELETE and TRUNCATE.",
    )
    op.create_index(
        "one_task_created_per_key",
        "run_receipts",
        ["tenant_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("outcome = 'created'"),
    )
    op.create_index("receipts_by_case", "run_receipts", ["case_id", "id"])
    op.execute(
        "CREATE TRIGGER receipts_are_append_only BEFORE UPDATE OR DELETE ON run_receipts"
        " FOR EACH ROW EXECUTE FUNCTION refuse_to_rewrite_history()"
    )
    op.execute(
        "CREATE TRIGGER receipts_are_not_truncated BEFORE TRUNCATE ON run_receipts"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_history()"
    )
    op.execute("GRANT SELECT, INSERT ON run_receipts TO breakwater_api")
    op.execute("ALTER TABLE run_receipts ENABLE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY rows_of_the_named_tenants ON run_receipts TO breakwater_api"
        f" USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})"
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("run_receipts")
