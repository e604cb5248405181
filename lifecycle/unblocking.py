"""End a block: clear its reasons, and let the version go back to where it was when none is left (30.1, 30.4)."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.audit import AuditEntry, write_audit
from lifecycle.capabilities import Capability
from lifecycle.errors import Detail, ErrorCode, LifecycleError
from lifecycle.kinds import (
    BLOCKING_TASK_KINDS,
    OPEN_TASK_STATUSES,
    AuditAction,
    AutomationStatus,
    BlockKind,
    Clearing,
    TaskKind,
    TaskStatus,
)
from lifecycle.moves import Move
from lifecycle.options import LifecycleOptions
from lifecycle.results import Hints, StatusResult, check_hints, not_found, read_result
from lifecycle.statuses import Operation, Status
from lifecycle.systems import MAX_REASON, credentials_reason, find_systems
from lifecycle.texts import typed_reason
from lifecycle.transitions import move_version
from lifecycle.versions import LockedVersion, lock_version

_reasons = tables.block_reasons.c
_tasks = tables.tasks.c
_versions = tables.automation_versions.c

_TASK_KINDS = {BlockKind.CREDENTIALS: TaskKind.CREDENTIALS_ISSUE, BlockKind.MANUAL: TaskKind.REMEDIATION}
_DONE = frozenset({Clearing.VERIFIED, Clearing.COMPLETED})


def unblock(
    connection: sa.Connection,
    *,
    tenant_id: str,
    automation_version_id: str,
    actor_context: ActorContext,
    hints: Hints,
    reason: str | None,
    override: bool,
    options: LifecycleOptions,
) -> StatusResult:
    """Unblock by hand: when all tasks of the block are complete, or as an override with a reason.

    `LifecycleError`: `automation_version_not_found`, `invalid_status_transition`, `forbidden`,
    `concurrency_conflict`, `reason_required`, `status_prerequisite_missing` with each open task,
    `precondition_failed` when another version went Live meanwhile. The transaction is the caller's.
    """
    version = lock_version(connection, tenant_id, automation_version_id)
    if version is None:
        raise not_found()
    if version.status is Status.ARCHIVED:
        raise LifecycleError(ErrorCode.INVALID_STATUS_TRANSITION, "An archived version stays archived.")
    if version.status is not Status.BLOCKED:
        return read_result(connection, tenant_id, automation_version_id, already_applied=True)
    needed = Capability.OVERRIDE if override else Capability.UNBLOCK
    if needed not in actor_context.capabilities:
        raise LifecycleError(ErrorCode.FORBIDDEN, "Your roles do not allow you to unblock this way.")
    check_active(version)
    check_hints(hints, version.status, version.updated_at)
    reason = typed_reason(reason)
    if override and reason is None:
        raise LifecycleError(ErrorCode.REASON_REQUIRED, "Say why the block is overridden.")
    if not override:
        _check_tasks(connection, version)
    lift_reasons(
        connection,
        version,
        kinds=tuple(BlockKind),
        clearing=Clearing.OVERRIDE if override else Clearing.COMPLETED,
        operation=Operation.UNBLOCK,
        actor_context=actor_context,
        options=options,
        reason_code="override" if override else "remediated",
        reason=reason,
    )
    return read_result(connection, tenant_id, automation_version_id, already_applied=False)


def lift_reasons(
    connection: sa.Connection,
    version: LockedVersion,
    *,
    kinds: Collection[BlockKind],
    clearing: Clearing,
    actor_context: ActorContext,
    options: LifecycleOptions,
    reason_code: str,
    operation: Operation = Operation.UNBLOCK_FOR_CREDENTIALS,
    reason: str | None = None,
    system_keys: Collection[str] | None = None,
) -> bool:
    """Clear open reasons of a block, and unblock the version when none is left; True when it was.

    With `system_keys` only these systems are taken out of the credentials reason. The caller holds the locks and has
    checked who asks. `LifecycleError` `precondition_failed`, before anything is written, when the version would go
    back to Live while another one of its automation is.
    """
    open_before = _open_reasons(connection, version)
    left = [row for row in open_before if row.kind not in kinds]
    if system_keys is not None:
        left += [row for row in open_before if row.kind in kinds and set(row.failed_systems) - set(system_keys)]
    if not left:
        _check_no_other_is_live(connection, version)
    cleared = clear_reasons(
        connection, version, open_before, kinds=kinds, clearing=clearing, actor_context=actor_context,
        system_keys=system_keys,
    )  # fmt: skip
    entry = AuditEntry(
        action=AuditAction.UNBLOCK_AUTOMATION,
        resource_type="automation_version",
        resource_id=version.id,
        episode_id=version.block_episode_id,
        metadata={
            "clearing": clearing,
            "false_positive": clearing in (Clearing.OVERRIDE, Clearing.PROVIDER_INCIDENT),
            "cleared_systems": sorted(cleared),
            "reason": reason,
            "reason_code": reason_code,
            "unblocked": not left,
        },
    )
    if left:
        _rewrite_reason(connection, version)
        write_audit(connection, tenant_id=version.tenant_id, actor_context=actor_context, entries=[entry])
        return False
    assert version.blocked_from_status is not None  # a constraint says so
    move_version(
        connection,
        version,
        Move(
            operation=operation,
            target=version.blocked_from_status,
            columns=NOT_BLOCKED,
            reason_code=reason_code,
            reason=reason,
            episode_id=version.block_episode_id,
            audit=(entry,),
        ),
        actor_context=actor_context,
        options=options,
    )
    return True


#: What the columns of a version hold when it is not blocked.
NOT_BLOCKED = {"blocked_reason": None, "blocked_at": None, "blocked_from_status": None, "block_episode_id": None}


def clear_reasons(
    connection: sa.Connection,
    version: LockedVersion,
    open_reasons: Sequence[sa.Row[*tuple[Any, ...]]] | None = None,
    *,
    kinds: Collection[BlockKind],
    clearing: Clearing,
    actor_context: ActorContext,
    system_keys: Collection[str] | None = None,
) -> set[str]:
    """Clear reasons and end their tasks, without moving the version; the systems that were cleared."""
    cleared: set[str] = set()
    for row in open_reasons if open_reasons is not None else _open_reasons(connection, version):
        if row.kind not in kinds:
            continue
        mine = set(row.failed_systems) if system_keys is None else set(row.failed_systems) & set(system_keys)
        kept = sorted(set(row.failed_systems) - mine)
        if kept:
            changes: dict[str, Any] = {
                "failed_systems": kept,
                "reason": credentials_reason(find_systems(connection, kept)),
            }
        else:
            changes = {"cleared_at": version.now, "cleared_by": actor_context.actor, "clearing": clearing}
        connection.execute(sa.update(tables.block_reasons).where(_reasons.id == row.id).values(**changes))
        _end_tasks(connection, version, BlockKind(row.kind), mine, clearing, actor_context, ends=not kept)
        cleared |= mine
    return cleared


def check_active(version: LockedVersion) -> None:
    """Versions of an archived automation don't move."""
    if version.automation_status is not AutomationStatus.ACTIVE:
        raise LifecycleError(
            ErrorCode.INVALID_STATUS_TRANSITION, "The automation is archived; its versions no longer change."
        )


