"""What was asked of the platform, and is not settled until it says so (30.5)."""

import sqlalchemy as sa

from lifecycle.kinds import IntentKind, IntentStatus
from lifecycle.tables.columns import Id, Time, metadata, new_uuid, now, of_tenant, one_of, quoted, tenant, word

#: An intent that somebody still has to end.
_OPEN = (IntentStatus.OPEN, IntentStatus.COMPENSATING)

platform_intents = sa.Table(
    "platform_intents",
    metadata,
    new_uuid(),
    tenant(),
    sa.Column("automation_version_id", Id, nullable=False),
    word("kind"),
    word("status", IntentStatus.OPEN),
    sa.Column("wrk_workflow_id", Id, nullable=False),
    sa.Column("idempotency_key", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("error_code", sa.Text, comment="a code of ours, never the platform's words"),
    now("opened_at"),
    sa.Column("next_attempt_at", Time, comment="when a sweeper may take it up"),
    sa.Column("ended_at", Time),
    of_tenant("automation_version_id", "automation_versions", "an_intent_is_of_a_version_of_its_tenant"),
    sa.UniqueConstraint("idempotency_key", name="one_intent_per_idempotency_key"),
    one_of("kind", IntentKind, "intent_kind_is_known"),
    one_of("status", IntentStatus, "intent_status_is_known"),
    sa.CheckConstraint(f"(status IN ({quoted(_OPEN)})) = (ended_at IS NULL)", name="an_ended_intent_has_time"),
    sa.Index(
        "one_open_intent_per_version",
        "tenant_id",
        "automation_version_id",
        unique=True,
        postgresql_where=sa.text(f"status IN ({quoted(_OPEN)})"),
    ),
    sa.Index("intents_by_status_and_time", "status", "opened_at"),
    comment="Committed before the platform is asked, so that nothing it did can be forgotten.",
)
