"""Carry out what the severity of an incident asks for, and record what became of each action (50.2).

What the database can do is done in the transaction of the case, so it is done when the case is there. What leaves by
the outbox is planned until it is delivered. Nothing else is claimed.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.actors import ActorContext
from lifecycle.admission.gate_holds import put_gate_hold
from lifecycle.credits.incident import Incident
from lifecycle.ids import stable_id
from lifecycle.kinds import ActionResult, CaseAction, CaseSeverity, Channel, GateHoldKind
from lifecycle.options import LifecycleOptions
from lifecycle.workflows import is_scenario

#: Those that are a message; each is sent when a case is opened or its severity rises, not for each run.
MESSAGES = frozenset({CaseAction.SLACK_ALERT, CaseAction.SLACK_ESCALATE})

#: Those that are the case itself.
_OPENINGS = frozenset({CaseAction.CREATE_CASE, CaseAction.LOG_CASE_OPTIONAL})

#: Actions of a run, and the hold at the gate that each is.
_HOLDS = {
    CaseAction.QUARANTINE: GateHoldKind.QUARANTINE,
    CaseAction.BLOCK_DISPATCH: GateHoldKind.BLOCK_DISPATCH,
    CaseAction.REQUIRE_ACK_BEFORE_RERUN: GateHoldKind.REQUIRE_ACK,
}

_runs = tables.credit_case_runs.c


def notice_episode(case: sa.Row[Any], severity: CaseSeverity) -> str:
    """What names the notices of a case at a severity: one for each step."""
    return stable_id("credit_case", case.id, severity)


def carry_out(
    connection: sa.Connection,
    case: sa.Row[Any],
    incident: Incident,
    *,
    opened: bool,
    raised: bool,
    actor_context: ActorContext,
    options: LifecycleOptions,
) -> dict[CaseAction, ActionResult]:
    """Do what an incident asks for; what became of each action that was due.

    `opened`: the case is new. `raised`: it is, or is as grave as this run for the first time. The caller holds the
    case's lock.
    """
    results = {}
    for action in incident.actions:
        if (action in MESSAGES and not raised) or (action in _OPENINGS and not opened):
            continue
        # Somebody has looked at the case since it became so grave.
        if action is CaseAction.REQUIRE_ACK_BEFORE_RERUN and case.acknowledged_at is not None:
            continue
        results[action] = _do(connection, case, incident, action, actor_context, options)
    _record(connection, case, incident, results)
    return results


def _do(
    connection: sa.Connection,
    case: sa.Row[Any],
    incident: Incident,
    action: CaseAction,
    actor_context: ActorContext,
    options: LifecycleOptions,
) -> ActionResult:
    # Of a scenario that the platform does not know nothing is started here, so nothing can be held back.
    is_held = action in _HOLDS and not is_scenario(incident.workflow_id)
    if is_held:
        put_gate_hold(
            connection,
            tenant_id=incident.tenant_id,
            workflow_id=incident.workflow_id,
            kind=_HOLDS[action],
            actor_context=actor_context,
            case_id=case.id,
            execution_id=incident.execution_id if action is CaseAction.BLOCK_DISPATCH else None,
            decision_id=incident.decision_id,
        )
    match action:
        case CaseAction.QUARANTINE:
            connection.execute(
                sa.update(tables.credit_case_runs)
                .where(_runs.case_id == case.id, _runs.decision_id == incident.decision_id)
                .values(artifacts_quarantined=True)
            )
        case CaseAction.SLACK_ALERT | CaseAction.SLACK_ESCALATE:
            return ActionResult.PLANNED if Channel.SLACK in options.channels else ActionResult.NOT_CONFIGURED
        case CaseAction.PAGE_LOCK:
            return ActionResult.PLANNED if options.case_pages else ActionResult.NOT_CONFIGURED
        case CaseAction.WEEKLY_REVIEW:
            return ActionResult.PLANNED
    return ActionResult.NOT_CONFIGURED if action in _HOLDS and not is_held else ActionResult.DONE


def _record(
    connection: sa.Connection,
    case: sa.Row[Any],
    incident: Incident,
    results: dict[CaseAction, ActionResult],
) -> None:
    """Write what was done; the same action for the same thing is there once."""
    rows = [
        {
            "tenant_id": incident.tenant_id,
            "case_id": case.id,
            "action": action,
            "severity": incident.severity,
            "workflow_id": incident.workflow_id if action in _HOLDS else None,
            "execution_id": incident.execution_id if action is CaseAction.BLOCK_DISPATCH else None,
            "result": result,
            "episode_id": notice_episode(case, incident.severity) if action in MESSAGES else None,
            "done": result is ActionResult.DONE,
        }
        for action, result in results.items()
    ]
    if rows:
        connection.execute(_RECORD, rows)


_RECORD = (
    insert(tables.credit_case_actions)
    .values(finished_at=sa.case((sa.bindparam("done", type_=sa.Boolean), sa.func.now())))
    .on_conflict_do_nothing()
)

#: What is said of an action that was done, or that can't be.
_DONE = {
    CaseAction.QUARANTINE: "the workflow is on hold, and what the run made is marked",
    CaseAction.BLOCK_DISPATCH: "nothing that the run asks for is started",
    CaseAction.REQUIRE_ACK_BEFORE_RERUN: "the workflow waits until the case is acknowledged",
}
_NOT_HELD = "nothing is held back, since the scenario’s runs are started elsewhere"  # noqa: RUF001  (an apostrophe)
_NOT_DONE = {CaseAction.PAGE_LOCK: "no page was locked, since none is set up", **dict.fromkeys(_HOLDS, _NOT_HELD)}


def told(results: dict[CaseAction, ActionResult]) -> tuple[Sequence[str], Sequence[str]]:
    """What a message says was done, and what was not; of what is planned it says nothing."""
    done = [_DONE[action] for action, result in results.items() if result is ActionResult.DONE and action in _DONE]
    not_done = [
        _NOT_DONE[action]
        for action, result in results.items()
        if result in (ActionResult.NOT_CONFIGURED, ActionResult.FAILED) and action in _NOT_DONE
    ]
    return done, list(dict.fromkeys(not_done))