def failed_systems(connection: sa.Connection, version: LockedVersion) -> list[str]:
    """The stored keys of the systems that the version is blocked for; empty without a credentials reason.

    Locks nothing: whoever acts on it has the version locked, and reasons change under that lock alone.
    """
    keys = connection.execute(
        sa.select(sa.func.unnest(_reasons.failed_systems)).where(
            _reasons.tenant_id == version.tenant_id,
            _reasons.automation_version_id == version.id,
            _reasons.kind == BlockKind.CREDENTIALS,
            _reasons.cleared_at.is_(None),
        )
    ).scalars()
    return sorted(keys)


def _open_reasons(connection: sa.Connection, version: LockedVersion) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    return connection.execute(
        sa.select(_reasons.id, _reasons.kind, _reasons.reason, _reasons.failed_systems)
        .where(
            _reasons.tenant_id == version.tenant_id,
            _reasons.automation_version_id == version.id,
            _reasons.cleared_at.is_(None),
        )
        .order_by(_reasons.opened_at, _reasons.id)
        .with_for_update()
    ).all()


def _end_tasks(
    connection: sa.Connection,
    version: LockedVersion,
    kind: BlockKind,
    systems: Collection[str],
    clearing: Clearing,
    actor_context: ActorContext,
    *,
    ends: bool,
) -> None:
    mine = _tasks.kind == _TASK_KINDS[kind]
    if kind is BlockKind.CREDENTIALS:
        mine &= _tasks.system_key.in_(systems)
        if ends:  # nobody has to decide any more
            mine |= (_tasks.kind == TaskKind.APPROVAL) & (_tasks.episode_id == version.block_episode_id)
    status = TaskStatus.COMPLETE if clearing in _DONE else TaskStatus.CANCELLED
    ended = connection.execute(
        sa.update(tables.tasks)
        .where(
            _tasks.tenant_id == version.tenant_id,
            _tasks.automation_version_id == version.id,
            _tasks.status.in_(OPEN_TASK_STATUSES),
            mine,
        )
        .values(
            status=status,
            completed_at=version.now if status is TaskStatus.COMPLETE else None,
            updated_at=version.now,
            version=_tasks.version + 1,
        )
        .returning(_tasks.id, _tasks.version)
    ).all()
    if ended:
        write_audit(
            connection,
            tenant_id=version.tenant_id,
            actor_context=actor_context,
            entries=[
                AuditEntry(
                    action=AuditAction.UPDATE_TASK,
                    resource_type="task",
                    resource_id=task.id,
                    episode_id=version.block_episode_id,
                    metadata={
                        "operation": "end_with_block",
                        "to_status": status,
                        "clearing": clearing,
                        "version": task.version,
                    },
                )
                for task in sorted(ended, key=lambda task: str(task.id))
            ],
        )


