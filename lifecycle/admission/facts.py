"""Read what the predicate judges by, for many workflows in one snapshot (40.5)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from lifecycle.kinds import GateHoldKind
from lifecycle.statuses import Status


@dataclass(frozen=True, slots=True)
class WorkflowFacts:
    """One workflow as the gate sees it."""

    tenant_id: str
    automation_version_id: str | None
    blacklisted: bool
    status: Status | None
    #: That hold the workflow as a whole.
    holds: frozenset[GateHoldKind]
    #: Whether its half-open breaker may have a probe for somebody, and the execution that has it.
    probe_is_free: bool
    probe_execution_id: str | None


#: A workflow may have served several versions: the one that is Live counts, else the one that was moved last. A binding
#: is to a version of its own tenant, so the version's id is enough, and its index the only one that can be used.
_READ = sa.text(
    """
    SELECT w.workflow_id, w.tenant_id, v.id AS version_id, v.status,
        EXISTS (
            SELECT FROM workflow_blacklist b
            WHERE b.tenant_id = w.tenant_id AND b.workflow_id = w.workflow_id AND b.removed_at IS NULL
        ) AS blacklisted,
        ARRAY (
            SELECT DISTINCT h.kind FROM gate_holds h
            WHERE h.tenant_id = w.tenant_id AND h.workflow_id = w.workflow_id AND h.released_at IS NULL
                AND h.kind <> 'block_dispatch'
        ) AS holds,
        coalesce(p.opens_at <= now() AND coalesce(p.leased_until <= now(), true), false) AS probe_is_free,
        p.execution_id AS probe_execution_id
    FROM workflows w
    LEFT JOIN breaker_probes p ON p.tenant_id = w.tenant_id AND p.workflow_id = w.workflow_id
    LEFT JOIN LATERAL (
        SELECT av.id, av.status FROM workflow_bindings wb
        JOIN automation_versions av ON av.id = wb.automation_version_id
        WHERE wb.tenant_id = w.tenant_id AND wb.wrk_workflow_id = w.workflow_id
        ORDER BY av.status = 'Live' DESC, av.status_changed_at DESC, av.id
        LIMIT 1
    ) v ON true
    WHERE w.workflow_id = ANY (:workflows)
    """
).bindparams(sa.bindparam("workflows", type_=sa.ARRAY(sa.Text)))

_READ_DISPATCHERS = sa.text(
    """
    SELECT tenant_id, execution_id FROM gate_holds
    WHERE kind = 'block_dispatch' AND released_at IS NULL AND execution_id = ANY (:executions)
    """
).bindparams(sa.bindparam("executions", type_=sa.ARRAY(sa.Text)))


_NONE: frozenset[GateHoldKind] = frozenset()


def read_facts(connection: sa.Connection, workflow_ids: Collection[str]) -> Mapping[str, WorkflowFacts]:
    """The facts by workflow; one that nobody knows is not among them. One statement, so one moment."""
    return {
        row.workflow_id: WorkflowFacts(
            tenant_id=row.tenant_id,
            automation_version_id=row.version_id,
            blacklisted=row.blacklisted,
            status=None if row.status is None else Status(row.status),
            holds=frozenset(map(GateHoldKind, row.holds)) if row.holds else _NONE,
            probe_is_free=row.probe_is_free,
            probe_execution_id=row.probe_execution_id,
        )
        for row in connection.execute(_READ, {"workflows": list(workflow_ids)})
    }


def read_blocked_dispatchers(connection: sa.Connection, execution_ids: Collection[str]) -> set[tuple[str, str]]:
    """Those of these executions, as (tenant, execution), that may start nothing. No statement for no execution."""
    if not execution_ids:
        return set()
    found = connection.execute(_READ_DISPATCHERS, {"executions": list(execution_ids)})
    return {(row.tenant_id, row.execution_id) for row in found}
