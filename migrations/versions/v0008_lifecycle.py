"""What transitions ask for, credentials, the guard's memory, and what was asked of the platform."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"

_TABLES = (
    "quotes",
    "payments",
    "pricing_config",
    "project_artifacts",
    "qa_results",
    "credentials",
    "automation_version_credentials",
    "credential_events",
    "provider_incidents",
    "holds",
    "platform_intents",
)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "quotes",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, comment="the highest is the latest"),
        sa.Column("status", sa.Text(), server_default=sa.text("'draft'"), nullable=False),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(status = 'signed') = (signed_at IS NOT NULL)", name="signed_has_time"),
        sa.CheckConstraint(
            "status IN ('draft', 'sent', 'signed', 'rejected', 'void', 'expired')", name="quote_status_is_known"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "project_id"],
            ["projects.tenant_id", "projects.id"],
            name="a_quote_is_of_a_project_of_its_tenant",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("quotes_pkey")),
        sa.UniqueConstraint("tenant_id", "id", name="quote_within_its_tenant"),
        sa.UniqueConstraint("tenant_id", "project_id", "revision", name="quote_revisions_do_not_repeat"),
    )
    op.create_table(
        "payments",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("quote_id", sa.String(length=128), nullable=True),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("amount > 0", name="a_payment_is_of_something"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "project_id"],
            ["projects.tenant_id", "projects.id"],
            name="a_payment_is_of_a_project_of_its_tenant",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "quote_id"], ["quotes.tenant_id", "quotes.id"], name="a_payment_is_for_a_quote_of_its_tenant"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("payments_pkey")),
    )
    op.create_index("payments_by_project", "payments", ["tenant_id", "project_id"], unique=False)
    op.create_table(
        "pricing_config",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("payment_required", sa.Boolean(), nullable=False, comment="whether work begins only when it is paid"),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_pricing_config_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pricing_config_pkey")),
    )
    op.create_table(
        "project_artifacts",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False, comment="where it is kept, as a link"),
        sa.Column("created_by_user_id", sa.String(length=128), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('artifact', 'runbook', 'deployment_plan', 'rollback_plan')", name="artifact_kind_is_known"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "project_id"],
            ["projects.tenant_id", "projects.id"],
            name="an_artifact_is_of_a_project_of_its_tenant",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("project_artifacts_pkey")),
    )
    op.create_index("artifacts_by_project", "project_artifacts", ["tenant_id", "project_id", "kind"], unique=False)
    op.create_table(
        "qa_results",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("automation_version_id", sa.String(length=128), nullable=False),
        sa.Column(
            "pass_rate", sa.Numeric(precision=5, scale=4), nullable=False, comment="from 0 to 1; the newest row counts"
        ),
        sa.Column("recorded_by_user_id", sa.String(length=128), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("pass_rate BETWEEN 0 AND 1", name="a_pass_rate_is_a_share"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "automation_version_id"],
            ["automation_versions.tenant_id", "automation_versions.id"],
            name="a_qa_result_is_of_a_version_of_its_tenant",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("qa_results_pkey")),
    )
    op.create_index(
        "qa_results_by_version", "qa_results", ["tenant_id", "automation_version_id", "recorded_at"], unique=False
    )
    op.create_table(
        "credentials",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("system_key", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'unknown'"), nullable=False),
        sa.Column(
            "last_validated_at", sa.DateTime(timezone=True), nullable=True, comment="when they were last seen to work"
        ),
        sa.Column(
            "status_changed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="event time of the newest event that counted",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('active', 'invalid', 'expired', 'revoked', 'unknown')", name="credential_status_is_known"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_credential_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("id", name=op.f("credentials_pkey")),
        sa.UniqueConstraint("tenant_id", "id", name="credential_within_its_tenant"),
    )
    op.create_index("credentials_by_system", "credentials", ["tenant_id", "system_key"], unique=False)
    op.create_table(
        "automation_version_credentials",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("automation_version_id", sa.String(length=128), nullable=False),
        sa.Column("credential_id", sa.String(length=128), nullable=False),
        sa.Column("required", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "automation_version_id"],
            ["automation_versions.tenant_id", "automation_versions.id"],
            name="a_needed_credential_is_of_a_version_of_its_tenant",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "credential_id"],
            ["credentials.tenant_id", "credentials.id"],
            name="a_version_needs_a_credential_of_its_tenant",
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "automation_version_id", "credential_id", name=op.f("automation_version_credentials_pkey")
        ),
    )
    op.create_index(
        "versions_by_credential", "automation_version_credentials", ["tenant_id", "credential_id"], unique=False
    )
    op.create_table(
        "credential_events",
        sa.Column("event_id", sa.String(length=128), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("credential_id", sa.String(length=128), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('active', 'invalid', 'expired', 'revoked', 'unknown')", name="credential_event_status_is_known"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "credential_id"],
            ["credentials.tenant_id", "credentials.id"],
            name="a_credential_event_is_of_a_credential_of_its_tenant",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "event_id", name=op.f("credential_events_pkey")),
        comment="Every event once, by its id.",
    )
    op.create_index(
        "credential_events_by_credential",
        "credential_events",
        ["tenant_id", "credential_id", "occurred_at"],
        unique=False,
    )
    op.create_table(
        "provider_incidents",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("system_key", sa.String(length=64), nullable=False),
        sa.Column(
            "began_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="event time of the first block that counts to it",
        ),
        sa.Column("last_failure_at", sa.DateTime(timezone=True), nullable=False, comment="event time of the newest"),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("tenant_count", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (closed_by IS NULL)", name="an_end_of_an_incident_has_time_and_author"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("provider_incidents_pkey")),
        comment="Of the platform, not of a tenant: tenants are named in holds alone.",
    )
    op.create_index("incidents_by_time", "provider_incidents", ["opened_at", "id"], unique=False)
    op.create_index(
        "one_open_incident_per_system",
        "provider_incidents",
        ["system_key"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "holds",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'held'"), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("automation_version_id", sa.String(length=128), nullable=True),
        sa.Column("workflow_id", sa.String(length=128), nullable=True),
        sa.Column("system_keys", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("incident_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("decision_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("decision_kind", sa.Text(), nullable=False),
        sa.Column(
            "request",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="what is asked for again when it is released",
        ),
        sa.Column(
            "undone",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="it had been applied before",
        ),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.CheckConstraint(
            "(kind = 'provider_incident') = (incident_id IS NOT NULL)", name="a_hold_for_an_incident_names_it"
        ),
        sa.CheckConstraint(
            "CASE WHEN status = 'held' THEN ended_at IS NULL AND ended_by IS NULL ELSE ended_at IS NOT NULL AND ended_by IS NOT NULL END",
            name="an_end_of_a_hold_has_time_and_author",
        ),
        sa.CheckConstraint("kind IN ('provider_incident', 'blast_radius')", name="hold_kind_is_known"),
        sa.CheckConstraint("status IN ('held', 'released', 'rejected', 'ended')", name="hold_status_is_known"),
        sa.ForeignKeyConstraint(["incident_id"], ["provider_incidents.id"], name="a_hold_may_be_of_an_incident"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_hold_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("id", name=op.f("holds_pkey")),
        sa.UniqueConstraint("decision_id", name="one_hold_per_decision"),
    )
    op.create_index("holds_by_incident", "holds", ["incident_id"], unique=False)
    op.create_index("holds_by_status_and_time", "holds", ["status", "held_at", "id"], unique=False)
    op.create_index("holds_by_tenant", "holds", ["tenant_id", "held_at"], unique=False)
    op.create_table(
        "platform_intents",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("automation_version_id", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("wrk_workflow_id", sa.String(length=128), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True, comment="a code of ours, never the platform's words"),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "next_attempt_at", sa.DateTime(timezone=True), nullable=True, comment="when a sweeper may take it up"
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status IN ('open', 'compensating')) = (ended_at IS NULL)", name="an_ended_intent_has_time"
        ),
        sa.CheckConstraint("kind IN ('deploy', 'archive', 'replace')", name="intent_kind_is_known"),
        sa.CheckConstraint(
            "status IN ('open', 'committed', 'compensating', 'compensated', 'failed')", name="intent_status_is_known"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "automation_version_id"],
            ["automation_versions.tenant_id", "automation_versions.id"],
            name="an_intent_is_of_a_version_of_its_tenant",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("platform_intents_pkey")),
        sa.UniqueConstraint("idempotency_key", name="one_intent_per_idempotency_key"),
        comment="Committed before the platform is asked, so that nothing it did can be forgotten.",
    )
    op.create_index("intents_by_status_and_time", "platform_intents", ["status", "opened_at"], unique=False)
    op.create_index(
        "one_open_intent_per_version",
        "platform_intents",
        ["tenant_id", "automation_version_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('open', 'compensating')"),
    )


def downgrade() -> None:
    """Drop them, those that refer to others first."""
    for table in reversed(_TABLES):
        op.drop_table(table)
