"""Tenants, people, automations and their versions, workflows, systems."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

REFUSE = """
CREATE FUNCTION refuse_to_rewrite_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$
"""


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'active'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('active', 'suspended')", name="tenant_status_is_known"),
        sa.PrimaryKeyConstraint("id", name=op.f("tenants_pkey")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("users_pkey")),
        sa.UniqueConstraint("email", name="one_user_per_email"),
    )
    op.create_table(
        "memberships",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.String(length=128), nullable=False),
        sa.Column("roles", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'active'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('active', 'suspended')", name="membership_status_is_known"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_membership_is_of_a_tenant"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="a_membership_is_of_a_user"),
        sa.PrimaryKeyConstraint("tenant_id", "user_id", name=op.f("memberships_pkey")),
    )
    op.create_table(
        "contacts",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column(
            "user_id",
            sa.String(length=128),
            nullable=True,
            comment="who sees in-app notices, when the contact signs in",
        ),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_contact_is_of_a_tenant"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="a_contact_may_be_a_user"),
        sa.PrimaryKeyConstraint("id", name=op.f("contacts_pkey")),
        sa.UniqueConstraint("tenant_id", "email", name="one_contact_per_email_of_a_tenant"),
    )
    op.create_table(
        "systems",
        sa.Column("system_key", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("system_key", name=op.f("systems_pkey")),
        comment="The allow-list of names that may appear in texts.",
    )
    op.create_table(
        "automations",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'active'"), nullable=False),
        sa.Column("owner_user_id", sa.String(length=128), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('active', 'archived')", name="automation_status_is_known"),
        sa.ForeignKeyConstraint(["owner_user_id"], ["users.id"], name="an_automation_may_have_an_owner"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="an_automation_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("id", name=op.f("automations_pkey")),
        sa.UniqueConstraint("tenant_id", "id", name="automation_within_its_tenant"),
    )
    op.create_table(
        "automation_versions",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("automation_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'Intake in Progress'"), nullable=False),
        sa.Column("blocked_reason", sa.String(length=500), nullable=True),
        sa.Column("blocked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("blocked_from_status", sa.Text(), nullable=True),
        sa.Column("block_episode_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column(
            "status_metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("status_changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("status_changed_by_user_id", sa.String(length=128), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(status = 'Archived') = (archived_at IS NOT NULL)", name="archived_has_time"),
        sa.CheckConstraint(
            "CASE WHEN status = 'Blocked' THEN blocked_from_status IS NOT NULL AND btrim(coalesce(blocked_reason, '')) <> '' AND blocked_at IS NOT NULL AND block_episode_id IS NOT NULL ELSE blocked_from_status IS NULL AND blocked_reason IS NULL AND blocked_at IS NULL AND block_episode_id IS NULL END",
            name="blocked_has_reason_and_origin_and_nothing_else_has",
        ),
        sa.CheckConstraint(
            "blocked_from_status IN ('Intake in Progress', 'Needs Pricing', 'Awaiting Client Approval', 'Ready for Build', 'Build in Progress', 'QA & Testing', 'Ready to Launch', 'Live', 'Paused')",
            name="blocked_from_a_status_that_can_be_returned_to",
        ),
        sa.CheckConstraint(
            "status IN ('Intake in Progress', 'Needs Pricing', 'Awaiting Client Approval', 'Ready for Build', 'Build in Progress', 'QA & Testing', 'Ready to Launch', 'Live', 'Paused', 'Blocked', 'Archived')",
            name="status_is_known",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "automation_id"],
            ["automations.tenant_id", "automations.id"],
            name="a_version_belongs_to_an_automation_of_its_tenant",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("automation_versions_pkey")),
        sa.UniqueConstraint("tenant_id", "automation_id", "version", name="version_numbers_do_not_repeat"),
        sa.UniqueConstraint("tenant_id", "id", name="version_within_its_tenant"),
    )
    op.create_index(
        "one_live_version_per_automation",
        "automation_versions",
        ["tenant_id", "automation_id"],
        unique=True,
        postgresql_where=sa.text("status = 'Live'"),
    )
    op.create_index("versions_by_tenant_and_status", "automation_versions", ["tenant_id", "status"], unique=False)
    op.create_table(
        "automation_versions_status_history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("automation_version_id", sa.String(length=128), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=True, comment="null: the version was made"),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("system_initiated", sa.Boolean(), nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("episode_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("decision_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "from_status IN ('Intake in Progress', 'Needs Pricing', 'Awaiting Client Approval', 'Ready for Build', 'Build in Progress', 'QA & Testing', 'Ready to Launch', 'Live', 'Paused', 'Blocked', 'Archived')",
            name="history_from_status_is_known",
        ),
        sa.CheckConstraint(
            "to_status IN ('Intake in Progress', 'Needs Pricing', 'Awaiting Client Approval', 'Ready for Build', 'Build in Progress', 'QA & Testing', 'Ready to Launch', 'Live', 'Paused', 'Blocked', 'Archived')",
            name="history_to_status_is_known",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "automation_version_id"],
            ["automation_versions.tenant_id", "automation_versions.id"],
            name="history_is_of_a_version_of_its_tenant",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("automation_versions_status_history_pkey")),
    )
    op.create_index(
        "history_by_version",
        "automation_versions_status_history",
        ["tenant_id", "automation_version_id", "id"],
        unique=False,
    )
    op.create_table(
        "block_reasons",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("automation_version_id", sa.String(length=128), nullable=False),
        sa.Column("episode_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("failed_systems", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=True),
        sa.Column("decision_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('credentials', 'manual')", name="block_kind_is_known"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "automation_version_id"],
            ["automation_versions.tenant_id", "automation_versions.id"],
            name="a_block_reason_is_of_a_version_of_its_tenant",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("block_reasons_pkey")),
        comment="Why a version is blocked; it is unblocked when every open reason is cleared.",
    )
    op.create_index(
        "one_open_block_reason_of_a_kind_per_version",
        "block_reasons",
        ["tenant_id", "automation_version_id", "kind"],
        unique=True,
        postgresql_where=sa.text("cleared_at IS NULL"),
    )
    op.create_table(
        "workflows",
        sa.Column("workflow_id", sa.String(length=128), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_workflow_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("workflow_id", name=op.f("workflows_pkey")),
        sa.UniqueConstraint("tenant_id", "workflow_id", name="workflow_within_its_tenant"),
    )
    op.create_table(
        "workflow_bindings",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("automation_version_id", sa.String(length=128), nullable=False),
        sa.Column("wrk_workflow_id", sa.String(length=128), nullable=True, comment="null while pending"),
        sa.Column("status", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column(
            "external_ref", sa.Text(), nullable=True, comment="how other systems name it, as job namespace and name"
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'error') OR wrk_workflow_id IS NOT NULL", name="a_usable_binding_has_a_workflow"
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'provisioned', 'active', 'inactive', 'error')", name="binding_status_is_known"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "automation_version_id"],
            ["automation_versions.tenant_id", "automation_versions.id"],
            name="a_binding_is_of_a_version_of_its_tenant",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "wrk_workflow_id"],
            ["workflows.tenant_id", "workflows.workflow_id"],
            name="a_binding_is_to_a_workflow_of_its_tenant",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("workflow_bindings_pkey")),
        sa.UniqueConstraint("tenant_id", "automation_version_id", name="one_binding_per_version"),
    )
    op.create_index("bindings_by_external_ref", "workflow_bindings", ["external_ref"], unique=False)
    op.create_index("bindings_by_workflow", "workflow_bindings", ["tenant_id", "wrk_workflow_id"], unique=False)
    op.create_table(
        "projects",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("automation_version_id", sa.String(length=128), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("delivery_phase", sa.Text(), nullable=True),
        sa.Column("owner_user_id", sa.String(length=128), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('Intake in Progress', 'Needs Pricing', 'Awaiting Client Approval', 'Ready for Build', 'Build in Progress', 'QA & Testing', 'Ready to Launch', 'Live')",
            name="project_status_is_a_delivery_status",
        ),
        sa.ForeignKeyConstraint(["owner_user_id"], ["users.id"], name="a_project_may_have_an_owner"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "automation_version_id"],
            ["automation_versions.tenant_id", "automation_versions.id"],
            name="a_project_is_of_a_version_of_its_tenant",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_project_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("id", name=op.f("projects_pkey")),
        sa.UniqueConstraint("tenant_id", "automation_version_id", name="one_project_per_version"),
        sa.UniqueConstraint("tenant_id", "id", name="project_within_its_tenant"),
    )
    op.execute(REFUSE)
    op.execute(
        "CREATE TRIGGER history_is_append_only BEFORE UPDATE OR DELETE ON automation_versions_status_history"
        " FOR EACH ROW EXECUTE FUNCTION refuse_to_rewrite_history()"
    )
    op.execute(
        "CREATE TRIGGER history_is_not_truncated BEFORE TRUNCATE ON automation_versions_status_history"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_history()"
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("projects")
    op.drop_table("workflow_bindings")
    op.drop_table("workflows")
    op.drop_table("block_reasons")
    op.drop_table("automation_versions_status_history")
    op.drop_table("automation_versions")
    op.drop_table("automations")
    op.drop_table("systems")
    op.drop_table("contacts")
    op.drop_table("memberships")
    op.drop_table("users")
    op.drop_table("tenants")
    op.execute("DROP FUNCTION refuse_to_rewrite_history()")
