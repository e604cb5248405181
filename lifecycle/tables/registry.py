"""Who there is and what they own: tenants, people, automations, versions, workflows, systems (30.8)."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from lifecycle.kinds import AccountStatus, AutomationStatus, BindingStatus, BlockKind, Clearing
from lifecycle.statuses import DELIVERY_STATUSES, Status
from lifecycle.tables.columns import (
    Id,
    Json,
    Time,
    Uuid,
    metadata,
    new_uuid,
    now,
    of_a_tenant,
    of_tenant,
    one_of,
    tenant,
    word,
)

tenants = sa.Table(
    "tenants",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    word("status", AccountStatus.ACTIVE),
    now("created_at"),
    one_of("status", AccountStatus, "tenant_status_is_known"),
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("display_name", sa.Text, nullable=False),
    now("created_at"),
    sa.UniqueConstraint("email", name="one_user_per_email"),
)

memberships = sa.Table(
    "memberships",
    metadata,
    tenant(),
    sa.Column("user_id", Id, nullable=False),
    sa.Column("roles", ARRAY(sa.Text), nullable=False),
    word("status", AccountStatus.ACTIVE),
    now("created_at"),
    sa.PrimaryKeyConstraint("tenant_id", "user_id"),
    of_a_tenant("a_membership_is_of_a_tenant"),
    sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="a_membership_is_of_a_user"),
    one_of("status", AccountStatus, "membership_status_is_known"),
)

contacts = sa.Table(
    "contacts",
    metadata,
    new_uuid(),
    tenant(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("user_id", Id, comment="who sees in-app notices, when the contact signs in"),
    sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("champion", sa.Boolean, nullable=False, server_default=sa.false(), comment="is told before a launch too"),
    now("created_at"),
    of_a_tenant("a_contact_is_of_a_tenant"),
    sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="a_contact_may_be_a_user"),
    sa.UniqueConstraint("tenant_id", "email", name="one_contact_per_email_of_a_tenant"),
)

systems = sa.Table(
    "systems",
    metadata,
    sa.Column("system_key", sa.String(64), primary_key=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("display_name", sa.Text, nullable=False),
    comment="The allow-list of names that may appear in texts.",
)

automations = sa.Table(
    "automations",
    metadata,
    sa.Column("id", Id, primary_key=True),
    tenant(),
    sa.Column("name", sa.Text, nullable=False),
    word("status", AutomationStatus.ACTIVE),
    sa.Column("owner_user_id", Id),
    now("created_at"),
    of_a_tenant("an_automation_is_of_a_tenant"),
    sa.ForeignKeyConstraint(["owner_user_id"], ["users.id"], name="an_automation_may_have_an_owner"),
    sa.UniqueConstraint("tenant_id", "id", name="automation_within_its_tenant"),
    one_of("status", AutomationStatus, "automation_status_is_known"),
)

automation_versions = sa.Table(
    "automation_versions",
    metadata,
    sa.Column("id", Id, primary_key=True),
    tenant(),
    sa.Column("automation_id", Id, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    word("status", Status.INTAKE_IN_PROGRESS),
    sa.Column("blocked_reason", sa.String(500)),
    sa.Column("blocked_at", Time),
    sa.Column("blocked_from_status", sa.Text),
    sa.Column("block_episode_id", Uuid),
    sa.Column("status_metadata", Json, nullable=False, server_default=sa.text("'{}'")),
    now("status_changed_at"),
    sa.Column("status_changed_by_user_id", Id),
    sa.Column("archived_at", Time),
    now("created_at"),
    now("updated_at"),
    of_tenant("automation_id", "automations", "a_version_belongs_to_an_automation_of_its_tenant"),
    sa.UniqueConstraint("tenant_id", "id", name="version_within_its_tenant"),
    sa.UniqueConstraint("tenant_id", "automation_id", "version", name="version_numbers_do_not_repeat"),
    one_of("status", Status, "status_is_known"),
    one_of(
        "blocked_from_status",
        (status for status in Status if status not in (Status.BLOCKED, Status.ARCHIVED)),
        "blocked_from_a_status_that_can_be_returned_to",
    ),
    # The two branches are written out: with NULLs, an equality of booleans would pass what it must refuse.
    sa.CheckConstraint(
        f"CASE WHEN status = '{Status.BLOCKED.value}'"
        " THEN blocked_from_status IS NOT NULL AND btrim(coalesce(blocked_reason, '')) <> ''"
        " AND blocked_at IS NOT NULL AND block_episode_id IS NOT NULL"
        " ELSE blocked_from_status IS NULL AND blocked_reason IS NULL"
        " AND blocked_at IS NULL AND block_episode_id IS NULL END",
        name="blocked_has_reason_and_origin_and_nothing_else_has",
    ),
    sa.CheckConstraint(f"(status = '{Status.ARCHIVED.value}') = (archived_at IS NOT NULL)", name="archived_has_time"),
    sa.Index(
        "one_live_version_per_automation",
        "tenant_id",
        "automation_id",
        unique=True,
        postgresql_where=sa.text(f"status = '{Status.LIVE.value}'"),
    ),
    sa.Index("versions_by_tenant_and_status", "tenant_id", "status"),
)

automation_versions_status_history = sa.Table(
    "automation_versions_status_history",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    tenant(),
    sa.Column("automation_version_id", Id, nullable=False),
    sa.Column("from_status", sa.Text, comment="null: the version was made"),
    sa.Column("to_status", sa.Text, nullable=False),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("system_initiated", sa.Boolean, nullable=False),
    sa.Column("reason_code", sa.Text),
    sa.Column("episode_id", Uuid),
    sa.Column("decision_id", Uuid),
    now("changed_at"),
    of_tenant("automation_version_id", "automation_versions", "history_is_of_a_version_of_its_tenant"),
    one_of("from_status", Status, "history_from_status_is_known"),
    one_of("to_status", Status, "history_to_status_is_known"),
    sa.Index("history_by_version", "tenant_id", "automation_version_id", "id"),
)

block_reasons = sa.Table(
    "block_reasons",
    metadata,
    new_uuid(),
    tenant(),
    sa.Column("automation_version_id", Id, nullable=False),
    sa.Column("episode_id", Uuid, nullable=False),
    word("kind"),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("failed_systems", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
    sa.Column("policy_id", sa.Text),
    sa.Column("decision_id", Uuid),
    sa.Column("occurred_at", Time, comment="event time of the decision; null when there was none"),
    now("opened_at"),
    sa.Column("cleared_at", Time),
    sa.Column("cleared_by", sa.Text),
    sa.Column("clearing", sa.Text),
    of_tenant("automation_version_id", "automation_versions", "a_block_reason_is_of_a_version_of_its_tenant"),
    one_of("kind", BlockKind, "block_kind_is_known"),
    one_of("clearing", Clearing, "clearing_is_known"),
    sa.CheckConstraint(
        "(cleared_at IS NULL) = (cleared_by IS NULL) AND (cleared_at IS NULL) = (clearing IS NULL)",
        name="a_cleared_reason_says_when_how_and_by_whom",
    ),
    sa.Index("block_reasons_by_event_time", "occurred_at", postgresql_where=sa.text("decision_id IS NOT NULL")),
    sa.Index("block_reasons_by_version", "tenant_id", "automation_version_id", "opened_at"),
    sa.Index(
        "one_open_block_reason_of_a_kind_per_version",
        "tenant_id",
        "automation_version_id",
        "kind",
        unique=True,
        postgresql_where=sa.text("cleared_at IS NULL"),
    ),
    comment="Why a version is blocked; it is unblocked when every open reason is cleared.",
)

workflows = sa.Table(
    "workflows",
    metadata,
    sa.Column("workflow_id", Id, primary_key=True),
    tenant(),
    sa.Column("name", sa.Text, nullable=False),
    now("created_at"),
    of_a_tenant("a_workflow_is_of_a_tenant"),
    sa.UniqueConstraint("tenant_id", "workflow_id", name="workflow_within_its_tenant"),
)

workflow_bindings = sa.Table(
    "workflow_bindings",
    metadata,
    new_uuid(),
    tenant(),
    sa.Column("automation_version_id", Id, nullable=False),
    sa.Column("wrk_workflow_id", Id, comment="null while pending"),
    word("status", BindingStatus.PENDING),
    sa.Column("external_ref", sa.Text, comment="how other systems name it, as job namespace and name"),
    now("created_at"),
    now("updated_at"),
    of_tenant("automation_version_id", "automation_versions", "a_binding_is_of_a_version_of_its_tenant"),
    of_tenant("wrk_workflow_id", "workflows", "a_binding_is_to_a_workflow_of_its_tenant", key="workflow_id"),
    sa.UniqueConstraint("tenant_id", "automation_version_id", name="one_binding_per_version"),
    one_of("status", BindingStatus, "binding_status_is_known"),
    sa.CheckConstraint(
        f"status IN ('{BindingStatus.PENDING.value}', '{BindingStatus.ERROR.value}') OR wrk_workflow_id IS NOT NULL",
        name="a_usable_binding_has_a_workflow",
    ),
    sa.Index("bindings_by_workflow", "tenant_id", "wrk_workflow_id"),
    sa.Index("bindings_by_external_ref", "external_ref"),
)

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("id", Id, primary_key=True),
    tenant(),
    sa.Column("automation_version_id", Id),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("delivery_phase", sa.Text),
    sa.Column("owner_user_id", Id),
    now("created_at"),
    now("updated_at"),
    of_a_tenant("a_project_is_of_a_tenant"),
    of_tenant("automation_version_id", "automation_versions", "a_project_is_of_a_version_of_its_tenant"),
    sa.ForeignKeyConstraint(["owner_user_id"], ["users.id"], name="a_project_may_have_an_owner"),
    sa.UniqueConstraint("tenant_id", "id", name="project_within_its_tenant"),
    sa.UniqueConstraint("tenant_id", "automation_version_id", name="one_project_per_version"),
    one_of(
        "status",
        (status for status in Status if status in DELIVERY_STATUSES),
        "project_status_is_a_delivery_status",
    ),
)
