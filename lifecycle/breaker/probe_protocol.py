"""When a half-open breaker lets a probe through, and what becomes of it (40.2). Pure.

    cooling ── lease (not before `opens_at`) ──▶ probing ── success in time ──▶ released
       ▲                                           │
       └── failure, or the lease's end: twice the cool-down ──┘

Only the execution that holds the lease has a say, and only while it lasts. So a probe of which nobody hears any more
has failed, and one that ends after its lease can't release what others have closed since. Times are those of one
clock, the database's.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

MAX_COOL_DOWN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one execution to run."""

    execution_id: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfOpen:
    """The breaker of one blacklisted workflow."""

    #: What was waited last; the next failure doubles it, up to a day.
    cool_down: timedelta
    #: How long a probe may take; longer than a run may.
    lease_for: timedelta
    opens_at: datetime
    lease: Lease | None = None
    failures: int = 0
    released: bool = False


def expire(state: HalfOpen, now: datetime) -> HalfOpen:
    """A lease that has ended is a failure, at its end: however late it is noticed, the cool-down runs from there."""
    if state.released or state.lease is None or now < state.lease.until:
        return state
    return _close(state, state.lease.until)


def lease(state: HalfOpen, execution_id: str, now: datetime) -> HalfOpen | None:
    """Let an execution run as the probe; None when it may not. The one that holds the lease may still."""
    state = expire(state, now)
    if state.released:
        return None
    if state.lease is not None:
        return state if state.lease.execution_id == execution_id else None
    if now < state.opens_at:
        return None
    return replace(state, lease=Lease(execution_id, now + state.lease_for))


def succeed(state: HalfOpen, execution_id: str, now: datetime) -> HalfOpen:
    """The probe ended well: the workflow is released. Anybody else's success changes nothing."""
    state = expire(state, now)
    if not _holds(state, execution_id):
        return state
    return replace(state, lease=None, released=True)


def fail(state: HalfOpen, execution_id: str, now: datetime) -> HalfOpen:
    """The probe failed or is stuck: closed again, for twice as long. Anybody else's failure changes nothing."""
    state = expire(state, now)
    return _close(state, now) if _holds(state, execution_id) else state


def _holds(state: HalfOpen, execution_id: str) -> bool:
    return not state.released and state.lease is not None and state.lease.execution_id == execution_id


def _close(state: HalfOpen, at: datetime) -> HalfOpen:
    cool_down = min(2 * state.cool_down, MAX_COOL_DOWN)
    return replace(state, lease=None, cool_down=cool_down, opens_at=at + cool_down, failures=state.failures + 1)
