"""Stop without a person, but within the guard's bounds: what the monitor's decisions call (30.6)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from lifecycle.actors import ActorContext
from lifecycle.blacklist import Trip, blacklist_tripped
from lifecycle.blacklisted import is_on_blacklist, is_released_since
from lifecycle.blocking import BlockOutcome, BlockResult, request_block_for_credentials
from lifecycle.guard.afterwards import Incident, incidents_about, tell_monitor_of_end
from lifecycle.guard.arithmetic import Hit, is_provider_incident
from lifecycle.guard.counts import NO_SYSTEM, hits_near, record_stop, spent_budget, take_guard_lock
from lifecycle.guard.holds import HeldDecision, end_hold, find_hold, put_on_hold
from lifecycle.guard.incidents import keep_open, open_incident
from lifecycle.guard.told import tell_of_holds
from lifecycle.kinds import DecisionKind, HoldKind, HoldStatus, StopKind
from lifecycle.options import LifecycleOptions
from lifecycle.refusals import Refusal
from lifecycle.statuses import Status
from lifecycle.systems import System, find_systems
from lifecycle.versions import LockedVersion
from lifecycle.workflows import Workflow


@dataclass(frozen=True, slots=True)
class BlacklistResult:
    """What became of a tripped breaker. None of these: the workflow is on the list already."""

    blacklist_id: str | None = None
    held: bool = False
    refusal: Refusal | None = None


def block_within_bounds(
    connection: sa.Connection,
    *,
    tenant_id: str,
    automation_version_id: str,
    actor_context: ActorContext,
    failed_systems: Iterable[str],
    cause_system: str | None,
    policy_id: str,
    decision_id: str,
    occurred_at: datetime,
    options: LifecycleOptions,
) -> BlockResult:
    """`request_block_for_credentials`, unless the guard holds it: outcome `HELD` then, and nothing is blocked.

    `cause_system` is the system that passed its threshold; None when that is not known, and then all of
    `failed_systems` are taken for it. `occurred_at` is event time. The transaction is the caller's, and holds no
    lock of the lifecycle yet but perhaps the guard's.
    """
    take_guard_lock(connection)
    bounds = _Bounds(
        connection, actor_context, cause_system, tuple(failed_systems), policy_id, decision_id, occurred_at, options
    )
    result = request_block_for_credentials(
        connection,
        tenant_id=tenant_id,
        automation_version_id=automation_version_id,
        actor_context=actor_context,
        failed_systems=bounds.failed_systems,
        policy_id=policy_id,
        decision_id=decision_id,
        occurred_at=occurred_at,
        options=options,
        admit=bounds.admit,
    )
    if result.outcome in (BlockOutcome.BLOCKED, BlockOutcome.MERGED) and bounds.version is not None:
        record_stop(
            connection,
            kind=StopKind.BLOCK,
            systems=bounds.counted,
            tenant_id=tenant_id,
            automation_version_id=automation_version_id,
            workflow_id=bounds.version.workflow_id,
            episode_id=result.episode_id,
            decision_id=decision_id,
            occurred_at=occurred_at,
            budgeted=result.outcome is BlockOutcome.BLOCKED,
        )
    return result


@dataclass(slots=True)
class _Bounds:
    """The guard's word on one request to block."""

    connection: sa.Connection
    actor_context: ActorContext
    cause_system: str | None
    failed_systems: Sequence[str]
    policy_id: str
    decision_id: str
    occurred_at: datetime
    options: LifecycleOptions
    #: What the request is counted for, once it was admitted.
    counted: frozenset[str] = frozenset()
    version: LockedVersion | None = None

    def admit(self, version: LockedVersion, systems: Sequence[System]) -> Sequence[System]:
        """The systems to block for; none when the request is held."""
        self.version = version
        keys = frozenset(system.key for system in systems)
        causes = keys if len(keys) == 1 else keys & self._cause() or keys
        about = incidents_about(
            self.connection,
            keys,
            tenant_id=version.tenant_id,
            workflow_id=version.workflow_id,
            decision_id=self.decision_id,
            at=self.occurred_at,
        )
        incidents = {key: incident.id for key, incident in about.open.items()}
        unheard = {key: incident for key, incident in about.unheard.items() if key not in incidents}
        for key in sorted(causes - incidents.keys() - unheard.keys()):
            hits = [
                *hits_near(self.connection, key, self.occurred_at, self.options.guard.incident_window),
                Hit(version.tenant_id, self.occurred_at),
            ]
            if is_provider_incident(hits, self.occurred_at, self.options.guard):
                incidents[key] = open_incident(
                    self.connection,
                    system_key=key,
                    at=self.occurred_at,
                    hits=hits,
                    decision_id=self.decision_id,
                    actor_context=self.actor_context,
                    options=self.options,
                )
        self.counted = causes - incidents.keys() - unheard.keys()
        if not self.counted:
            waits_for = [incidents[key] for key in sorted(causes & incidents.keys())]
            over = [unheard[key] for key in sorted(causes & unheard.keys())]
            if waits_for:
                self._hold(version, causes, HoldKind.PROVIDER_INCIDENT, waits_for[0])
            else:
                self._hold_no_longer(version, causes, over[0])
            for incident_id in waits_for:
                keep_open(self.connection, incident_id, self.occurred_at)
            for incident in over:
                self._tell_again(version, incident)
            return ()
        if version.status is not Status.BLOCKED:
            spent = spent_budget(self.connection, self.options.guard)
            if spent is not None:
                self._hold(version, self.counted, HoldKind.BLAST_RADIUS, None)
                tell_of_holds(self.connection, limit=spent, decision_id=self.decision_id, options=self.options)
                return ()
        return [system for system in systems if system.key not in incidents.keys() | unheard.keys()]

    def _cause(self) -> set[str]:
        if self.cause_system is None:
            return set()
        return {system.key for system in find_systems(self.connection, [self.cause_system])}

    def _hold_no_longer(self, version: LockedVersion, systems: Iterable[str], incident: Incident) -> None:
        """Keep what was not done beside what waited while the incident was open."""
        hold_id = self._hold(version, systems, HoldKind.PROVIDER_INCIDENT, incident.id)
        if hold_id is not None:
            row = find_hold(self.connection, hold_id)
            end_hold(self.connection, row, HoldStatus.ENDED, actor_context=self.actor_context, reason=None)

    def _tell_again(self, version: LockedVersion, incident: Incident) -> None:
        tell_monitor_of_end(
            self.connection,
            incident,
            tenant_id=version.tenant_id,
            workflow_id=version.workflow_id,
            cause=f"{incident.id}:{self.decision_id}",
            now=version.now,
        )

    def _hold(
        self, version: LockedVersion, systems: Iterable[str], kind: HoldKind, incident_id: str | None
    ) -> str | None:
        return put_on_hold(
            self.connection,
            HeldDecision(
                tenant_id=version.tenant_id,
                automation_version_id=version.id,
                workflow_id=version.workflow_id,
                system_keys=sorted(systems),
                decision_id=self.decision_id,
                decision_kind=DecisionKind.BLOCK_FOR_CREDENTIALS,
                request={"failed_systems": sorted(systems), "policy_id": self.policy_id},
                occurred_at=self.occurred_at,
            ),
            kind=kind,
            incident_id=incident_id,
            actor_context=self.actor_context,
        )


