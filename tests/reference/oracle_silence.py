"""20.6 by definition, for the whole stream: every run is kept, and each is asked whether nothing followed it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from tests.reference.decisions import Decision, build
from tests.reference.lines import Fields


class SilenceOracle:
    """Runs later than the allowed lateness end no silence: what the watermark has passed is settled."""

    def __init__(self, limit: timedelta | None, policy_version: Any) -> None:
        self._limit = limit
        self._policy_version = policy_version
        self._times: list[datetime] = []
        self._open: list[tuple[datetime, str]] = []
        self._told: set[datetime] = set()

    def arrive(self, fields: Fields, watermark: datetime) -> None:
        """A usable, new run event that the gate did not write; the watermark has seen it."""
        if fields["occurred_at"] > watermark:
            self._times.append(fields["occurred_at"])
            self._open.append((fields["occurred_at"], fields["event_id"]))

    def advance(self, watermark: datetime) -> Iterator[Decision]:
        """Every silence whose deadline the watermark has reached."""
        if self._limit is None:
            return
        # Once the watermark is there no run can come before the deadline any more: each is asked once.
        due = sorted(run for run in self._open if run[0] + self._limit <= watermark)
        self._open = [run for run in self._open if run[0] + self._limit > watermark]
        for at, event_id in due:
            deadline = at + self._limit
            if at in self._told or any(at < other < deadline for other in self._times):
                continue
            self._told.add(at)
            yield build(
                kind="silence",
                tenant="",
                workflow="",
                policy_id="silence",
                policy_version=self._policy_version,
                cause=event_id,
                occurred_at=deadline,
                version=None,
                reason_code="no_runs",
                evidence=[event_id],
                detail={},
            ) | {"tenant_id": None, "workflow_id": None}
