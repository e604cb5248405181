"""What the guard counts, and tasks of the platform itself."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_VISIBLE = (
    "(SELECT current_setting('breakwater.tenants', true) = '*') OR tenant_id = ANY ((SELECT CASE"
    " current_setting('breakwater.tenants', true) WHEN '*' THEN NULL"
    " ELSE nullif(current_setting('breakwater.tenants', true), '')::text[] END)::text[])"
)


def upgrade() -> None:
    """Make the table; let tasks be without a tenant."""
    op.create_table(
        "automatic_stops",
        sa.Column("decision_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column(
            "system_key",
            sa.String(length=64),
            nullable=False,
            comment="what the stop was for; empty for a blacklisting",
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("automation_version_id", sa.String(length=128), nullable=True),
        sa.Column("workflow_id", sa.String(length=128), nullable=True),
        sa.Column("episode_id", sa.Uuid(as_uuid=False), nullable=True, comment="the block's"),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("budgeted", sa.Boolean(), nullable=False, comment="whether it stopped something that ran before"),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('block', 'blacklisting')", name="automatic_stop_kind_is_known"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="an_automatic_stop_is_of_a_tenant"),
        sa.PrimaryKeyConstraint("decision_id", "system_key", name="automatic_stops_pkey"),
        comment="What the guard counts: every block and blacklisting that went ahead without a person.",
    )
    op.create_index("automatic_stops_by_system_and_event_time", "automatic_stops", ["system_key", "occurred_at"])
    op.create_index("automatic_stops_by_time", "automatic_stops", ["recorded_at"], postgresql_where=sa.text("budgeted"))
    op.execute("GRANT SELECT, INSERT, UPDATE ON automatic_stops TO breakwater_api")
    op.execute("ALTER TABLE automatic_stops ENABLE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY rows_of_the_named_tenants ON automatic_stops TO breakwater_api"
        f" USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})"
    )
    op.alter_column("tasks", "tenant_id", nullable=True)
    op.create_table_comment("tasks", "A null tenant is the platform.")
    _index_keys(nulls_not_distinct=True)


def downgrade() -> None:
    """Drop the table, and the tasks of the platform."""
    op.execute("DELETE FROM tasks WHERE tenant_id IS NULL")
    _index_keys(nulls_not_distinct=False)
    op.drop_table_comment("tasks")
    op.alter_column("tasks", "tenant_id", nullable=False)
    op.drop_table("automatic_stops")


def _index_keys(*, nulls_not_distinct: bool) -> None:
    op.drop_index("one_task_per_idempotency_key", "tasks")
    op.create_index(
        "one_task_per_idempotency_key",
        "tasks",
        ["tenant_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_nulls_not_distinct=nulls_not_distinct,
    )
