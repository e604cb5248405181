"""Notices that are told together or not at all, and who silenced them."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

_STATUSES = ("pending", "delivered", "failed", "cancelled")

_VISIBLE = (
    "(SELECT current_setting('breakwater.tenants', true) = '*') OR tenant_id = ANY ((SELECT CASE"
    " current_setting('breakwater.tenants', true) WHEN '*' THEN NULL"
    " ELSE nullif(current_setting('breakwater.tenants', true), '')::text[] END)::text[])"
)

_CHECKS = {
    "storm_rule_is_known": "held_by IN ('cause', 'credit_cases', 'tenant')",
    "a_folded_notice_is_told": "(status = 'folded') = (folded_into IS NOT NULL)",
    "a_muted_notice_says_by_what": "(status = 'muted') = (num_nonnulls(silence_id, incident_id) = 1)",
}


def upgrade() -> None:
    """Make the table and the columns; the API makes silences and ends them."""
    op.create_table(
        "notice_silences",
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=True),
        sa.Column("template", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True, comment="before it expired"),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "channel IN ('email', 'in_app', 'slack', 'webhook', 'on_call')", name="silenced_channel_is_known"
        ),
        sa.CheckConstraint("severity IN ('info', 'warning', 'critical')", name="silenced_severity_is_known"),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="an_end_of_a_silence_has_time_and_author"),
        sa.CheckConstraint("expires_at > created_at", name="a_silence_expires_after_it_began"),
        sa.CheckConstraint(
            "num_nonnulls(tenant_id, template, channel, severity) > 0", name="a_silence_does_not_mute_everything"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="a_silence_may_be_of_a_tenant"),
        sa.PrimaryKeyConstraint("id", name=op.f("notice_silences_pkey")),
        comment="What matches all that a row names is muted; null matches everything.",
    )
    op.create_index("silences_by_end", "notice_silences", ["expires_at", "id"])
    op.execute("GRANT SELECT, INSERT, UPDATE ON notice_silences TO breakwater_api")
    op.execute("ALTER TABLE notice_silences ENABLE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY rows_of_the_named_tenants ON notice_silences TO breakwater_api"
        f" USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})"
    )
    op.add_column(
        "notifications",
        sa.Column(
            "cause", sa.Uuid(as_uuid=False), comment="the same for those that may be told as one; null: none is like it"
        ),
    )
    op.add_column(
        "notifications", sa.Column("held_by", sa.Text(), comment="what made it wait to be told together with others")
    )
    op.add_column("notifications", sa.Column("folded_into", sa.Uuid(as_uuid=False), comment="the one that told of it"))
    op.add_column("notifications", sa.Column("silence_id", sa.Uuid(as_uuid=False), comment="what muted it"))
    op.add_column(
        "notifications",
        sa.Column("incident_id", sa.Uuid(as_uuid=False), comment="the provider's incident that tells of it"),
    )
    op.create_foreign_key("a_notice_is_muted_by_a_silence", "notifications", "notice_silences", ["silence_id"], ["id"])
    op.create_foreign_key(
        "a_notice_may_be_of_an_incident", "notifications", "provider_incidents", ["incident_id"], ["id"]
    )
    _set_statuses(*_STATUSES, "folded", "muted")
    for name, condition in _CHECKS.items():
        op.create_check_constraint(name, "notifications", condition)
    op.create_index(
        "notifications_held",
        "notifications",
        ["channel", "recipient"],
        postgresql_where=sa.text("status = 'pending' AND held_by IS NOT NULL"),
    )
    op.create_index("notifications_told", "notifications", ["channel", "recipient", "delivered_at"])


def downgrade() -> None:
    """Drop them; what was not told by itself counts as taken back."""
    op.drop_index("notifications_told", "notifications")
    op.drop_index("notifications_held", "notifications")
    for name in _CHECKS:
        op.drop_constraint(name, "notifications")
    op.execute("UPDATE notifications SET status = 'cancelled' WHERE status IN ('folded', 'muted')")
    _set_statuses(*_STATUSES)
    for column in ("incident_id", "silence_id", "folded_into", "held_by", "cause"):
        op.drop_column("notifications", column)
    op.drop_table("notice_silences")


def _set_statuses(*words: str) -> None:
    op.drop_constraint("notification_status_is_known", "notifications")
    listed = ", ".join(f"'{word}'" for word in words)
    op.create_check_constraint("notification_status_is_known", "notifications", f"status IN ({listed})")
