"""What the circuit breaker's store needs besides what was decided: versions and settings (40.2, 40.3)."""

import sqlalchemy as sa

from lifecycle.tables.columns import Json, Time, metadata, now

blacklist_version = sa.Table(
    "blacklist_version",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False, server_default=sa.text("1")),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.CheckConstraint("id = 1", name="there_is_one_blacklist"),
    comment="Counted up by a trigger with each statement that changes the blacklist; no row is version 0.",
)

system_config = sa.Table(
    "system_config",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", Json, nullable=False),
    now("updated_at"),
    sa.Column("updated_by", sa.Text, nullable=False),
    comment="Settings that are changed while everything runs. A missing one has its default.",
)

system_config_versions = sa.Table(
    "system_config_versions",
    metadata,
    sa.Column(
        "version",
        sa.Integer,
        primary_key=True,
        autoincrement=False,
        comment="of the policy; those of its file are below",
    ),
    sa.Column("effective_at", Time, nullable=False, comment="event time from which it holds"),
    sa.Column("stuck_threshold", sa.Integer, comment="null: as the policy file says"),
    sa.Column("stuck_window_minutes", sa.Integer, comment="null: as the policy file says"),
    now("changed_at"),
    sa.Column("changed_by", sa.Text, nullable=False),
    sa.CheckConstraint("stuck_threshold >= 1", name="a_stuck_threshold_is_at_least_1"),
    sa.CheckConstraint(
        "stuck_window_minutes BETWEEN 1 AND 10080", name="a_stuck_window_is_between_a_minute_and_a_week"
    ),
    comment="Each write of the breaker's settings: the values that hold from an event time on.",
)
