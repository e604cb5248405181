"""Cases that nobody has acknowledged in time: on-call is told, once for each step of their severity (50.4)."""

from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.credits.case_audit import CaseOperation, audit_case
from lifecycle.ids import stable_id
from lifecycle.kinds import CaseSeverity, CaseStatus, Severity, Template
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Notice, put_notices
from lifecycle.recipients import on_call_recipients, ops_recipients, tenant_name
from lifecycle.texts import at_time, one_line

_cases = tables.credit_cases.c


def escalate_overdue_cases(
    connection: sa.Connection, *, actor_context: ActorContext, options: LifecycleOptions
) -> list[CaseSeverity]:
    """Tell on-call of every case whose response time is over; the severity of each. The transaction is the caller's.

    One statement finds and marks them, so that of two who look at once only one tells.
    """
    overdue = connection.execute(
        sa.update(tables.credit_cases)
        .where(
            _cases.acknowledge_by <= sa.func.clock_timestamp(),
            _cases.acknowledged_at.is_(None),
            _cases.escalated_at.is_(None),
            _cases.status != CaseStatus.RESOLVED,
        )
        .values(escalated_at=sa.func.clock_timestamp(), version=_cases.version + 1, updated_at=sa.func.now())
        .returning(tables.credit_cases)
    ).all()
    for case in sorted(overdue, key=lambda case: case.id):
        audit_case(connection, case, CaseOperation.ESCALATE, actor_context, severity=case.severity)
        _tell(connection, case, options)
    return [CaseSeverity(case.severity) for case in overdue]


def _tell(connection: sa.Connection, case: sa.Row[Any], options: LifecycleOptions) -> None:
    put_notices(
        connection,
        tenant_id=case.tenant_id,
        notices=[
            Notice(
                template=Template.CREDIT_CASE_OVERDUE,
                severity=Severity.CRITICAL,
                episode_id=stable_id("credit_case_overdue", case.id, case.severity),
                decision_id=None,
                link=options.case_link(case.case_id),
                context={
                    "headline": case.title,
                    "tenant_name": one_line(tenant_name(connection, case.tenant_id)),
                    "case_id": case.case_id,
                    "severity": case.severity,
                    "acknowledge_by": at_time(case.acknowledge_by),
                    "since": at_time(case.raised_at),
                },
                recipients=(*ops_recipients(options), *on_call_recipients(options)),
            )
        ],
    )
