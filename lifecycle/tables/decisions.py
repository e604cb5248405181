"""What the monitor concluded, and what became of it: decisions, evidence, stuck executions, blacklist."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from lifecycle.kinds import BlacklistSource, DecisionOutcome
from lifecycle.tables.columns import (
    Id,
    Json,
    Time,
    Uuid,
    metadata,
    new_uuid,
    now,
    of_a_tenant,
    one_of,
    tenant,
    word,
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("decision_id", Uuid, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    tenant(nullable=True),
    sa.Column("workflow_id", Id),
    sa.Column("automation_version_id", Id),
    sa.Column("occurred_at", Time, nullable=False),
    sa.Column("policy_id", sa.Text, nullable=False),
    sa.Column("policy_version", sa.Integer, nullable=False),
    sa.Column("reason_code", sa.Text, nullable=False),
    sa.Column("observed", Json, nullable=False),
    sa.Column("threshold", Json, nullable=False),
    sa.Column("detail", Json, nullable=False),
    word("outcome", DecisionOutcome.APPLIED),
    sa.Column("outcome_reason", sa.Text, comment="what was done, or why nothing was"),
    now("recorded_at"),
    one_of("outcome", DecisionOutcome, "decision_outcome_is_known"),
    sa.Index("decisions_by_time", "occurred_at", "decision_id"),
    sa.Index("decisions_by_tenant_and_time", "tenant_id", "occurred_at", "decision_id"),
    sa.Index("decisions_by_workflow_and_time", "tenant_id", "workflow_id", "occurred_at"),
    # No foreign keys: a refused decision is kept with the ids that it came with, known or not.
    comment="Every decision once, whatever became of it.",
)

decision_evidence = sa.Table(
    "decision_evidence",
    metadata,
    sa.Column("decision_id", Uuid, nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False, comment="0 is the oldest"),
    tenant(nullable=True),
    sa.Column("event_id", Id, nullable=False),
    sa.Column("source", sa.Text, comment="topic or file"),
    sa.Column("partition", sa.Integer),
    sa.Column("offset", sa.BigInteger),
    sa.Column("sha256", sa.String(64), comment="of the raw message"),
    sa.PrimaryKeyConstraint("decision_id", "ordinal"),
    sa.ForeignKeyConstraint(["decision_id"], ["decisions.decision_id"], name="evidence_is_of_a_decision"),
)

stuck_executions = sa.Table(
    "stuck_executions",
    metadata,
    tenant(),
    sa.Column("workflow_id", Id, nullable=False),
    sa.Column("execution_id", Id, nullable=False),
    sa.Column("automation_version_id", Id),
    sa.Column("stuck_at", Time, comment="null: so far only its recovery is known"),
    sa.Column("recovered_at", Time),
    sa.Column("reason_code", sa.Text),
    sa.Column("stuck_decision_id", Uuid),
    sa.Column("recovered_decision_id", Uuid),
    now("recorded_at"),
    # Execution ids are unique within a workflow only (spec 10), so the workflow is part of the key.
    sa.PrimaryKeyConstraint("tenant_id", "workflow_id", "execution_id"),
    of_a_tenant("a_stuck_execution_is_of_a_tenant"),
    sa.ForeignKeyConstraint(["stuck_decision_id"], ["decisions.decision_id"], name="a_stuck_execution_was_decided"),
    sa.ForeignKeyConstraint(
        ["recovered_decision_id"], ["decisions.decision_id"], name="a_recovered_execution_was_decided"
    ),
    sa.CheckConstraint(
        "(stuck_at IS NULL) = (stuck_decision_id IS NULL)"
        " AND (recovered_at IS NULL) = (recovered_decision_id IS NULL)"
        " AND (stuck_at IS NOT NULL OR recovered_at IS NOT NULL)",
        name="a_stuck_execution_is_stuck_or_recovered",
    ),
    sa.Index("stuck_executions_by_time", "tenant_id", "workflow_id", "stuck_at"),
)

workflow_blacklist = sa.Table(
    "workflow_blacklist",
    metadata,
    new_uuid(),
    tenant(),
    sa.Column("workflow_id", Id, nullable=False),
    sa.Column("workflow_name", sa.Text, nullable=False, comment="as it was called then"),
    word("source"),
    sa.Column("reason", sa.String(520), nullable=False, comment="auto:stuck:<n> or manual:<note>"),
    sa.Column("stuck_count", sa.Integer),
    sa.Column("threshold", sa.Integer),
    sa.Column("window_seconds", sa.Integer),
    sa.Column("execution_ids", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
    sa.Column("decision_id", Uuid),
    now("blacklisted_at"),
    sa.Column("blacklisted_by", sa.Text, nullable=False),
    sa.Column("removed_at", Time),
    sa.Column("removed_by", sa.Text),
    sa.Column("removal_note", sa.String(500)),
    sa.Column("removal_source", sa.Text, comment="manual, or policy: a probe succeeded"),
    of_a_tenant("a_blacklisted_workflow_is_of_a_tenant"),
    sa.ForeignKeyConstraint(["decision_id"], ["decisions.decision_id"], name="a_blacklisting_may_be_decided"),
    one_of("source", BlacklistSource, "blacklist_source_is_known"),
    sa.CheckConstraint("cardinality(execution_ids) <= 20", name="blacklist_names_at_most_20_executions"),
    sa.CheckConstraint(
        "(removed_at IS NULL) = (removed_by IS NULL)", name="a_removal_from_the_blacklist_has_time_and_author"
    ),
    one_of("removal_source", BlacklistSource, "removal_source_is_known"),
    sa.Index(
        "one_active_blacklist_row_per_workflow",
        "tenant_id",
        "workflow_id",
        unique=True,
        postgresql_where=sa.text("removed_at IS NULL"),
    ),
    sa.Index("blacklist_history_by_workflow", "tenant_id", "workflow_id", "blacklisted_at"),
)

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("source", sa.Text, nullable=False, comment="topic or file"),
    sa.Column("partition", sa.Integer, nullable=False, comment="-1 for a file"),
    sa.Column("offset", sa.BigInteger, nullable=False, comment="byte offset in a file"),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("explanation", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    now("recorded_at"),
    sa.Column("replayed_at", Time),
    sa.Column("replayed_by", sa.Text),
    sa.Column("replayed_topic", sa.Text),
    sa.Column("replayed_partition", sa.Integer),
    sa.Column(
        "replayed_offset",
        sa.BigInteger,
        comment="where it was fed in last; a dead letter with that position came of it",
    ),
    sa.UniqueConstraint("source", "partition", "offset", name="one_dead_letter_per_position"),
    sa.Index("dead_letters_by_code", "code", "id"),
    sa.Index(
        "replayed_dead_letters_by_place",
        "replayed_topic",
        "replayed_partition",
        "replayed_offset",
        postgresql_where=sa.text("replayed_at IS NOT NULL"),
    ),
    comment="Messages that could not be used. The raw bytes are in the topic or file, never here.",
)
