"""Tell operations that something about credit monitoring itself does not work (50.8, 50.10)."""

import sqlalchemy as sa

from lifecycle.kinds import Severity, Template
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Notice, put_notices
from lifecycle.recipients import on_call_recipients, ops_recipients


def tell_of_fault(
    connection: sa.Connection,
    *,
    episode_id: str,
    headline: str,
    problem: str,
    next_step: str,
    link: str,
    options: LifecycleOptions,
    grave: bool = False,
) -> None:
    """Put one notice into the outbox, in the caller's transaction; the same episode is told once.

    What is grave is told to who is on call as well.
    """
    put_notices(
        connection,
        tenant_id=None,
        notices=[
            Notice(
                template=Template.CREDIT_HEALTH,
                severity=Severity.CRITICAL if grave else Severity.WARNING,
                episode_id=episode_id,
                decision_id=None,
                link=link,
                context={"headline": headline, "problem": problem, "next_step": next_step},
                recipients=(*ops_recipients(options), *(on_call_recipients(options) if grave else ())),
            )
        ],
    )
