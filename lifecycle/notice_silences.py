"""Silences: what people say that nobody shall be told for a while (60.5). The storm control asks for them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.kinds import Channel, Severity, Template
from lifecycle.texts import typed_reason

#: A silence that lasts longer is forgotten.
LONGEST = timedelta(days=30)

#: How many are read at once.
MAX_SILENCES = 500

_silences = tables.notice_silences.c
_now = sa.func.clock_timestamp(type_=sa.DateTime(timezone=True))

Row = sa.Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """What is silenced: notices that match all that is named. In-app ones are never silenced."""

    tenant_id: str | None = None
    template: Template | None = None
    channel: Channel | None = None
    severity: Severity | None = None


def add_silence(
    connection: sa.Connection, matcher: Matcher, *, reason: str, expires_at: datetime, actor_context: ActorContext
) -> Row:
    """Silence what matches, until then.

    `precondition_failed` when it names nothing, or ends in the past or after `LONGEST`; `reason_required`;
    `not_found` for a tenant that is not there.
    """
    kept = typed_reason(reason)
    if kept is None:
        raise LifecycleError(ErrorCode.REASON_REQUIRED, "Say why nobody shall be told.")
    if not any(asdict(matcher).values()):
        raise LifecycleError(ErrorCode.PRECONDITION_FAILED, "Name a tenant, template, channel or severity.")
    now = connection.execute(sa.select(_now)).scalar_one()
    if not now < expires_at <= now + LONGEST:
        raise LifecycleError(ErrorCode.PRECONDITION_FAILED, f"It must end within {LONGEST.days} days from now.")
    if matcher.tenant_id is not None and not _is_tenant(connection, matcher.tenant_id):
        raise LifecycleError(ErrorCode.NOT_FOUND, "There is no such tenant.")
    return connection.execute(
        sa.insert(tables.notice_silences)
        .values(**asdict(matcher), reason=kept, created_by=actor_context.actor, expires_at=expires_at)
        .returning(tables.notice_silences)
    ).one()


def end_silence(connection: sa.Connection, silence_id: str, *, actor_context: ActorContext) -> Row:
    """End a silence before it expires; one that is over stays as it is. `not_found`."""
    connection.execute(
        sa.update(tables.notice_silences)
        .where(_silences.id == silence_id, _silences.ended_at.is_(None), _silences.expires_at > _now)
        .values(ended_at=_now, ended_by=actor_context.actor)
    )
    found = connection.execute(sa.select(tables.notice_silences).where(_silences.id == silence_id)).first()
    if found is None:
        raise LifecycleError(ErrorCode.NOT_FOUND, "There is no such silence.")
    return found


def list_silences(connection: sa.Connection, *, active: bool = True) -> Sequence[Row]:
    """Those in force, or (`active` False) those that are over; the newest first, at most `MAX_SILENCES`."""
    in_force = sa.and_(_silences.ended_at.is_(None), _silences.expires_at > _now)
    return connection.execute(
        sa.select(tables.notice_silences)
        .where(in_force if active else sa.not_(in_force))
        .order_by(_silences.created_at.desc(), _silences.id)
        .limit(MAX_SILENCES)
    ).all()


def _is_tenant(connection: sa.Connection, tenant_id: str) -> bool:
    tenants = tables.tenants.c
    return connection.execute(sa.select(tenants.id).where(tenants.id == tenant_id)).first() is not None
