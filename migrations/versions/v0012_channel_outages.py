"""What is known of channels that fail."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the table; the worker's alone, but for the console, which shows it to the platform."""
    op.create_table(
        "channel_outages",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False, comment="in a row"),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "left_alone_until", sa.DateTime(timezone=True), nullable=True, comment="null: not given up for a while yet"
        ),
        sa.CheckConstraint(
            "channel IN ('email', 'in_app', 'slack', 'webhook', 'on_call')", name="failing_channel_is_known"
        ),
        sa.PrimaryKeyConstraint("channel", name="channel_outages_pkey"),
        comment="Channels whose last deliveries failed; one that works has no row.",
    )
    op.execute("GRANT SELECT ON channel_outages TO breakwater_api")
    op.execute("ALTER TABLE channel_outages ENABLE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY rows_of_the_named_tenants ON channel_outages TO breakwater_api"
        " USING ((SELECT current_setting('breakwater.tenants', true) = '*'))"
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("channel_outages")
