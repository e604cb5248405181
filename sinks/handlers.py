"""From what a detector said to what the lifecycle does: one handler for each kind of decision.

A handler runs inside the sink's transaction, after the decision was claimed. It translates and calls; the rules
are the lifecycle's. What a decision lacks, or has in a form that can't be used, is `MalformedDecisionError`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

import sqlalchemy as sa

from dataflows.decisions import Decision, DecisionKind
from lifecycle.actors import MONITOR
from lifecycle.blacklist import Trip
from lifecycle.blocking import BlockOutcome
from lifecycle.breaker.half_open import HalfOpenPolicy, probe_failed, probes_among
from lifecycle.credits.cases import record_incident
from lifecycle.credits.incident import Incident
from lifecycle.credits.spend_anomaly import SpendAnomaly
from lifecycle.credits.spend_told import tell_of_spend
from lifecycle.guard.gate import blacklist_within_bounds, block_within_bounds
from lifecycle.kinds import CaseAction, CaseSeverity, DecisionOutcome, SpendRise
from lifecycle.options import LifecycleOptions
from lifecycle.refusals import Refusal
from lifecycle.silence import stream_is_silent, workflow_is_quiet
from lifecycle.statuses import Status
from lifecycle.stuck import Execution, record_recovered, record_stuck
from lifecycle.workflows import (
    Workflow,
    find_workflow,
    find_workflow_or_scenario,
    is_scenario,
    tenant_is_known,
    version_of_workflow,
)

_NOW = sa.select(sa.func.clock_timestamp(type_=sa.DateTime(timezone=True)))


class MalformedDecisionError(Exception):
    """A decision does not hold what its kind must hold; it can never be applied. Names the field, never a value."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a decision led to; `reason` is one of our own words."""

    outcome: DecisionOutcome
    reason: str
    #: The status because of which a block was skipped.
    skipped: Status | None = None


Word = TypeVar("Word", bound=StrEnum)

Handler = Callable[[sa.Connection, Decision, LifecycleOptions], Effect]


def block_for_credentials(connection: sa.Connection, decision: Decision, options: LifecycleOptions) -> Effect:
    """Ask for the block of the version, or of the one that the workflow is bound to."""
    # Any text may be the key of a system (spec 10), the empty one too.
    failed_systems = _strings(decision.detail, "failed_systems", empty=True)
    tenant_id, workflow_id = _whose(decision)
    version_id = decision.automation_version_id or version_of_workflow(connection, tenant_id, workflow_id)
    if version_id is None:
        return _refused(Refusal.AUTOMATION_VERSION_NOT_FOUND)
    cause_system = decision.observed.get("system_key")
    result = block_within_bounds(
        connection,
        tenant_id=tenant_id,
        automation_version_id=version_id,
        actor_context=MONITOR,
        failed_systems=failed_systems,
        cause_system=cause_system if isinstance(cause_system, str) else None,
        policy_id=decision.policy_id,
        decision_id=decision.decision_id,
        occurred_at=decision.occurred_at,
        options=options,
    )
    if result.refusal is not None:
        return _refused(result.refusal)
    if result.outcome is BlockOutcome.HELD:
        return Effect(DecisionOutcome.HELD, "held")
    skipped = result.met_status if result.outcome is BlockOutcome.SKIPPED else None
    return Effect(DecisionOutcome.APPLIED, result.outcome, skipped)


def execution_stuck(connection: sa.Connection, decision: Decision, _options: LifecycleOptions) -> Effect:
    """Record the execution."""
    execution = _execution(connection, decision)
    if isinstance(execution, Refusal):
        return _refused(execution)
    record_stuck(
        connection,
        execution,
        stuck_at=decision.occurred_at,
        reason_code=decision.reason_code,
        decision_id=decision.decision_id,
    )
    one = (execution.tenant_id, execution.workflow_id, execution.execution_id)
    if probes_among(connection, [one]):
        probe_failed(connection, *one, connection.execute(_NOW).scalar_one())
    return Effect(DecisionOutcome.APPLIED, "recorded")


def execution_recovered(connection: sa.Connection, decision: Decision, _options: LifecycleOptions) -> Effect:
    """Record that it moved again."""
    execution = _execution(connection, decision)
    if isinstance(execution, Refusal):
        return _refused(execution)
    record_recovered(connection, execution, recovered_at=decision.occurred_at, decision_id=decision.decision_id)
    return Effect(DecisionOutcome.APPLIED, "recorded")


