"""The ledger of what runs cost: append-only, chained by hash for each tenant (50.1)."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0015"
down_revision = "0014"

_VISIBLE = (
    "(SELECT current_setting('breakwater.tenants', true) = '*') OR tenant_id = ANY ((SELECT CASE"
    " current_setting('breakwater.tenants', true) WHEN '*' THEN NULL"
    " ELSE nullif(current_setting('breakwater.tenants', true), '')::text[] END)::text[])"
)


def upgrade() -> None:
    """Make the tables; the API reads them."""
    op.create_table(
        "credit_ledger_heads",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("credit_ledger_heads_pkey")),
        comment="Where each tenant's chain ends; its lock is the right to append.",
    )
    op.create_table(
        "credit_runs",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="from 1 on, without gaps, for each tenant"),
        sa.Column("workflow_id", sa.String(length=128), nullable=False),
        sa.Column("execution_id", sa.String(length=128), nullable=False),
        sa.Column("event_id", sa.String(length=128), nullable=False),
        sa.Column("automation_version_id", sa.String(length=128), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column(
            "scenario", sa.String(length=240), nullable=False, comment="its id, else its name, else the workflow"
        ),
        sa.Column("scenario_id", sa.String(length=128), nullable=True),
        sa.Column("scenario_name", sa.String(length=240), nullable=True),
        sa.Column("job_type", sa.Text(), nullable=False),
        sa.Column("credits_total", sa.Numeric(), nullable=False),
        sa.Column("credits_in", sa.Numeric(), nullable=True),
        sa.Column("credits_out", sa.Numeric(), nullable=True),
        sa.Column("model", sa.String(length=120), nullable=True),
        sa.Column("input_tokens", sa.Numeric(), nullable=True),
        sa.Column("output_tokens", sa.Numeric(), nullable=True),
        sa.Column("retry_count", sa.Numeric(), nullable=True),
        sa.Column("has_idempotency_key", sa.Boolean(), nullable=True),
        sa.Column("has_max_items_config", sa.Boolean(), nullable=True),
        sa.Column("is_batch_job", sa.Boolean(), nullable=True),
        sa.Column("is_backfill", sa.Boolean(), nullable=True),
        sa.Column("prompt_version", sa.String(length=120), nullable=True),
        sa.Column("deployment_timestamp", sa.DateTime(timezone=True), nullable=True),
        sa.Column("input_item_count", sa.Numeric(), nullable=True),
        sa.Column("artifacts_link", sa.String(length=2048), nullable=True),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("baseline_credits", sa.Numeric(), nullable=True),
        sa.Column("baseline_source", sa.Text(), nullable=False),
        sa.Column("variance_multiplier", sa.Double(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("misconfig_likelihood", sa.Text(), nullable=False),
        sa.Column("misconfig_score", sa.Integer(), nullable=False, comment="net of what speaks for legitimate load"),
        sa.Column("legit_score", sa.Integer(), nullable=False),
        sa.Column("risk_flags", ARRAY(sa.Text()), nullable=False),
        sa.Column("risk_summary", sa.Text(), nullable=False),
        sa.Column("actions", ARRAY(sa.Text()), nullable=False, comment="what the severity asks for"),
        sa.Column(
            "previous_sha256", sa.String(length=64), nullable=True, comment="of the tenant's row before this one"
        ),
        sa.Column(
            "sha256", sa.String(length=64), nullable=False, comment="of the canonical JSON, which names the row before"
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(seq = 1) = (previous_sha256 IS NULL)", name="only_the_first_row_follows_none"),
        sa.PrimaryKeyConstraint("tenant_id", "seq", name=op.f("credit_runs_pkey")),
        sa.UniqueConstraint("tenant_id", "workflow_id", "execution_id", name="a_run_is_in_the_ledger_once"),
        comment="Append-only and chained by hash: a trigger refuses UPDATE, DELETE and TRUNCATE.",
    )
    op.create_index("credit_runs_by_scenario", "credit_runs", ["tenant_id", "scenario", "occurred_at"], unique=False)
    op.create_index("credit_runs_by_time", "credit_runs", ["occurred_at"], postgresql_using="brin")
    op.execute(
        "CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE ON credit_runs"
        " FOR EACH ROW EXECUTE FUNCTION refuse_to_rewrite_history()"
    )
    op.execute(
        "CREATE TRIGGER ledger_is_not_truncated BEFORE TRUNCATE ON credit_runs"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_history()"
    )
    for table in ("credit_ledger_heads", "credit_runs"):
        op.execute(f"GRANT SELECT ON {table} TO breakwater_api")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY rows_of_the_named_tenants ON {table} TO breakwater_api"
            f" USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})"
        )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("credit_runs")
    op.drop_table("credit_ledger_heads")
