"""Answer requests to start runs, and remember each answer by its key (40.5).

Many requests share one transaction, whichever way they came: the gate's two forms differ in nothing that matters.
Only Postgres answers. A copy in memory or in Redis could be told late of a block; and an answer that nobody
remembers could be given twice (docs/decisions/0011).
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.admission.facts import WorkflowFacts, read_blocked_dispatchers, read_facts
from lifecycle.admission.predicate import Facts, why_not
from lifecycle.breaker.half_open import probe_lease
from lifecycle.ids import stable_id
from lifecycle.kinds import AdmissionVerdict, GateHoldKind, RefusalCode, Trigger

#: At most so many requests in one transaction.
MAX_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody wants to start a run."""

    workflow_id: str
    trigger: Trigger
    idempotency_key: str
    #: Those that the asking one acts for; None: every tenant.
    tenants: frozenset[str] | None
    #: The execution that asks for it, where one does.
    parent_execution_id: str | None = None
    #: `topic/partition/offset`; None when it did not come from a log.
    position: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, now or the first time that the key was used."""

    tenant_id: str
    workflow_id: str
    automation_version_id: str | None
    execution_id: str
    trigger: Trigger
    verdict: AdmissionVerdict
    #: None when admitted.
    code: RefusalCode | None
    probe: bool
    #: Of the request that was answered first.
    position: str | None
    decided_at: datetime


class Unanswerable(StrEnum):
    """Why a request has no answer; nothing is remembered of it."""

    UNKNOWN_WORKFLOW = "unknown_workflow"  #: or another tenant's
    KEY_REUSED = "idempotency_key_reused"  #: the key was used for another workflow or trigger


class _Row(msgspec.Struct, frozen=True, gc=False):
    """What would be written for a request."""

    tenant_id: str
    idempotency_key: str
    execution_id: str
    workflow_id: str
    automation_version_id: str | None
    trigger: Trigger
    verdict: AdmissionVerdict
    code: RefusalCode | None
    probe: bool
    position: str | None


_INSERT = sa.text(
    """
    INSERT INTO admissions (tenant_id, idempotency_key, execution_id, workflow_id, automation_version_id, "trigger",
        verdict, code, probe, position)
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS r (tenant_id text, idempotency_key text, execution_id uuid,
        workflow_id text, automation_version_id text, "trigger" text, verdict text, code text, probe boolean,
        position text)
    ON CONFLICT DO NOTHING RETURNING execution_id::text AS execution_id, decided_at
    """
)
_REFUSE = sa.text(
    """
    UPDATE admissions a SET verdict = 'refused', code = n.code, probe = false, decided_at = clock_timestamp(),
        automation_version_id = n.automation_version_id
    FROM unnest(CAST(:execution_id AS uuid[]), CAST(:code AS text[]), CAST(:automation_version_id AS text[]))
        AS n (execution_id, code, automation_version_id)
    WHERE a.execution_id = n.execution_id
    RETURNING a.tenant_id, a.workflow_id, a.automation_version_id, a.execution_id::text AS execution_id, a."trigger",
        a.verdict, a.code, a.probe, a.position, a.decided_at
    """
)
_admissions = tables.admissions.c


def execution_id_of(tenant_id: str, idempotency_key: str) -> str:
    """The execution that a key stands for, admitted or not."""
    return stable_id("admission", tenant_id, idempotency_key)


def answer(connection: sa.Connection, requests: Sequence[Request]) -> list[Answer | Unanswerable]:
    """Answer requests in their order; durable once the caller's transaction is.

    A key that was used before gets its first answer. Of two requests with one key in a batch the first counts. Two
    or three statements for up to `MAX_BATCH` requests; batches that share keys wait for each other.

    A request of a log that was admitted before, by its own position, was read again because nothing was written of it
    yet: if it may not start any more, it is refused now.
    """
    facts = read_facts(connection, {request.workflow_id for request in requests})
    parents = {request.parent_execution_id for request in requests if request.parent_execution_id is not None}
    dispatchers = read_blocked_dispatchers(connection, parents)
    wanted: dict[str, _Row] = {}
    asked: list[str | None] = []
    only_blacklisted: list[_Row] = []
    for request in requests:
        known = facts.get(request.workflow_id)
        if known is None or not (request.tenants is None or known.tenant_id in request.tenants):
            asked.append(None)
            continue
        execution_id = execution_id_of(known.tenant_id, request.idempotency_key)
        asked.append(execution_id)
        if execution_id not in wanted:
            holds = _holds(request, known, dispatchers)
            wanted[execution_id] = row = _row(request, known, execution_id, holds)
            if row.code is RefusalCode.WORKFLOW_BLACKLISTED and why_not(Facts(False, known.status, holds)) is None:
                only_blacklisted.append(row)
    wanted |= _probes(connection, facts, only_blacklisted)
    positions = {request.position for request in requests if request.position is not None}
    answers = _keep(connection, wanted, positions)
    return [
        Unanswerable.UNKNOWN_WORKFLOW if execution_id is None else _of_request(answers[execution_id], request)
        for request, execution_id in zip(requests, asked, strict=True)
    ]


def find_answer(connection: sa.Connection, execution_id: str) -> Answer | None:
    """What was answered for an execution; None when nobody asked. Whose it is says the answer."""
    row = connection.execute(sa.select(tables.admissions).where(_admissions.execution_id == execution_id)).first()
    return None if row is None else _read(row)


def _holds(request: Request, known: WorkflowFacts, dispatchers: Set[tuple[str, str]]) -> Set[GateHoldKind]:
    if request.parent_execution_id is not None and (known.tenant_id, request.parent_execution_id) in dispatchers:
        return known.holds | {GateHoldKind.BLOCK_DISPATCH}
    return known.holds


def _row(request: Request, known: WorkflowFacts, execution_id: str, holds: Set[GateHoldKind]) -> _Row:
    code = why_not(Facts(known.blacklisted, known.status, holds))
    return _Row(
        known.tenant_id,
        request.idempotency_key,
        execution_id,
        request.workflow_id,
        known.automation_version_id,
        request.trigger,
        AdmissionVerdict.ADMITTED if code is None else AdmissionVerdict.REFUSED,
        code,
        False,
        request.position,
    )


def _probes(
    connection: sa.Connection, facts: Mapping[str, WorkflowFacts], only_blacklisted: Sequence[_Row]
) -> dict[str, _Row]:
    """Those that may run although their workflow is blacklisted, to see whether it works again (40.2).

    One of a workflow is asked for the lease, and none that was refused before: its refusal stands.
    """
    admitted: dict[str, _Row] = {}
    asked: set[str] = set()
    for row in only_blacklisted:
        known, execution_id = facts[row.workflow_id], row.execution_id
        is_holder = known.probe_execution_id == execution_id
        if not is_holder and (not known.probe_is_free or row.workflow_id in asked):
            continue
        before = find_answer(connection, execution_id)
        if before is not None and before.code is not None:
            continue
        asked.add(row.workflow_id)
        now = connection.execute(sa.select(sa.func.now())).scalar_one()
        if probe_lease(connection, row.tenant_id, row.workflow_id, execution_id, now):
            admitted[execution_id] = msgspec.structs.replace(
                row, verdict=AdmissionVerdict.ADMITTED, code=None, probe=True
            )
    return admitted


def _keep(connection: sa.Connection, wanted: Mapping[str, _Row], positions: Set[str]) -> Mapping[str, Answer]:
    """Write rows that are not there yet; the answer of each, the new or the old one."""
    if not wanted:
        return {}
    # In one order for everybody, so that batches with the same keys can't wait for each other in a circle.
    rows = [wanted[execution_id] for execution_id in sorted(wanted)]
    # One value of JSON costs a third of ten arrays.
    written = {
        row.execution_id: row.decided_at
        for row in connection.execute(_INSERT, {"rows": msgspec.json.encode(rows).decode()})
    }
    answers = {}
    for execution_id, decided_at in written.items():
        row = wanted[execution_id]
        answers[execution_id] = Answer(
            tenant_id=row.tenant_id,
            workflow_id=row.workflow_id,
            automation_version_id=row.automation_version_id,
            execution_id=execution_id,
            trigger=row.trigger,
            verdict=row.verdict,
            code=row.code,
            probe=row.probe,
            position=row.position,
            decided_at=decided_at,
        )
    known = [execution_id for execution_id in wanted if execution_id not in written]
    if known:
        # A statement of its own sees what those have committed whom the insert waited for.
        found = connection.execute(
            sa.select(tables.admissions).where(_admissions.execution_id == sa.any_(sa.literal(known, _UUIDS)))
        )
        answers |= {row.execution_id: _read(row) for row in found}
        answers |= _refuse_late(connection, wanted, [answers[one] for one in known], positions)
    return answers


def _refuse_late(
    connection: sa.Connection, wanted: Mapping[str, _Row], found: Sequence[Answer], positions: Set[str]
) -> Mapping[str, Answer]:
    """Refuse what was admitted, is still to be written, and may not start any more."""
    late = [
        one
        for one in found
        if one.code is None
        and one.position in positions
        and wanted[one.execution_id].code is not None
        and wanted[one.execution_id].workflow_id == one.workflow_id
    ]
    if not late:
        return {}
    rows = connection.execute(
        _REFUSE,
        {
            "execution_id": [one.execution_id for one in late],
            "code": [wanted[one.execution_id].code for one in late],
            "automation_version_id": [wanted[one.execution_id].automation_version_id for one in late],
        },
    )
    return {row.execution_id: _read(row) for row in rows}


_UUIDS = sa.ARRAY(sa.Uuid(as_uuid=False))


def _of_request(found: Answer, request: Request) -> Answer | Unanswerable:
    is_same = found.workflow_id == request.workflow_id and found.trigger == request.trigger
    return found if is_same else Unanswerable.KEY_REUSED


def _read(row: sa.Row[tuple[object, ...]]) -> Answer:
    return Answer(
        tenant_id=row.tenant_id,
        workflow_id=row.workflow_id,
        automation_version_id=row.automation_version_id,
        execution_id=row.execution_id,
        trigger=Trigger(row.trigger),
        verdict=AdmissionVerdict(row.verdict),
        code=None if row.code is None else RefusalCode(row.code),
        probe=row.probe,
        position=row.position,
        decided_at=row.decided_at,
    )
