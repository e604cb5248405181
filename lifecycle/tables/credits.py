"""What runs cost: the ledger and where each tenant's chain of it ends (50.1)."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from lifecycle.tables.columns import Id, Time, metadata, now, tenant

#: SHA-256, hexadecimal.
Hash = sa.String(64)

credit_runs = sa.Table(
    "credit_runs",
    metadata,
    tenant(),
    sa.Column("seq", sa.BigInteger, nullable=False, comment="from 1 on, without gaps, for each tenant"),
    sa.Column("workflow_id", Id, nullable=False),
    sa.Column("execution_id", Id, nullable=False),
    sa.Column("event_id", Id, nullable=False),
    sa.Column("automation_version_id", Id, nullable=False),
    sa.Column("occurred_at", Time, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("scenario", sa.String(240), nullable=False, comment="its id, else its name, else the workflow"),
    sa.Column("scenario_id", sa.String(128)),
    sa.Column("scenario_name", sa.String(240)),
    sa.Column("job_type", sa.Text, nullable=False),
    sa.Column("credits_total", sa.Numeric, nullable=False),
    sa.Column("credits_in", sa.Numeric),
    sa.Column("credits_out", sa.Numeric),
    sa.Column("model", sa.String(120)),
    # Counts have no limit where they are read, so they have none here.
    sa.Column("input_tokens", sa.Numeric),
    sa.Column("output_tokens", sa.Numeric),
    sa.Column("retry_count", sa.Numeric),
    sa.Column("has_idempotency_key", sa.Boolean),
    sa.Column("has_max_items_config", sa.Boolean),
    sa.Column("is_batch_job", sa.Boolean),
    sa.Column("is_backfill", sa.Boolean),
    sa.Column("prompt_version", sa.String(120)),
    sa.Column("deployment_timestamp", Time),
    sa.Column("input_item_count", sa.Numeric),
    sa.Column("artifacts_link", sa.String(2048)),
    sa.Column("profile", sa.Text, nullable=False),
    sa.Column("policy_version", sa.Integer, nullable=False),
    sa.Column("baseline_credits", sa.Numeric),
    sa.Column("baseline_source", sa.Text, nullable=False),
    sa.Column("variance_multiplier", sa.Double),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("misconfig_likelihood", sa.Text, nullable=False),
    sa.Column("misconfig_score", sa.Integer, nullable=False, comment="net of what speaks for legitimate load"),
    sa.Column("legit_score", sa.Integer, nullable=False),
    sa.Column("risk_flags", ARRAY(sa.Text), nullable=False),
    sa.Column("risk_summary", sa.Text, nullable=False),
    sa.Column("actions", ARRAY(sa.Text), nullable=False, comment="what the severity asks for"),
    sa.Column("previous_sha256", Hash, comment="of the tenant's row before this one"),
    sa.Column("sha256", Hash, nullable=False, comment="of the canonical JSON, which names the row before"),
    now("recorded_at"),
    sa.PrimaryKeyConstraint("tenant_id", "seq"),
    sa.UniqueConstraint("tenant_id", "workflow_id", "execution_id", name="a_run_is_in_the_ledger_once"),
    sa.CheckConstraint("(seq = 1) = (previous_sha256 IS NULL)", name="only_the_first_row_follows_none"),
    # Rows come nearly in the order of event time: a few bytes for each hundred pages do.
    sa.Index("credit_runs_by_time", "occurred_at", postgresql_using="brin"),
    sa.Index("credit_runs_by_scenario", "tenant_id", "scenario", "occurred_at"),
    sa.Index("credit_runs_of_the_worst", "recorded_at", postgresql_where=sa.text("severity = 'SEV0'")),
    # No foreign keys: a run that was paid for is kept though its tenant is not known (any more).
    comment="Append-only and chained by hash: a trigger refuses UPDATE, DELETE and TRUNCATE.",
)

credit_ledger_heads = sa.Table(
    "credit_ledger_heads",
    metadata,
    sa.Column("tenant_id", Id, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("sha256", Hash),
    comment="Where each tenant's chain ends; its lock is the right to append.",
)
