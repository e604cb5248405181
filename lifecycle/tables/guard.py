"""What the blast-radius guard remembers: provider incidents, and decisions that wait (30.6)."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from lifecycle.kinds import HoldKind, HoldStatus, StopKind
from lifecycle.tables.columns import Id, Json, Time, Uuid, metadata, new_uuid, now, of_a_tenant, one_of, tenant, word

provider_incidents = sa.Table(
    "provider_incidents",
    metadata,
    new_uuid(),
    sa.Column("system_key", sa.String(64), nullable=False),
    sa.Column("began_at", Time, nullable=False, comment="event time of the first block that counts to it"),
    sa.Column("last_failure_at", Time, nullable=False, comment="event time of the newest"),
    now("opened_at"),
    now("last_seen_at"),
    sa.Column("closed_at", Time),
    sa.Column("closed_by", sa.Text),
    sa.Column("tenant_count", sa.Integer, nullable=False),
    sa.CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL)", name="an_end_of_an_incident_has_time_and_author"),
    sa.Index("one_open_incident_per_system", "system_key", unique=True, postgresql_where=sa.text("closed_at IS NULL")),
    sa.Index("incidents_by_time", "opened_at", "id"),
    comment="Of the platform, not of a tenant: tenants are named in holds alone.",
)

holds = sa.Table(
    "holds",
    metadata,
    new_uuid(),
    word("kind"),
    word("status", HoldStatus.HELD),
    tenant(),
    sa.Column("automation_version_id", Id),
    sa.Column("workflow_id", Id),
    sa.Column("system_keys", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
    sa.Column("incident_id", Uuid),
    sa.Column("decision_id", Uuid, nullable=False),
    sa.Column("decision_kind", sa.Text, nullable=False),
    sa.Column("request", Json, nullable=False, comment="what is asked for again when it is released"),
    sa.Column("undone", sa.Boolean, nullable=False, server_default=sa.false(), comment="it had been applied before"),
    sa.Column("occurred_at", Time, nullable=False),
    now("held_at"),
    sa.Column("ended_at", Time),
    sa.Column("ended_by", sa.Text),
    sa.Column("reason", sa.String(500)),
    of_a_tenant("a_hold_is_of_a_tenant"),
    sa.ForeignKeyConstraint(["incident_id"], ["provider_incidents.id"], name="a_hold_may_be_of_an_incident"),
    sa.UniqueConstraint("decision_id", name="one_hold_per_decision"),
    one_of("kind", HoldKind, "hold_kind_is_known"),
    one_of("status", HoldStatus, "hold_status_is_known"),
    sa.CheckConstraint(
        f"(kind = '{HoldKind.PROVIDER_INCIDENT.value}') = (incident_id IS NOT NULL)",
        name="a_hold_for_an_incident_names_it",
    ),
    sa.CheckConstraint(
        f"CASE WHEN status = '{HoldStatus.HELD.value}' THEN ended_at IS NULL AND ended_by IS NULL"
        " ELSE ended_at IS NOT NULL AND ended_by IS NOT NULL END",
        name="an_end_of_a_hold_has_time_and_author",
    ),
    sa.Index("holds_by_status_and_time", "status", "held_at", "id"),
    sa.Index("holds_by_incident", "incident_id"),
    sa.Index("holds_by_tenant", "tenant_id", "held_at"),
)

automatic_stops = sa.Table(
    "automatic_stops",
    metadata,
    sa.Column("decision_id", Uuid, nullable=False),
    sa.Column("system_key", sa.String(64), nullable=False, comment="what the stop was for; empty for a blacklisting"),
    word("kind"),
    tenant(),
    sa.Column("automation_version_id", Id),
    sa.Column("workflow_id", Id),
    sa.Column("episode_id", Uuid, comment="the block's"),
    sa.Column("occurred_at", Time, nullable=False),
    sa.Column("recorded_at", Time, nullable=False, server_default=sa.text("clock_timestamp()")),
    sa.Column("budgeted", sa.Boolean, nullable=False, comment="whether it stopped something that ran before"),
    sa.Column("undone_at", Time),
    sa.PrimaryKeyConstraint("decision_id", "system_key"),
    of_a_tenant("an_automatic_stop_is_of_a_tenant"),
    one_of("kind", StopKind, "automatic_stop_kind_is_known"),
    sa.Index("automatic_stops_by_system_and_event_time", "system_key", "occurred_at"),
    sa.Index("automatic_stops_by_time", "recorded_at", postgresql_where=sa.text("budgeted")),
    comment="What the guard counts: every block and blacklisting that went ahead without a person.",
)
