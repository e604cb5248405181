"""Tell operations what the platform did not do."""

import sqlalchemy as sa

from lifecycle.kinds import Severity, Template
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import Notice, put_notices
from lifecycle.recipients import ops_recipients
from lifecycle.texts import at_time, one_line
from lifecycle.versions import LockedVersion


def tell_of_problem(
    connection: sa.Connection,
    version: LockedVersion,
    *,
    cause: str,
    problem: str,
    next_step: str,
    options: LifecycleOptions,
) -> None:
    """One notice for each cause; `problem` and `next_step` are sentences of ours."""
    put_notices(
        connection,
        tenant_id=version.tenant_id,
        notices=[
            Notice(
                template=Template.DEPLOYMENT_PROBLEM,
                severity=Severity.CRITICAL,
                episode_id=cause,
                decision_id=None,
                link=options.version_link(version.id),
                context={
                    "automation_name": one_line(version.automation_name),
                    "version": version.version,
                    "tenant_name": one_line(version.tenant_name),
                    "since": at_time(version.now),
                    "problem": problem,
                    "next_step": next_step,
                },
                recipients=ops_recipients(options),
            )
        ],
    )