def blacklist_within_bounds(
    connection: sa.Connection,
    workflow: Workflow,
    trip: Trip,
    *,
    actor_context: ActorContext,
    decision_id: str,
    occurred_at: datetime,
    options: LifecycleOptions,
) -> BlacklistResult:
    """`blacklist_tripped`, unless too much was stopped lately: then the decision waits for approval.

    One about the time before the workflow was last released is refused: the detector had not heard of that yet.
    """
    take_guard_lock(connection)
    if is_on_blacklist(connection, workflow.tenant_id, workflow.workflow_id):
        return BlacklistResult()
    if is_released_since(connection, workflow.tenant_id, workflow.workflow_id, occurred_at):
        return BlacklistResult(refusal=Refusal.RELEASED_SINCE)
    spent = spent_budget(connection, options.guard)
    if spent is not None:
        put_on_hold(
            connection,
            HeldDecision(
                tenant_id=workflow.tenant_id,
                automation_version_id=trip.automation_version_id,
                workflow_id=workflow.workflow_id,
                system_keys=(),
                decision_id=decision_id,
                decision_kind=DecisionKind.BLACKLIST_WORKFLOW,
                request={
                    "stuck_count": trip.stuck_count,
                    "threshold": trip.threshold,
                    "window_seconds": trip.window.total_seconds(),
                    "execution_ids": list(trip.execution_ids),
                    **({} if trip.half_open is None else trip.half_open.fields()),
                },
                occurred_at=occurred_at,
            ),
            kind=HoldKind.BLAST_RADIUS,
            incident_id=None,
            actor_context=actor_context,
        )
        tell_of_holds(connection, limit=spent, decision_id=decision_id, options=options)
        return BlacklistResult(held=True)
    blacklist_id = blacklist_tripped(
        connection, workflow, trip, actor_context=actor_context, decision_id=decision_id, options=options
    )
    if blacklist_id is not None:
        record_stop(
            connection,
            kind=StopKind.BLACKLISTING,
            systems=(NO_SYSTEM,),
            tenant_id=workflow.tenant_id,
            automation_version_id=trip.automation_version_id,
            workflow_id=workflow.workflow_id,
            episode_id=blacklist_id,
            decision_id=decision_id,
            occurred_at=occurred_at,
            budgeted=True,
        )
    return BlacklistResult(blacklist_id=blacklist_id)