def _rewrite_reason(connection: sa.Connection, version: LockedVersion) -> None:
    reason = " ".join(row.reason for row in _open_reasons(connection, version))[:MAX_REASON]
    connection.execute(
        sa.update(tables.automation_versions)
        .where(_versions.tenant_id == version.tenant_id, _versions.id == version.id)
        .values(blocked_reason=reason, updated_at=version.now)
    )


def _check_tasks(connection: sa.Connection, version: LockedVersion) -> None:
    open_tasks = connection.execute(
        sa.select(_tasks.id, _tasks.kind, _tasks.title)
        .where(
            _tasks.tenant_id == version.tenant_id,
            _tasks.automation_version_id == version.id,
            _tasks.kind.in_(BLOCKING_TASK_KINDS),
            _tasks.status.in_(OPEN_TASK_STATUSES),
        )
        .order_by(_tasks.created_at, _tasks.id)
    ).all()
    if open_tasks:
        raise LifecycleError(
            ErrorCode.STATUS_PREREQUISITE_MISSING,
            "Complete the tasks of the block first, or override it.",
            [Detail("remediation_complete", None, f"Open: {task.title} (task {task.id})") for task in open_tasks],
        )


def _check_no_other_is_live(connection: sa.Connection, version: LockedVersion) -> None:
    if version.blocked_from_status is not Status.LIVE:
        return
    other = connection.execute(
        sa.select(_versions.id).where(
            _versions.tenant_id == version.tenant_id,
            _versions.automation_id == version.automation_id,
            _versions.status == Status.LIVE,
        )
    ).scalar()
    if other is not None:
        raise LifecycleError(
            ErrorCode.PRECONDITION_FAILED,
            "Another version of this automation went Live meanwhile.",
            [Detail("no_other_version_live", None, f"Live: {other}. Archive this version, or that one first.")],
        )
