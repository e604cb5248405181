"""Tasks, audit, notifications, events to publish."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("project_id", sa.String(length=128), nullable=True),
        sa.Column("automation_version_id", sa.String(length=128), nullable=True),
        sa.Column("context_type", sa.Text(), nullable=False),
        sa.Column("context_id", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("system_key", sa.String(length=64), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("snoozed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("priority", sa.Text(), server_default=sa.text("'medium'"), nullable=False),
        sa.Column("assignee_user_id", sa.String(length=128), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by_user_id", sa.String(length=128), nullable=True),
        sa.Column("created_by_system", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("episode_id", sa.Uuid(as_uuid=False), nullable=True, comment="the block that it is to end"),
        sa.Column("decision_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(status = 'complete') = (completed_at IS NOT NULL)", name="a_complete_task_has_time"),
        sa.CheckConstraint(
            "context_type IN ('automation_version', 'project', 'workflow', 'internal')", name="task_context_is_known"
        ),
        sa.CheckConstraint(
            "kind IN ('credentials_issue', 'remediation', 'build_checklist', 'qa_fix', 'blacklist_review', 'credit_case', 'evidence_hygiene', 'qa_checklist', 'approval', 'general_todo')",
            name="task_kind_is_known",
        ),
        sa.CheckConstraint("priority IN ('low', 'medium', 'high', 'critical')", name="task_priority_is_known"),
        sa.CheckConstraint(
            "status <> 'in_progress' OR assignee_user_id IS NOT NULL", name="a_task_in_progress_has_an_assignee"
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'in_progress', 'complete', 'cancelled')", name="task_status_is_known"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "automation_version_id"],
            ["automation_versions.tenant_id", "automation_versions.id"],
            name="a_task_is_of_a_version_of_its_tenant",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "project_id"],
            ["projects.tenant_id", "projects.id"],
            name="a_task_is_of_a_project_of_its_tenant",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_task_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("id", name=op.f("tasks_pkey")),
    )
    op.create_index(
        "one_open_task_per_version_kind_and_system",
        "tasks",
        ["tenant_id", "automation_version_id", "kind", "system_key"],
        unique=True,
        postgresql_where=sa.text(
            "kind IN ('credentials_issue', 'remediation') AND status IN ('pending', 'in_progress')"
        ),
        postgresql_nulls_not_distinct=True,
    )
    op.create_index(
        "one_task_per_idempotency_key",
        "tasks",
        ["tenant_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index("tasks_by_project", "tasks", ["tenant_id", "project_id", "status"], unique=False)
    op.create_index("tasks_by_status_and_time", "tasks", ["status", "created_at", "id"], unique=False)
    op.create_index("tasks_by_version", "tasks", ["tenant_id", "automation_version_id", "status"], unique=False)
    op.create_table(
        "audit_logs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False, comment="user id, or the name of a service"),
        sa.Column("actor_user_id", sa.String(length=128), nullable=True),
        sa.Column("invoked_via", sa.Text(), nullable=False),
        sa.Column("system_initiated", sa.Boolean(), nullable=False),
        sa.Column("action_type", sa.Text(), nullable=False),
        sa.Column("resource_type", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("episode_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("decision_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "action_type IN ('update_status', 'block_automation', 'unblock_automation', 'blacklist_workflow', 'release_workflow', 'create_task', 'update_task')",
            name="audit_action_is_known",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="an_audit_row_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_logs_pkey")),
        comment="Append-only: a trigger refuses UPDATE, DELETE and TRUNCATE. A null tenant is the platform.",
    )
    op.create_index("audit_by_resource", "audit_logs", ["resource_type", "resource_id", "id"], unique=False)
    op.create_index("audit_by_tenant_and_time", "audit_logs", ["tenant_id", "id"], unique=False)
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=True),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), server_default=sa.text("'info'"), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False, comment="an address, a user id, or the name of a group"),
        sa.Column("dedup_key", sa.Text(), nullable=False, comment="episode:template:channel:recipient"),
        sa.Column("episode_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("decision_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column(
            "context", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="what the HTML part is made of"
        ),
        sa.Column("link", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("audience IN ('client', 'ops', 'platform_admin')", name="notification_audience_is_known"),
        sa.CheckConstraint("channel IN ('email', 'in_app')", name="notification_channel_is_known"),
        sa.CheckConstraint("severity IN ('info', 'warning', 'critical')", name="notification_severity_is_known"),
        sa.CheckConstraint(
            "status IN ('pending', 'delivered', 'failed', 'cancelled')", name="notification_status_is_known"
        ),
        sa.CheckConstraint(
            "template IN ('automation_blocked', 'credentials_failed_critical', 'workflow_blacklisted')",
            name="notification_template_is_known",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_notification_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("id", name=op.f("notifications_pkey")),
        sa.UniqueConstraint("dedup_key", name="one_notification_per_episode_template_and_recipient"),
    )
    op.create_index("notifications_by_recipient", "notifications", ["channel", "recipient", "created_at"], unique=False)
    op.create_index("notifications_by_status", "notifications", ["status", "created_at"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("notification_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True, comment="a code of ours, never a server's words"),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("attempted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("channel IN ('email', 'in_app')", name="delivery_channel_is_known"),
        sa.CheckConstraint("outcome IN ('delivered', 'retry', 'failed')", name="delivery_outcome_is_known"),
        sa.ForeignKeyConstraint(
            ["notification_id"], ["notifications.id"], name="a_delivery_is_of_a_notification", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("deliveries_pkey")),
    )
    op.create_index("deliveries_by_notification", "deliveries", ["notification_id", "id"], unique=False)
    op.create_index(
        "one_successful_delivery_per_notification",
        "deliveries",
        ["notification_id"],
        unique=True,
        postgresql_where=sa.text("outcome = 'delivered'"),
    )
    op.create_table(
        "outbox_events",
        sa.Column("event_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column(
            "subject",
            sa.String(length=128),
            nullable=False,
            comment="events of one subject are published in commit order",
        ),
        sa.Column("message_key", sa.String(length=128), nullable=False, comment="the workflow: decides the partition"),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="an_event_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("event_id", name=op.f("outbox_events_pkey")),
        sa.UniqueConstraint("sequence", name="event_sequence_does_not_repeat"),
    )
    op.create_index(
        "events_to_publish",
        "outbox_events",
        ["subject", "sequence"],
        unique=False,
        postgresql_where=sa.text("published_at IS NULL"),
    )
    op.execute(
        "CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON audit_logs"
        " FOR EACH ROW EXECUTE FUNCTION refuse_to_rewrite_history()"
    )
    op.execute(
        "CREATE TRIGGER audit_is_not_truncated BEFORE TRUNCATE ON audit_logs"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_history()"
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("outbox_events")
    op.drop_table("deliveries")
    op.drop_table("notifications")
    op.drop_table("audit_logs")
    op.drop_table("tasks")
