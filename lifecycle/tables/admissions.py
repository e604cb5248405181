"""What the admission gate answered, what it holds back, and what started in spite of it (40.5, 50.2)."""

import sqlalchemy as sa

from lifecycle.kinds import AdmissionVerdict, GateHoldKind, LeakKind, RefusalCode, Trigger
from lifecycle.tables.columns import Id, Time, Uuid, metadata, new_uuid, now, of_a_tenant, one_of, tenant, word

admissions = sa.Table(
    "admissions",
    metadata,
    tenant(),
    sa.Column("idempotency_key", Id, nullable=False),
    sa.Column("execution_id", Uuid, nullable=False, comment="follows from tenant and key"),
    sa.Column("workflow_id", Id, nullable=False),
    sa.Column("automation_version_id", Id, comment="the one that runs, or whose status forbids it"),
    word("trigger"),
    word("verdict"),
    sa.Column("code", sa.Text, comment="why not; null when admitted"),
    sa.Column("probe", sa.Boolean, nullable=False, comment="let through to see whether the workflow works again"),
    sa.Column("position", sa.Text, comment="topic/partition/offset of the request; null when it came by HTTP"),
    sa.Column("decided_at", Time, nullable=False, server_default=sa.text("clock_timestamp()")),
    sa.PrimaryKeyConstraint("tenant_id", "idempotency_key"),
    sa.UniqueConstraint("execution_id", name="an_execution_is_admitted_once"),
    one_of("trigger", Trigger, "trigger_is_known"),
    one_of("verdict", AdmissionVerdict, "verdict_is_known"),
    one_of("code", RefusalCode, "refusal_code_is_known"),
    sa.CheckConstraint(
        f"(verdict = '{AdmissionVerdict.REFUSED.value}') = (code IS NOT NULL)", name="a_refusal_says_why"
    ),
    sa.Index("admissions_by_time", "decided_at", postgresql_using="brin"),
    # No foreign keys: a row is written in the statement that has just read its workflow, thousands at once.
    comment="Each answer once; whoever asks again with the key gets the same.",
)

gate_holds = sa.Table(
    "gate_holds",
    metadata,
    new_uuid(),
    tenant(),
    sa.Column("workflow_id", Id, nullable=False),
    word("kind"),
    sa.Column("case_id", Uuid, comment="the credit case that asked for it"),
    sa.Column("execution_id", Id, comment="of block_dispatch: whose downstream requests are refused"),
    now("created_at"),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("released_at", Time),
    sa.Column("released_by", sa.Text),
    of_a_tenant("a_gate_hold_is_of_a_tenant"),
    one_of("kind", GateHoldKind, "gate_hold_kind_is_known"),
    sa.CheckConstraint(
        "(released_at IS NULL) = (released_by IS NULL)", name="a_released_gate_hold_has_time_and_author"
    ),
    sa.CheckConstraint(
        f"kind <> '{GateHoldKind.BLOCK_DISPATCH.value}' OR execution_id IS NOT NULL",
        name="a_dispatch_is_blocked_for_an_execution",
    ),
    sa.Index(
        "one_gate_hold_of_a_kind_case_and_execution",
        "tenant_id",
        "workflow_id",
        "kind",
        "case_id",
        "execution_id",
        unique=True,
        postgresql_where=sa.text("released_at IS NULL"),
        postgresql_nulls_not_distinct=True,
    ),
)

enforcement_leaks = sa.Table(
    "enforcement_leaks",
    metadata,
    tenant(),
    sa.Column("workflow_id", Id, nullable=False),
    sa.Column("execution_id", Id, nullable=False),
    word("kind"),
    sa.Column("started_at", Time, nullable=False, comment="event time of its first sign of life"),
    sa.Column("forbidden_at", Time, comment="since when it was forbidden"),
    now("found_at"),
    sa.PrimaryKeyConstraint("tenant_id", "workflow_id", "execution_id"),
    of_a_tenant("a_leak_is_of_a_tenant"),
    one_of("kind", LeakKind, "leak_kind_is_known"),
    sa.Index("leaks_by_time", "found_at"),
    comment="Runs that started though the gate had not let them, or too long after it was forbidden.",
)
