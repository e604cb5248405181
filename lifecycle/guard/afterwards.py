"""After a provider's incident: the monitor forgets what failed meanwhile, and nothing is stopped for it (30.6).

A decision may rest on failures of an incident that is over: it was under way when the incident ended, or its workflow
failed too seldom for a decision meanwhile and completes a streak now. Such a decision tells the monitor to forget
instead of stopping anything. What fails from then on is judged for itself.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from lifecycle import tables
from lifecycle.control_events import ControlKind, put_control_event
from lifecycle.kinds import HoldKind

_incidents = tables.provider_incidents.c
_holds = tables.holds.c
_decisions = tables.decisions.c

#: So long after an end failures may be counted by a monitor that has not heard of it: outbox, topic, a busy moment.
HEARD_WITHIN = timedelta(minutes=1)

#: So long after an end the first decision about a workflow is taken to rest on failures of the incident.
REMEMBERED = timedelta(days=1)

#: `reason_code` of a decision that rests on a credential's status, and not on failed runs.
INTEGRATION_MONITOR = "integration_monitor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A provider's incident; `began_at` and `last_failure_at` are event times."""

    id: str
    system_key: str
    began_at: datetime
    last_failure_at: datetime
    #: By the database's clock; None while it is open.
    closed_at: datetime | None

    @classmethod
    def of(cls, row: sa.Row[*tuple[Any, ...]], *, closed_at: datetime | None = None) -> "Incident":
        """The incident of a row; `closed_at` when it is being closed."""
        return cls(
            id=row.id,
            system_key=row.system_key,
            began_at=row.began_at,
            last_failure_at=row.last_failure_at,
            closed_at=closed_at or row.closed_at,
        )

    @property
    def until(self) -> datetime:
        """The end of what the monitor forgets."""
        return self.last_failure_at if self.closed_at is None else max(self.closed_at, self.last_failure_at)


@dataclass(frozen=True, slots=True)
class Incidents:
    """What concerns a request to block, by system."""

    open: Mapping[str, Incident]
    #: Over, but this request rests on them.
    unheard: Mapping[str, Incident]


def incidents_about(
    connection: sa.Connection,
    system_keys: Collection[str],
    *,
    tenant_id: str,
    workflow_id: str,
    decision_id: str,
    at: datetime,
) -> Incidents:
    """The incidents of these systems that speak against a decision of event time `at`.

    One statement when there was none for a day, as nearly always.
    """
    found = [
        Incident.of(row)
        for row in connection.execute(
            _INCIDENTS, {"system_keys": sorted(system_keys), "at": at, "remembered_from": at - REMEMBERED}
        )
    ]
    unheard: dict[str, Incident] = {}
    over = [incident for incident in found if incident.closed_at is not None]
    if over:
        of_failures = not _says_a_credential(connection, decision_id)
        for incident in over:
            if at <= incident.until or (
                of_failures
                and (at <= incident.until + HEARD_WITHIN or not _was_told(connection, incident, tenant_id, workflow_id))
            ):
                unheard[incident.system_key] = incident
    return Incidents({one.system_key: one for one in found if one.closed_at is None}, unheard)


def concerned(incident: Incident) -> sa.ColumnElement[bool]:
    """The holds whose workflows hear of the incident's end: its own, and others' that wait for this system too."""
    return sa.or_(
        _holds.incident_id == incident.id,
        sa.and_(
            _holds.kind == HoldKind.PROVIDER_INCIDENT,
            _holds.system_keys.contains(sa.cast([incident.system_key], ARRAY(sa.Text))),
            _holds.occurred_at.between(incident.began_at, incident.until),
        ),
    )


def tell_monitor_of_end(
    connection: sa.Connection, incident: Incident, *, tenant_id: str, workflow_id: str, cause: str, now: datetime
) -> None:
    """Let the detector forget the system's failures inside the incident, and judge again; once for each `cause`."""
    put_control_event(
        connection,
        kind=ControlKind.HOLD_ENDED,
        cause=cause,
        tenant_id=tenant_id,
        workflow_id=workflow_id,
        occurred_at=now,
        fields={
            "system_key": incident.system_key,
            "from": incident.began_at.isoformat(),
            "to": incident.until.isoformat(),
        },
    )


def _was_told(connection: sa.Connection, incident: Incident, tenant_id: str, workflow_id: str) -> bool:
    return (
        connection.execute(
            sa.select(_holds.id)
            .where(_holds.tenant_id == tenant_id, _holds.workflow_id == workflow_id, concerned(incident))
            .limit(1)
        ).first()
        is not None
    )


def _says_a_credential(connection: sa.Connection, decision_id: str) -> bool:
    reason_code = connection.execute(
        sa.select(_decisions.reason_code).where(_decisions.decision_id == decision_id)
    ).scalar()
    return reason_code == INTEGRATION_MONITOR


_INCIDENTS = (
    sa.select(
        _incidents.id,
        _incidents.system_key,
        _incidents.began_at,
        _incidents.last_failure_at,
        _incidents.closed_at,
    )
    .where(
        _incidents.system_key == sa.any_(sa.bindparam("system_keys", type_=ARRAY(sa.Text))),
        sa.or_(
            _incidents.closed_at.is_(None),
            sa.and_(
                _incidents.began_at <= sa.bindparam("at", type_=_incidents.began_at.type),
                sa.func.greatest(_incidents.closed_at, _incidents.last_failure_at)
                >= sa.bindparam("remembered_from", type_=_incidents.began_at.type),
            ),
        ),
    )
    .order_by(_incidents.opened_at, _incidents.id)
)