def blacklist_workflow(connection: sa.Connection, decision: Decision, options: LifecycleOptions) -> Effect:
    """Put the workflow on the blacklist."""
    trip = Trip(
        stuck_count=_count(decision.detail, "stuck_count"),
        threshold=_count(decision.threshold, "threshold"),
        window=timedelta(seconds=_number(decision.threshold, "window_seconds")),
        execution_ids=_strings(decision.detail, "execution_ids"),
        automation_version_id=decision.automation_version_id,
        half_open=HalfOpenPolicy.of_fields(decision.threshold),
    )
    workflow = _workflow(connection, decision)
    if isinstance(workflow, Refusal):
        return _refused(workflow)
    result = blacklist_within_bounds(
        connection,
        workflow,
        trip,
        actor_context=MONITOR,
        decision_id=decision.decision_id,
        occurred_at=decision.occurred_at,
        options=options,
    )
    if result.held:
        return Effect(DecisionOutcome.HELD, "held")
    if result.refusal is not None:
        return _refused(result.refusal)
    return Effect(DecisionOutcome.APPLIED, "already_applied" if result.blacklist_id is None else "blacklisted")


def silence(connection: sa.Connection, decision: Decision, options: LifecycleOptions) -> Effect:
    """Tell operations; of one workflow there is something to do as well."""
    last_run_at = decision.observed.get("last_run_at")
    if not isinstance(last_run_at, datetime):
        raise MalformedDecisionError("last_run_at: must be a time")
    if decision.tenant_id is None:
        limit = timedelta(seconds=_number(decision.threshold, "whole_stream_seconds"))
        stream_is_silent(connection, limit, last_run_at, decision_id=decision.decision_id, options=options)
        return Effect(DecisionOutcome.APPLIED, "told")
    limit = timedelta(seconds=_number(decision.threshold, "quiet_for_seconds"))
    workflow = _workflow(connection, decision)
    if isinstance(workflow, Refusal):
        return _refused(workflow)
    workflow_is_quiet(
        connection,
        workflow,
        limit,
        last_run_at,
        automation_version_id=decision.automation_version_id,
        decision_id=decision.decision_id,
        options=options,
    )
    return Effect(DecisionOutcome.APPLIED, "told")


def spend_anomaly(connection: sa.Connection, decision: Decision, options: LifecycleOptions) -> Effect:
    """Open a task and tell operations, or join the task that is open; nothing is stopped.

    Of a workflow only where its tenant has it.
    """
    observed, threshold = decision.observed, decision.threshold
    try:
        rise = SpendRise(decision.reason_code)
    except ValueError:
        raise MalformedDecisionError("reason_code: must be that of a spend anomaly") from None
    spent = _amount(observed, "credits" if rise is SpendRise.BURST else "credits_a_day")
    runs = _count(observed, "runs") if rise is SpendRise.BURST else None
    expected, limit = _amount(threshold, "expected"), _amount(threshold, "limit")
    risen = _names_of_risen(decision.detail)
    if decision.tenant_id is None:
        raise MalformedDecisionError("tenant_id: must be given")
    workflow = None
    if decision.workflow_id is not None:
        found = find_workflow_or_scenario(connection, *_whose(decision), decision.automation_version_id)
        if isinstance(found, Refusal):
            return _refused(found)
        workflow = found
    elif not tenant_is_known(connection, decision.tenant_id):
        return _refused(Refusal.TENANT_NOT_FOUND)
    opened = tell_of_spend(
        connection,
        SpendAnomaly(
            tenant_id=decision.tenant_id,
            workflow=workflow,
            decision_id=decision.decision_id,
            occurred_at=decision.occurred_at,
            rise=rise,
            spent=spent,
            expected=expected,
            limit=limit,
            runs=runs,
            risen=risen,
        ),
        options=options,
    )
    return Effect(DecisionOutcome.APPLIED, "told" if opened else "task_joined")


