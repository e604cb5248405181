"""Does a run cost far more than its scenario usually does? (spec 20.5, 50.2, 50.3)

Sees the terminal runs with credits in the order of their event time, whatever workflows and partitions they come from.
A run is judged first and learned after that.
"""

from decimal import Decimal
from math import inf
from statistics import median
from sys import float_info
from typing import NamedTuple

import msgspec

from dataflows.credit_runs import INCIDENTS, BaselineSource, CreditRun, RiskFlag, Severity, exact
from dataflows.decisions import Decision, DecisionKind, ReasonCode, decision_id
from dataflows.detectors.credit_classification import SENSITIVE, Classification, ScenarioMemory, classify
from dataflows.detectors.credit_profiles import Profile, SensitiveData
from dataflows.detectors.learned_baselines import DAY, History
from dataflows.events import BaselineChange, JobType, RunEvent, RunStatus
from dataflows.times import NEVER

POLICY_ID = "credits"

#: Approved baselines of scenarios with the same job type that are needed for one of their peers.
PEERS = 3
#: A healthy run was not tried again more often.
HEALTHY_RETRIES = 1
#: A scenario without a run for so long begins anew.
QUIET_FOR = 90 * DAY
#: Below this share of what means something, doubles are exact enough to tell that it is not reached.
NEAR = 0.99


# An attribute of an enum's class takes 70 ns to look up in Python 3.11, its hash twice that.
_OTHER, _SUCCESS = JobType.OTHER, RunStatus.SUCCESS
_APPROVED, _LEARNED, _NONE = BaselineSource.APPROVED, BaselineSource.LEARNED, BaselineSource.NONE


class CreditRules(NamedTuple):
    """What a workflow's runs are judged by."""

    profile: Profile
    absolute_cap: Decimal | None
    policy_version: int
    #: A run below this multiplier and below these credits is unremarkable, whatever else is known of it.
    notable_multiplier: float
    notable_credits: float


def credit_rules(profile: Profile, absolute_cap: Decimal | None, policy_version: int) -> CreditRules:
    """The rules of a profile and a cap."""
    cap = absolute_cap if profile.has_absolute_cap else None
    return CreditRules(
        profile,
        cap,
        policy_version,
        NEAR * float(min(profile.multipliers.values())),
        inf if cap is None else NEAR * float(cap),
    )


class Approved(msgspec.Struct, array_like=True, gc=False):
    """An approved baseline."""

    #: None: there was one, and it was withdrawn.
    median_credits: Decimal | None
    #: Event time from which on it holds.
    since: int


