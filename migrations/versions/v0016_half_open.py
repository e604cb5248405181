"""Half-open breakers, and how a workflow came off the blacklist."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_VISIBLE = (
    "(SELECT current_setting('breakwater.tenants', true) = '*') OR tenant_id = ANY ((SELECT CASE"
    " current_setting('breakwater.tenants', true) WHEN '*' THEN NULL"
    " ELSE nullif(current_setting('breakwater.tenants', true), '')::text[] END)::text[])"
)


def upgrade() -> None:
    """Make the table; what came off the list before was taken off by hand."""
    op.create_table(
        "breaker_probes",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("workflow_id", sa.String(length=128), nullable=False),
        sa.Column("blacklist_id", sa.Uuid(as_uuid=False), nullable=False, comment="the row that a success would end"),
        sa.Column("cool_down", sa.Interval(), nullable=False, comment="what the next failure doubles, up to a day"),
        sa.Column("lease_for", sa.Interval(), nullable=False, comment="longer than a run may take"),
        sa.Column("opens_at", sa.DateTime(timezone=True), nullable=False, comment="no probe is let through before"),
        sa.Column("execution_id", sa.String(length=128), nullable=True, comment="the probe that runs; null: none"),
        sa.Column(
            "leased_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="until when it may; what has not succeeded by then has failed",
        ),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("(execution_id IS NULL) = (leased_until IS NULL)", name="a_probe_that_runs_has_a_lease"),
        sa.CheckConstraint(
            "cool_down > '0'::interval AND lease_for > '0'::interval", name="a_cool_down_and_a_lease_take_time"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_probe_is_of_a_tenant"),
        sa.ForeignKeyConstraint(["blacklist_id"], ["workflow_blacklist.id"], name="a_probe_tries_a_blacklisting"),
        sa.PrimaryKeyConstraint("tenant_id", "workflow_id", name="breaker_probes_pkey"),
        comment="Half-open breakers, one row a workflow: it admits one execution at a time after its cool-down.",
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON breaker_probes TO breakwater_api")
    op.execute("ALTER TABLE breaker_probes ENABLE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY rows_of_the_named_tenants ON breaker_probes TO breakwater_api"
        f" USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})"
    )
    op.add_column(
        "workflow_blacklist",
        sa.Column("removal_source", sa.Text(), nullable=True, comment="manual, or policy: a probe succeeded"),
    )
    op.create_check_constraint(
        "removal_source_is_known", "workflow_blacklist", "removal_source IN ('auto', 'manual', 'policy')"
    )
    op.execute("UPDATE workflow_blacklist SET removal_source = 'manual' WHERE removed_at IS NOT NULL")


def downgrade() -> None:
    """Drop them."""
    op.drop_constraint("removal_source_is_known", "workflow_blacklist")
    op.drop_column("workflow_blacklist", "removal_source")
    op.drop_table("breaker_probes")