def credit_incident(connection: sa.Connection, decision: Decision, options: LifecycleOptions) -> Effect:
    """Open a case, or join the one that is open for the scenario."""
    detail, observed = decision.detail, decision.observed
    execution_id, scenario = _string(detail, "execution_id"), _string(detail, "scenario")
    severity = _word(detail, "severity", CaseSeverity)
    known = {action.value: action for action in CaseAction}
    actions = [known[word] for word in _strings(detail, "actions") if word in known]
    credits_total = _amount(observed, "credits_total")
    variance_multiplier = _amount_or_none(observed, "variance_multiplier")
    baseline_credits = _amount_or_none(decision.threshold, "baseline_credits")
    workflow = find_workflow_or_scenario(connection, *_whose(decision), decision.automation_version_id)
    if isinstance(workflow, Refusal):
        return _refused(workflow)
    result = record_incident(
        connection,
        Incident(
            tenant_id=workflow.tenant_id,
            workflow_id=workflow.workflow_id,
            execution_id=execution_id,
            automation_version_id=None if is_scenario(workflow.workflow_id) else decision.automation_version_id,
            decision_id=decision.decision_id,
            occurred_at=decision.occurred_at,
            severity=severity,
            scenario=scenario,
            job_type=_string(detail, "job_type"),
            misconfig_likelihood=_string(detail, "misconfig_likelihood"),
            risk_flags=_strings(detail, "risk_flags", none=True),
            risk_summary=_string(detail, "risk_summary"),
            credits_total=credits_total,
            baseline_credits=baseline_credits,
            variance_multiplier=variance_multiplier,
            actions=actions,
        ),
        actor_context=MONITOR,
        options=options,
    )
    return Effect(DecisionOutcome.APPLIED, "case_opened" if result.opened else "case_joined")


HANDLERS: Mapping[DecisionKind, Handler] = {
    DecisionKind.BLOCK_FOR_CREDENTIALS: block_for_credentials,
    DecisionKind.EXECUTION_STUCK: execution_stuck,
    DecisionKind.EXECUTION_RECOVERED: execution_recovered,
    DecisionKind.BLACKLIST_WORKFLOW: blacklist_workflow,
    DecisionKind.CREDIT_INCIDENT: credit_incident,
    DecisionKind.SPEND_ANOMALY: spend_anomaly,
    DecisionKind.SILENCE: silence,
}


def _whose(decision: Decision) -> tuple[str, str]:
    """Tenant and workflow of a decision that must have both."""
    if decision.tenant_id is None or decision.workflow_id is None:
        raise MalformedDecisionError("tenant_id, workflow_id: must be given")
    return decision.tenant_id, decision.workflow_id


def _refused(refusal: Refusal) -> Effect:
    return Effect(DecisionOutcome.REFUSED, refusal)


def _workflow(connection: sa.Connection, decision: Decision) -> Workflow | Refusal:
    return find_workflow(connection, *_whose(decision), decision.automation_version_id)


def _execution(connection: sa.Connection, decision: Decision) -> Execution | Refusal:
    execution_id = _string(decision.detail, "execution_id")
    workflow = _workflow(connection, decision)
    if isinstance(workflow, Refusal):
        return workflow
    return Execution(
        tenant_id=workflow.tenant_id,
        workflow_id=workflow.workflow_id,
        execution_id=execution_id,
        automation_version_id=decision.automation_version_id,
    )


def _names_of_risen(detail: Mapping[str, Any]) -> list[str]:
    """The workflows that a rise of the tenant's sum names."""
    risen = detail.get("workflows", [])
    if not isinstance(risen, list) or not all(isinstance(one, Mapping) for one in risen):
        raise MalformedDecisionError("workflows: must be a list of objects")
    return [_string(one, "workflow_id") for one in risen]


def _string(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedDecisionError(f"{name}: must be text")
    return value


def _strings(fields: Mapping[str, Any], name: str, *, empty: bool = False, none: bool = False) -> list[str]:
    value = fields.get(name)
    if (
        not isinstance(value, list)
        or not (value or none)
        or not all(isinstance(one, str) and (one or empty) for one in value)
    ):
        raise MalformedDecisionError(f"{name}: must be a list of texts{'' if none else ', at least one'}")
    return value


def _word(fields: Mapping[str, Any], name: str, words: type[Word]) -> Word:
    try:
        return words(_string(fields, name))
    except ValueError:
        raise MalformedDecisionError(f"{name}: must be one of {', '.join(words)}") from None


def _amount(fields: Mapping[str, Any], name: str) -> float:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise MalformedDecisionError(f"{name}: must be a number, not negative")
    return value


def _amount_or_none(fields: Mapping[str, Any], name: str) -> float | None:
    return None if fields.get(name) is None else _amount(fields, name)


def _number(fields: Mapping[str, Any], name: str) -> float:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise MalformedDecisionError(f"{name}: must be a positive number")
    return value


def _count(fields: Mapping[str, Any], name: str) -> int:
    value = _number(fields, name)
    if value != int(value):
        raise MalformedDecisionError(f"{name}: must be a whole number")
    return int(value)
