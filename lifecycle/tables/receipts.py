"""Receipts of runs that were asked for: what came of each attempt, kept for good (50.7)."""

import sqlalchemy as sa

from lifecycle.kinds import ReceiptOutcome
from lifecycle.tables.columns import Uuid, metadata, now, of_a_tenant, of_tenant, one_of, tenant, word

run_receipts = sa.Table(
    "run_receipts",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    tenant(),
    sa.Column("case_id", Uuid, nullable=False),
    sa.Column("idempotency_key", sa.Text, nullable=False, comment="of the task that it is about"),
    word("outcome"),
    sa.Column("reason", sa.String(500), comment="why it was blocked, or the class of the error"),
    sa.Column("gate", sa.String(120), comment="what the gate said then"),
    sa.Column("task_id", Uuid, comment="the task that was made, or was there"),
    now("created_at"),
    of_a_tenant("a_receipt_is_of_a_tenant"),
    of_tenant("case_id", "credit_cases", "a_receipt_is_of_a_case_of_its_tenant"),
    one_of("outcome", ReceiptOutcome, "receipt_outcome_is_known"),
    sa.CheckConstraint(
        f"outcome <> '{ReceiptOutcome.CREATED.value}' OR task_id IS NOT NULL", name="what_was_created_is_named"
    ),
    sa.Index(
        "one_task_created_per_key",
        "tenant_id",
        "idempotency_key",
        unique=True,
        postgresql_where=sa.text(f"outcome = '{ReceiptOutcome.CREATED.value}'"),
    ),
    sa.Index("receipts_by_case", "case_id", "id"),
    comment="Append-only: a trigger refuses UPDATE, DELETE and TRUNCATE.",
)
