"""Block a version because credentials have failed: `request_block_for_credentials` (30.2, 30.4).

All of it is written in the caller's transaction: status, reason, one task for each failed system, audit, history,
notices and the event. A block has an episode; what is told to people is told once in an episode.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.block_notices import block_notices
from lifecycle.block_tasks import add_credentials_tasks, add_skipped_task
from lifecycle.ids import stable_id
from lifecycle.kinds import AuditAction, AutomationStatus, BlockKind
from lifecycle.moves import Move
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import put_notices
from lifecycle.refusals import Refusal
from lifecycle.statuses import Operation, Status
from lifecycle.systems import MAX_REASON, System, credentials_reason, find_systems, names_of
from lifecycle.transitions import move_version
from lifecycle.versions import LockedVersion, lock_version

#: `reason_code` of the step and its event.
CREDENTIAL_FAILURE = "credential_failure"


class BlockOutcome(StrEnum):
    """What became of a request to block."""

    BLOCKED = "blocked"  #: the version was moved to Blocked
    MERGED = "merged"  #: it was blocked already; systems or tasks were added
    ALREADY_APPLIED = "already_applied"  #: it was blocked already, and nothing was missing
    SKIPPED = "skipped"  #: its status is not one to block from; operations has a task
    HELD = "held"  #: `admit` let nothing through; the guard has a hold (30.6)
    REFUSED = "refused"  #: see `refusal`; nothing was written


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockResult:
    """The outcome, and what it is known by."""

    outcome: BlockOutcome
    #: The status that the request met; None when there is no such version.
    met_status: Status | None = None
    episode_id: str | None = None
    #: Tasks made by this request.
    task_ids: tuple[str, ...] = ()
    refusal: Refusal | None = None

    @property
    def already_applied(self) -> bool:
        """True when the version was blocked before the request."""
        return self.outcome in (BlockOutcome.MERGED, BlockOutcome.ALREADY_APPLIED)


Admit = Callable[[LockedVersion, Sequence[System]], Sequence[System]]
"""Asked when a version is about to be blocked, or a block to be added to: the systems to do it for, or none."""


def request_block_for_credentials(
    connection: sa.Connection,
    *,
    tenant_id: str,
    automation_version_id: str,
    actor_context: ActorContext,
    failed_systems: Iterable[str],
    policy_id: str,
    decision_id: str,
    options: LifecycleOptions,
    occurred_at: datetime | None = None,
    admit: Admit | None = None,
    again: str | None = None,
) -> BlockResult:
    """Block a version, or add to the block that it is in; for decisions that passed their thresholds.

    The transaction is the caller's, who commits it, and must hold no lock of the lifecycle yet. The same request
    again writes nothing. `failed_systems` are keys as the events had them; at least one. `occurred_at` is the
    decision's event time. What decides without a person calls `guard.gate.block_within_bounds` instead. `again` names
    an episode of its own for a decision whose first block was taken back.
    """
    version = lock_version(connection, tenant_id, automation_version_id)
    if version is None:
        return BlockResult(outcome=BlockOutcome.REFUSED, refusal=Refusal.AUTOMATION_VERSION_NOT_FOUND)
    if version.automation_status is not AutomationStatus.ACTIVE:
        return BlockResult(
            outcome=BlockOutcome.REFUSED, met_status=version.status, refusal=Refusal.AUTOMATION_NOT_ACTIVE
        )
    systems: Sequence[System] = find_systems(connection, failed_systems)
    skipped = version.status is not Status.BLOCKED and version.status not in options.block_sources
    if admit is not None and not skipped:
        systems = admit(version, systems)
        if not systems:
            return BlockResult(outcome=BlockOutcome.HELD, met_status=version.status)
    request = _Request(
        connection=connection,
        version=version,
        actor_context=actor_context,
        systems=systems,
        policy_id=policy_id,
        decision_id=decision_id,
        occurred_at=occurred_at,
        options=options,
        again=again,
    )
    if skipped:
        return request.skip()
    return request.merge() if version.status is Status.BLOCKED else request.block()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """One request on a version that is locked and may be blocked."""

    connection: sa.Connection
    version: LockedVersion
    actor_context: ActorContext
    systems: Sequence[System]
    policy_id: str
    decision_id: str
    occurred_at: datetime | None
    options: LifecycleOptions
    again: str | None

    def block(self) -> BlockResult:
        """Move the version to Blocked; an episode begins."""
        version = self.version
        episode_id = stable_id("block", version.tenant_id, version.id, self.again or self.decision_id)
        reason = credentials_reason(self.systems)
        move_version(
            self.connection,
            version,
            Move(
                operation=Operation.BLOCK_FOR_CREDENTIALS,
                target=Status.BLOCKED,
                columns={
                    "blocked_reason": reason,
                    "blocked_at": version.now,
                    "blocked_from_status": version.status,
                    "block_episode_id": episode_id,
                },
                reason_code=CREDENTIAL_FAILURE,
                episode_id=episode_id,
                decision_id=self.decision_id,
                audit=(self._audit(episode_id, self.systems, reason),),
            ),
            actor_context=self.actor_context,
            options=self.options,
        )
        self._open_reason(episode_id, reason)
        task_ids = self._tasks(episode_id, self.systems)
        self._notify(episode_id, self.systems, reason, task_ids)
        return self._result(BlockOutcome.BLOCKED, episode_id, task_ids)

    def merge(self) -> BlockResult:
        """Add systems and tasks to the episode that is open; where the version came from stays as it is stored."""
        version = self.version
        episode_id = version.block_episode_id
        assert episode_id is not None  # a constraint says so
        open_reasons = self._open_reasons()
        mine = next((row for row in open_reasons if row.kind == BlockKind.CREDENTIALS), None)
        known = set() if mine is None else set(mine.failed_systems)
        systems = find_systems(self.connection, known | {system.key for system in self.systems})
        task_ids = self._tasks(episode_id, self.systems)
        if {system.key for system in systems} == known and not task_ids:
            return self._result(BlockOutcome.ALREADY_APPLIED, episode_id)
        reason = credentials_reason(systems)
        if mine is None:
            self._open_reason(episode_id, reason)
        else:
            self.connection.execute(
                sa.update(tables.block_reasons)
                .where(tables.block_reasons.c.id == mine.id)
                .values(failed_systems=[system.key for system in systems], reason=reason)
            )
        others = [row.reason for row in open_reasons if row.kind != BlockKind.CREDENTIALS]
        self.connection.execute(
            sa.update(tables.automation_versions)
            .where(
                tables.automation_versions.c.tenant_id == version.tenant_id,
                tables.automation_versions.c.id == version.id,
            )
            .values(blocked_reason=" ".join([*others, reason])[:MAX_REASON], updated_at=version.now)
        )
        write_audit(
            self.connection,
            tenant_id=version.tenant_id,
            actor_context=self.actor_context,
            entries=[self._audit(episode_id, systems, reason)],
        )
        self._notify(episode_id, systems, reason, task_ids)
        return self._result(BlockOutcome.MERGED, episode_id, task_ids)

    def skip(self) -> BlockResult:
        """Leave the version as it is, and let operations know."""
        task_id = add_skipped_task(self.connection, self.version, names_of(self.systems), decision_id=self.decision_id)
        return self._result(BlockOutcome.SKIPPED, None, () if task_id is None else (task_id,))

    def _result(self, outcome: BlockOutcome, episode_id: str | None, task_ids: tuple[str, ...] = ()) -> BlockResult:
        return BlockResult(outcome=outcome, met_status=self.version.status, episode_id=episode_id, task_ids=task_ids)

    def _open_reasons(self) -> Sequence[sa.Row[*tuple[Any, ...]]]:
        reasons = tables.block_reasons.c
        return self.connection.execute(
            sa.select(reasons.id, reasons.kind, reasons.reason, reasons.failed_systems)
            .where(
                reasons.tenant_id == self.version.tenant_id,
                reasons.automation_version_id == self.version.id,
                reasons.cleared_at.is_(None),
            )
            .order_by(reasons.opened_at, reasons.id)
        ).all()

    def _open_reason(self, episode_id: str, reason: str) -> None:
        self.connection.execute(
            insert(tables.block_reasons),
            {
                "id": stable_id("block_reason", episode_id, BlockKind.CREDENTIALS, self.decision_id),
                "tenant_id": self.version.tenant_id,
                "automation_version_id": self.version.id,
                "episode_id": episode_id,
                "kind": BlockKind.CREDENTIALS,
                "reason": reason,
                "failed_systems": [system.key for system in self.systems],
                "policy_id": self.policy_id,
                "decision_id": self.decision_id,
                "occurred_at": self.occurred_at,
                "opened_at": self.version.now,
            },
        )

    def _tasks(self, episode_id: str, systems: Sequence[System]) -> tuple[str, ...]:
        return add_credentials_tasks(
            self.connection,
            self.version,
            systems,
            episode_id=episode_id,
            decision_id=self.decision_id,
            link=self.options.tasks_link(self.version.id),
        )

    def _audit(self, episode_id: str, systems: Sequence[System], reason: str) -> AuditEntry:
        return AuditEntry(
            action=AuditAction.BLOCK_AUTOMATION,
            resource_type="automation_version",
            resource_id=self.version.id,
            episode_id=episode_id,
            decision_id=self.decision_id,
            metadata={
                "failed_systems": [system.key for system in systems],
                "blocked_reason_summary": reason,
                "threshold_policy_id": self.policy_id,
            },
        )

    def _notify(self, episode_id: str, systems: Sequence[System], reason: str, task_ids: tuple[str, ...]) -> None:
        put_notices(
            self.connection,
            tenant_id=self.version.tenant_id,
            notices=block_notices(
                self.connection,
                self.version,
                systems,
                reason=reason,
                task_count=len(task_ids),
                episode_id=episode_id,
                decision_id=self.decision_id,
                options=self.options,
            ),
        )
