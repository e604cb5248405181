"""What a move of a version is, before anybody writes it or tells of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lifecycle.audit import AuditEntry
from lifecycle.statuses import Operation, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One step of a version from where it is to `target`."""

    operation: Operation
    target: Status
    #: The columns that change with it, besides the status and its times.
    columns: Mapping[str, Any]
    reason_code: str
    #: What a person gave as the reason; for notices and audit rows.
    reason: str | None = None
    episode_id: str | None = None
    decision_id: str | None = None
    #: More audit rows of the same step, written after `update_status`.
    audit: tuple[AuditEntry, ...] = ()