class Scenario(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of one scenario of a tenant."""

    tenant_id: str
    name: str
    history: History = msgspec.field(default_factory=History)
    #: Of the run before.
    prompt_version: str | None = None
    approved: Approved | None = None
    #: Of the run before, or what the baseline's approval says as long as there was none.
    job_type: JobType | None = None
    #: Event time of the newest run.
    newest: int = NEVER
    #: Something has happened since the last snapshot.
    is_changed: bool = False


class Judged(NamedTuple):
    """What is said of a run."""

    #: Its event time, microseconds.
    time: int
    decision: Decision | None
    #: None where nobody keeps them.
    record: CreditRun | None


UNREMARKED = Judged(NEVER, None, None)


def scenario_of(event: RunEvent) -> str:
    """What a run is compared with; the sender's empty names are none."""
    return event.scenario_id or event.scenario_name or event.workflow_id or ""


class CreditAnomalies:
    """The detector. `scenario` arguments are changed in place; besides that it knows who is whose peer."""

    def __init__(self, *, keeps_records: bool) -> None:
        """Without `keeps_records` runs that are no incident cost a third: nothing is said of them."""
        self._keeps_records = keeps_records
        #: By tenant and scenario.
        self._approved: dict[str, dict[str, Scenario]] = {}
        self._peers: dict[tuple[str, JobType], Decimal | None] = {}

    def know(self, scenario: Scenario) -> None:
        """Take in a scenario that has an approved baseline, when it is new or the baseline is."""
        if scenario.approved is not None:
            self._approved.setdefault(scenario.tenant_id, {})[scenario.name] = scenario
            self._forget_peers(scenario.tenant_id)

    def on_baseline(self, scenario: Scenario, change: BaselineChange, time: int) -> None:
        """A baseline was approved or withdrawn; of two the later one holds, whichever comes first."""
        before = scenario.approved
        if before is not None and before.since > time:
            return
        scenario.approved = Approved(None if change.median_credits is None else exact(change.median_credits), time)
        if scenario.job_type is None:
            scenario.job_type = change.job_type
        self.know(scenario)

    def on_run(self, scenario: Scenario, event: RunEvent, time: int, rules: CreditRules) -> Judged:
        """Judge a run, then learn from it. 3 to 25 µs."""
        credits_total: float = event.credits_total  # type: ignore[assignment]  # only such runs come here
        if time - scenario.newest > QUIET_FOR:
            scenario.history, scenario.prompt_version = History(), None
        job_type = event.job_type or _OTHER
        if job_type is not scenario.job_type:
            scenario.job_type = job_type
            if scenario.approved is not None:
                self._forget_peers(scenario.tenant_id)
        history = scenario.history
        learned = history.pass_time(time)
        least = rules.notable_credits
        if learned and scenario.approved is None:
            near = rules.notable_multiplier * learned
            if near <= credits_total and (said := history.said()) is not None:
                near = rules.notable_multiplier * float(said)
            if near < least:
                least = near
        else:
            baseline, _ = self._baseline(scenario, event, learned)
            if baseline is not None:
                least = min(least, rules.notable_multiplier * float(baseline))
        if self._keeps_records or credits_total >= least or event.risk_flags:
            severity, judged = self._classify(scenario, event, time, rules, learned)
            is_incident = severity in INCIDENTS
        else:
            is_incident, judged = False, UNREMARKED
        if (
            event.status is _SUCCESS
            and (event.retry_count is None or event.retry_count <= HEALTHY_RETRIES)
            and not is_incident
        ):
            history.learn(time, credits_total, event.input_item_count)
        scenario.prompt_version = event.prompt_version
        if time > scenario.newest:
            scenario.newest = time
        return judged

    def _baseline(
        self, scenario: Scenario, event: RunEvent, learned: float | None
    ) -> tuple[Decimal | None, BaselineSource]:
        """The first baseline that there is; what is learned goes on being learned beside an approved one."""
        approved = scenario.approved
        if approved is not None and approved.median_credits:
            return approved.median_credits, _APPROVED
        if learned is not None and (said := scenario.history.said()):
            return said, _LEARNED
        if scenario.tenant_id in self._approved:
            peer = self._peer(scenario.tenant_id, event.job_type or JobType.OTHER)
            if peer:
                return peer, BaselineSource.PEER
        return None, _NONE

    def _peer(self, tenant_id: str, job_type: JobType) -> Decimal | None:
        key = (tenant_id, job_type)
        if key not in self._peers:
            found = [
                peer.approved.median_credits
                for peer in self._approved[tenant_id].values()
                if peer.job_type is job_type and peer.approved is not None and peer.approved.median_credits
            ]
            self._peers[key] = median(found) if len(found) >= PEERS else None
        return self._peers[key]

    def _forget_peers(self, tenant_id: str) -> None:
        for job_type in JobType:
            self._peers.pop((tenant_id, job_type), None)

    def _classify(
        self,
        scenario: Scenario,
        event: RunEvent,
        time: int,
        rules: CreditRules,
        learned: float | None,
    ) -> tuple[Severity, Judged]:
        baseline, source = self._baseline(scenario, event, learned)
        per_item = scenario.history.credits_per_item(time) if event.input_item_count else None
        credits_total = exact(event.credits_total or 0.0)
        found = classify(
            event,
            credits_total,
            baseline,
            rules.profile,
            memory=ScenarioMemory(scenario.prompt_version, per_item),
            absolute_cap=rules.absolute_cap,
        )
        if found.variance_multiplier == inf:
            # JSON has no such number, and nobody could store the decision.
            found = msgspec.structs.replace(found, variance_multiplier=float_info.max)
        decision = record = None
        if found.severity in INCIDENTS:
            decision = _incident(scenario, event, rules, found, baseline, source)
        if self._keeps_records:
            record = _record(scenario, event, credits_total, rules, found, baseline, source)
        if decision is None and record is None:
            return found.severity, UNREMARKED
        return found.severity, Judged(time, decision, record)


def _incident(
    scenario: Scenario,
    event: RunEvent,
    rules: CreditRules,
    found: Classification,
    baseline: Decimal | None,
    source: BaselineSource,
) -> Decision:
    # Floats, since a decision's JSON form would make texts of decimals.
    workflow_id, execution_id = event.workflow_id or "", event.execution_id or ""
    profile = rules.profile
    return Decision(
        decision_id=decision_id(DecisionKind.CREDIT_INCIDENT, event.tenant_id, workflow_id, POLICY_ID, execution_id),
        kind=DecisionKind.CREDIT_INCIDENT,
        tenant_id=event.tenant_id,
        workflow_id=workflow_id,
        automation_version_id=event.automation_version_id,
        occurred_at=event.occurred_at,
        policy_id=POLICY_ID,
        policy_version=rules.policy_version,
        reason_code=_reason(rules, found),
        observed={
            "credits_total": event.credits_total,
            "variance_multiplier": found.variance_multiplier,
            "misconfig_score": found.misconfig_score,
            "legit_score": found.legit_score,
        },
        threshold={
            "profile": profile.name,
            "baseline_credits": None if baseline is None else float(baseline),
            "baseline_source": source,
            "multipliers": {severity: float(least) for severity, least in profile.multipliers.items()},
            "absolute_cap": None if rules.absolute_cap is None else float(rules.absolute_cap),
        },
        evidence=[event.event_id],
        detail={
            "severity": found.severity,
            "execution_id": execution_id,
            "scenario": scenario.name,
            "job_type": event.job_type or JobType.OTHER,
            "misconfig_likelihood": found.misconfig_likelihood,
            "risk_flags": list(found.risk_flags),
            "risk_summary": found.risk_summary,
            "actions": list(found.actions),
        },
    )


def _reason(rules: CreditRules, found: Classification) -> ReasonCode:
    """What made it an incident."""
    if found.severity is Severity.SEV0 and rules.profile.sensitive_data is SensitiveData.ALONE:
        sensitive = next((flag for flag in SENSITIVE if flag in found.risk_flags), None)
        if sensitive is not None:
            is_pii = sensitive is RiskFlag.PII_EXPOSURE
            return ReasonCode.PII_EXPOSURE if is_pii else ReasonCode.REGULATORY_DATA
    least = float(min(rules.profile.multipliers[severity] for severity in INCIDENTS))
    if found.variance_multiplier is None or found.variance_multiplier < least:
        return ReasonCode.ABSOLUTE_CAP
    return ReasonCode.CREDIT_SPIKE


def _record(
    scenario: Scenario,
    event: RunEvent,
    credits_total: Decimal,
    rules: CreditRules,
    found: Classification,
    baseline: Decimal | None,
    source: BaselineSource,
) -> CreditRun:
    return CreditRun(
        tenant_id=event.tenant_id,
        workflow_id=event.workflow_id or "",
        execution_id=event.execution_id or "",
        event_id=event.event_id,
        automation_version_id=event.automation_version_id,
        occurred_at=event.occurred_at,
        status=event.status,
        scenario=scenario.name,
        scenario_id=event.scenario_id,
        scenario_name=event.scenario_name,
        job_type=event.job_type or _OTHER,
        credits_total=credits_total,
        credits_in=None if event.credits_in is None else exact(event.credits_in),
        credits_out=None if event.credits_out is None else exact(event.credits_out),
        model=event.model,
        input_tokens=event.input_tokens,
        output_tokens=event.output_tokens,
        retry_count=event.retry_count,
        has_idempotency_key=event.has_idempotency_key,
        has_max_items_config=event.has_max_items_config,
        is_batch_job=event.is_batch_job,
        is_backfill=event.is_backfill,
        prompt_version=event.prompt_version,
        deployment_timestamp=event.deployment_timestamp,
        input_item_count=event.input_item_count,
        artifacts_link=event.artifacts_link,
        profile=rules.profile.name,
        policy_version=rules.policy_version,
        baseline_credits=baseline,
        baseline_source=source,
        variance_multiplier=found.variance_multiplier,
        severity=found.severity,
        misconfig_likelihood=found.misconfig_likelihood,
        misconfig_score=found.misconfig_score,
        legit_score=found.legit_score,
        risk_flags=list(found.risk_flags),
        risk_summary=found.risk_summary,
        actions=list(found.actions),
    )
