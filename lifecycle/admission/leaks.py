"""Find runs that started although the gate had not let them, or too long after it was forbidden (40.5)."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa

from lifecycle.kinds import LeakKind

#: A run that starts within this of the commit that forbids it was under way.
GRACE = timedelta(seconds=1)

_ADMITTED_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class Start(msgspec.Struct, frozen=True):
    """The first sign of life of an execution, by the clock of whoever runs it."""

    tenant_id: str
    #: None: the one that is bound to the version.
    workflow_id: str | None
    automation_version_id: str
    execution_id: str
    started_at: datetime


_FIND = sa.text(
    """
    INSERT INTO enforcement_leaks (tenant_id, workflow_id, execution_id, kind, started_at, forbidden_at)
    SELECT w.tenant_id, w.workflow_id, s.execution_id,
        CASE WHEN a.execution_id IS NULL THEN 'without_admission' ELSE 'after_block' END, s.started_at, f.forbidden_at
    FROM json_to_recordset(CAST(:starts AS json)) AS s (tenant_id text, workflow_id text, automation_version_id text,
        execution_id text, admission_id uuid, started_at timestamptz)
    LEFT JOIN workflow_bindings wb
        ON wb.tenant_id = s.tenant_id AND wb.automation_version_id = s.automation_version_id
    JOIN workflows w ON w.tenant_id = s.tenant_id AND w.workflow_id = coalesce(s.workflow_id, wb.wrk_workflow_id)
    LEFT JOIN admissions a ON a.execution_id = s.admission_id AND a.tenant_id = w.tenant_id
        AND a.workflow_id = w.workflow_id AND a.verdict = 'admitted'
    LEFT JOIN LATERAL (
        SELECT min(since) AS forbidden_at FROM (
            SELECT b.blacklisted_at AS since FROM workflow_blacklist b
            WHERE b.tenant_id = w.tenant_id AND b.workflow_id = w.workflow_id AND NOT a.probe
                AND (b.removed_at IS NULL OR b.removed_at > s.started_at)
            UNION ALL
            SELECT h.created_at FROM gate_holds h
            WHERE h.tenant_id = w.tenant_id AND h.workflow_id = w.workflow_id AND h.kind <> 'block_dispatch'
                AND (h.released_at IS NULL OR h.released_at > s.started_at)
            UNION ALL
            -- Since it was last Live.
            SELECT c.changed_at FROM automation_versions_status_history c
            WHERE c.tenant_id = a.tenant_id AND c.automation_version_id = a.automation_version_id
                AND c.to_status <> 'Live' AND c.changed_at <= s.started_at
                AND c.changed_at > coalesce((
                    SELECT max(l.changed_at) FROM automation_versions_status_history l
                    WHERE l.tenant_id = a.tenant_id AND l.automation_version_id = a.automation_version_id
                        AND l.to_status = 'Live' AND l.changed_at <= s.started_at
                ), '-infinity')
        ) forbidding
        WHERE since < s.started_at - CAST(:grace AS interval)
    ) f ON true
    WHERE a.execution_id IS NULL OR f.forbidden_at IS NOT NULL
    ON CONFLICT DO NOTHING RETURNING kind
    """
)


def record_leaks(connection: sa.Connection, starts: Sequence[Start]) -> list[LeakKind]:
    """Keep those of these starts that leaked, and were not known to; their kinds.

    One statement. Starts of workflows that the registry does not give to the tenant are nobody's and are passed over.
    """
    rows = [
        {
            **msgspec.structs.asdict(start),
            # The gate's own ids are UUIDs; a run that is called anything else was not admitted.
            "admission_id": start.execution_id if _ADMITTED_ID.fullmatch(start.execution_id) else None,
        }
        for start in starts
    ]
    found = connection.execute(_FIND, {"starts": msgspec.json.encode(rows).decode(), "grace": GRACE})
    return [LeakKind(row.kind) for row in found]
