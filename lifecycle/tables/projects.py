"""What a version must have before it may move on: quotes, payments, artifacts, test results (30.1, 30.8)."""

import sqlalchemy as sa

from lifecycle.kinds import ArtifactKind, QuoteStatus
from lifecycle.tables.columns import (
    Id,
    Time,
    metadata,
    new_uuid,
    now,
    of_a_tenant,
    of_tenant,
    one_of,
    tenant,
    word,
)

quotes = sa.Table(
    "quotes",
    metadata,
    sa.Column("id", Id, primary_key=True),
    tenant(),
    sa.Column("project_id", Id, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False, comment="the highest is the latest"),
    word("status", QuoteStatus.DRAFT),
    sa.Column("amount", sa.Numeric(14, 2)),
    sa.Column("currency", sa.String(3)),
    sa.Column("signed_at", Time),
    now("created_at"),
    now("updated_at"),
    of_tenant("project_id", "projects", "a_quote_is_of_a_project_of_its_tenant"),
    sa.UniqueConstraint("tenant_id", "id", name="quote_within_its_tenant"),
    sa.UniqueConstraint("tenant_id", "project_id", "revision", name="quote_revisions_do_not_repeat"),
    one_of("status", QuoteStatus, "quote_status_is_known"),
    sa.CheckConstraint(f"(status = '{QuoteStatus.SIGNED.value}') = (signed_at IS NOT NULL)", name="signed_has_time"),
)

payments = sa.Table(
    "payments",
    metadata,
    sa.Column("id", Id, primary_key=True),
    tenant(),
    sa.Column("project_id", Id, nullable=False),
    sa.Column("quote_id", Id),
    sa.Column("amount", sa.Numeric(14, 2), nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    now("recorded_at"),
    of_tenant("project_id", "projects", "a_payment_is_of_a_project_of_its_tenant"),
    of_tenant("quote_id", "quotes", "a_payment_is_for_a_quote_of_its_tenant"),
    sa.CheckConstraint("amount > 0", name="a_payment_is_of_something"),
    sa.Index("payments_by_project", "tenant_id", "project_id"),
)

pricing_config = sa.Table(
    "pricing_config",
    metadata,
    sa.Column("tenant_id", Id, primary_key=True),
    sa.Column("payment_required", sa.Boolean, nullable=False, comment="whether work begins only when it is paid"),
    now("updated_at"),
    of_a_tenant("a_pricing_config_is_of_a_tenant"),
)

project_artifacts = sa.Table(
    "project_artifacts",
    metadata,
    new_uuid(),
    tenant(),
    sa.Column("project_id", Id, nullable=False),
    word("kind"),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("location", sa.Text, nullable=False, comment="where it is kept, as a link"),
    sa.Column("created_by_user_id", Id),
    now("created_at"),
    of_tenant("project_id", "projects", "an_artifact_is_of_a_project_of_its_tenant"),
    one_of("kind", ArtifactKind, "artifact_kind_is_known"),
    sa.Index("artifacts_by_project", "tenant_id", "project_id", "kind"),
)

qa_results = sa.Table(
    "qa_results",
    metadata,
    new_uuid(),
    tenant(),
    sa.Column("automation_version_id", Id, nullable=False),
    sa.Column("pass_rate", sa.Numeric(5, 4), nullable=False, comment="from 0 to 1; the newest row counts"),
    sa.Column("recorded_by_user_id", Id),
    now("recorded_at"),
    of_tenant("automation_version_id", "automation_versions", "a_qa_result_is_of_a_version_of_its_tenant"),
    sa.CheckConstraint("pass_rate BETWEEN 0 AND 1", name="a_pass_rate_is_a_share"),
    sa.Index("qa_results_by_version", "tenant_id", "automation_version_id", "recorded_at"),
)
