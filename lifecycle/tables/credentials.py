"""Which credentials an automation needs, and what is known of them; never the credentials themselves (30.4)."""

import sqlalchemy as sa

from lifecycle.kinds import CredentialStatus
from lifecycle.tables.columns import Id, Time, metadata, now, of_a_tenant, of_tenant, one_of, tenant, word

credentials = sa.Table(
    "credentials",
    metadata,
    sa.Column("id", Id, primary_key=True),
    tenant(),
    sa.Column("system_key", sa.String(64), nullable=False),
    word("status", CredentialStatus.UNKNOWN),
    sa.Column("last_validated_at", Time, comment="when they were last seen to work"),
    sa.Column("status_changed_at", Time, comment="event time of the newest event that counted"),
    now("created_at"),
    now("updated_at"),
    of_a_tenant("a_credential_is_of_a_tenant"),
    sa.UniqueConstraint("tenant_id", "id", name="credential_within_its_tenant"),
    one_of("status", CredentialStatus, "credential_status_is_known"),
    sa.Index("credentials_by_system", "tenant_id", "system_key"),
)

automation_version_credentials = sa.Table(
    "automation_version_credentials",
    metadata,
    tenant(),
    sa.Column("automation_version_id", Id, nullable=False),
    sa.Column("credential_id", Id, nullable=False),
    sa.Column("required", sa.Boolean, nullable=False, server_default=sa.true()),
    now("created_at"),
    sa.PrimaryKeyConstraint("tenant_id", "automation_version_id", "credential_id"),
    of_tenant("automation_version_id", "automation_versions", "a_needed_credential_is_of_a_version_of_its_tenant"),
    of_tenant("credential_id", "credentials", "a_version_needs_a_credential_of_its_tenant"),
    sa.Index("versions_by_credential", "tenant_id", "credential_id"),
)

credential_events = sa.Table(
    "credential_events",
    metadata,
    sa.Column("event_id", Id, nullable=False),
    tenant(),
    sa.Column("credential_id", Id, nullable=False),
    word("status"),
    sa.Column("occurred_at", Time, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    now("recorded_at"),
    sa.PrimaryKeyConstraint("tenant_id", "event_id"),
    of_tenant("credential_id", "credentials", "a_credential_event_is_of_a_credential_of_its_tenant"),
    one_of("status", CredentialStatus, "credential_event_status_is_known"),
    sa.Index("credential_events_by_credential", "tenant_id", "credential_id", "occurred_at"),
    comment="Every event once, by its id.",
)
