"""End what was asked of the platform and never settled: the sweeper of intents (30.5).

It makes the platform what the bindings say, whatever the intent had been for: a workflow that was activated for a
deploy that came to nothing is switched off, one that still runs for a Live version stays on.
"""

from datetime import timedelta

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.intents import OPEN, end_intent, make_platform, wanted_state
from lifecycle.kinds import IntentKind, IntentStatus
from lifecycle.options import LifecycleOptions
from lifecycle.platform import Platform, PlatformError
from lifecycle.platform_notices import tell_of_problem
from lifecycle.results import Transact
from lifecycle.versions import lock_version

#: After the first try; twice as long after each more.
FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(minutes=15)

#: So many earlier tries of one intent may still be on their way to the platform.
LATE_KEYS = 5

#: Operations hear of an intent that so many tries have not ended.
TELL_AFTER = 3

_intents = tables.platform_intents.c


def sweep_intents(transact: Transact, platform: Platform, *, options: LifecycleOptions, at_most: int = 100) -> int:
    """Try once each intent that is due; how many were ended. For a schedule; any number of sweepers may run."""
    ended = 0
    for _ in range(at_most):
        row = _take(transact)
        if row is None:
            break
        ended += _try(transact, platform, row, options)
    return ended


def _take(transact: Transact) -> sa.Row[tuple[object, ...]] | None:
    """The oldest intent that is due, made this sweeper's for a while."""
    with transact() as connection:
        row = connection.execute(
            sa.select(tables.platform_intents)
            .where(_intents.status.in_(OPEN), _intents.next_attempt_at <= sa.func.clock_timestamp())
            .order_by(_intents.next_attempt_at, _intents.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        ).first()
        if row is None:
            return None
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(row.attempts, 32))
        connection.execute(
            sa.update(tables.platform_intents)
            .where(_intents.id == row.id)
            .values(
                # From here on whoever opened it can't commit any more.
                status=IntentStatus.COMPENSATING,
                attempts=_intents.attempts + 1,
                next_attempt_at=sa.func.clock_timestamp() + wait,
            )
        )
        return row


def _try(transact: Transact, platform: Platform, row: sa.Row[tuple[object, ...]], options: LifecycleOptions) -> bool:
    with transact() as connection:
        wanted = wanted_state(connection, row.tenant_id, row.wrk_workflow_id)
    try:
        for key in _keys(row):
            make_platform(platform, row.wrk_workflow_id, wanted, idempotency_key=key)
    except PlatformError as error:
        with transact() as connection:
            connection.execute(
                sa.update(tables.platform_intents)
                .where(_intents.id == row.id, _intents.status.in_(OPEN))
                .values(error_code=error.fault)
            )
            if row.attempts + 1 >= TELL_AFTER:
                _tell(connection, row, options)
        return False
    with transact() as connection:
        if wanted_state(connection, row.tenant_id, row.wrk_workflow_id) is not wanted:
            return False  # it comes round again
        # What a replaced version's workflow was asked for is done; anything else was taken back.
        done = row.kind == IntentKind.REPLACE
        end_intent(connection, row.id, IntentStatus.COMMITTED if done else IntentStatus.COMPENSATED)
    return True


def _keys(row: sa.Row[tuple[object, ...]]) -> list[str]:
    """The keys to ask with, the last of them a new one.

    Those that were asked with before come first: one that the platform has seen does nothing, and one that is still on
    its way, in a question that hangs somewhere, will do nothing any more when it arrives.
    """
    first = max(0, row.attempts - LATE_KEYS)
    earlier = [f"{row.idempotency_key}:sweep:{attempt}" for attempt in range(first, row.attempts)]
    return [row.idempotency_key, *earlier, f"{row.idempotency_key}:sweep:{row.attempts}"]


def _tell(connection: sa.Connection, row: sa.Row[tuple[object, ...]], options: LifecycleOptions) -> None:
    version = lock_version(connection, row.tenant_id, row.automation_version_id)
    if version is None:
        return
    tell_of_problem(
        connection,
        version,
        cause=row.id,
        problem="the platform's workflow is not what the binding says, and the platform does not mend it.",
        next_step="It is tried again until it succeeds. “breakwater reconcile” shows what differs.",
        options=options,
    )
