"""What the circuit breaker's store needs besides what was decided: versions and settings (40.2, 40.3)."""

import sqlalchemy as sa

from lifecycle.tables.columns import Id, Json, Time, Uuid, metadata, now, of_a_tenant, tenant

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

breaker_probes = sa.Table(
    "breaker_probes",
    metadata,
    tenant(),
    sa.Column("workflow_id", Id, nullable=False),
    sa.Column("blacklist_id", Uuid, nullable=False, comment="the row that a success would end"),
    sa.Column("cool_down", sa.Interval, nullable=False, comment="what the next failure doubles, up to a day"),
    sa.Column("lease_for", sa.Interval, nullable=False, comment="longer than a run may take"),
    sa.Column("opens_at", Time, nullable=False, comment="no probe is let through before"),
    sa.Column("execution_id", Id, comment="the probe that runs; null: none"),
    sa.Column("leased_until", Time, comment="until when it may; what has not succeeded by then has failed"),
    sa.Column("failures", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.PrimaryKeyConstraint("tenant_id", "workflow_id"),
    of_a_tenant("a_probe_is_of_a_tenant"),
    sa.ForeignKeyConstraint(["blacklist_id"], ["workflow_blacklist.id"], name="a_probe_tries_a_blacklisting"),
    sa.CheckConstraint("(execution_id IS NULL) = (leased_until IS NULL)", name="a_probe_that_runs_has_a_lease"),
    sa.CheckConstraint(
        "cool_down > '0'::interval AND lease_for > '0'::interval", name="a_cool_down_and_a_lease_take_time"
    ),
    comment="Half-open breakers, one row a workflow: it admits one execution at a time after its cool-down.",
)
