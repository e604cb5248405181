"""Put what happened into a line each, with the console's page that shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from cli.demo import cast
from cli.demo.api_client import Answer
from cli.demo.dead_letters import DeadLetter
from cli.demo.scenario import NEW_PROMPT, PROVIDER_INCIDENT, PROVIDER_MENDED
from cli.demo.watch import LedgerCheck
from cli.embedded.platform import Call
from cli.embedded.smtp import ReceivedMail
from dataflows.decisions import DecisionKind
from lifecycle.kinds import DecisionOutcome, RefusalCode
from lifecycle.options import LifecycleOptions
from lifecycle.statuses import Operation


class Tone(StrEnum):
    """How a line is shown on a terminal that has colours: a style of rich."""

    STORY = "dim italic"  #: what the platform and people do
    GRAVE = "bold red"  #: something was stopped
    WARNING = "yellow"
    GOOD = "green"
    EFFECT = "cyan"  #: what follows from a decision
    QUIET = "dim"


@dataclass(frozen=True)
class Line:
    """One thing that happened, and where to read more."""

    word: str
    text: str
    tone: Tone
    more: str | None = None


@dataclass(frozen=True)
class Scene:
    """What the platform does next, told to the audience that long after the start."""

    after: timedelta
    text: str


def _scene(seconds: float, text: str) -> Scene:
    return Scene(timedelta(seconds=seconds), text)


#: In the order of time; the times are those of `cli.demo.scenario`. What people do is told by `cli.demo.people`.
SCENES = (
    _scene(0, "100 minutes of everyday runs are waiting: the monitor reads its backlog first"),
    _scene(1, f"{cast.ORDER_STATUS.name}: a customer asks for orders that don't exist ('Order 401 not found')"),
    _scene(3, f"{cast.LEAD_SYNC.name}: Salesforce and Google Sheets refuse Acme's tokens"),
    _scene(5, f"{cast.CAMPAIGN_SYNC.name}: HubSpot answers 503 to everybody, for a while"),
    _scene(10, f"{cast.INVOICE_POSTING.name}: a token expires, fails twice, is renewed"),
    _scene(11, "Somebody sends runs of Acme's automation in the name of Umbrella Health"),
    _scene(16, f"{cast.NIGHTLY_EXPORT.name}: runs that began half an hour ago have not been heard of since"),
    Scene(
        PROVIDER_INCIDENT,
        f"Zendesk's sign-in breaks: it refuses the tokens of all {len(cast.CUSTOMERS)} customers at once",
    ),
    _scene(41, f"{cast.CLAIMS_BACKFILL.name} ends well after 75 minutes, with a heartbeat every five"),
    Scene(NEW_PROMPT, f"{cast.PRESS_REVIEW.name}: version 8 of its prompt is deployed; it reads whole archives"),
    Scene(
        PROVIDER_MENDED, "Zendesk has mended its sign-in; only Vandelay's token, which was revoked, is still refused"
    ),
)


@dataclass(frozen=True)
class Narrator:
    """Tells of rows, by the names that texts may show."""

    system_names: Mapping[str, str]
    links: LifecycleOptions

    def decision_line(self, decision: Any) -> Line:
        """A row of `Watch.decisions`."""
        whose = f"{decision.tenant_name} · {decision.workflow_name}"
        observed, threshold = decision.observed, decision.threshold
        count = decision.evidence_count
        more = f"{count} event{'s' if count != 1 else ''} as evidence: {self.links.decision_link(decision.decision_id)}"
        match decision.kind:
            case DecisionKind.BLOCK_FOR_CREDENTIALS:
                failures, limit = observed["consecutive_failures"], threshold["consecutive_failures"]
                why = f"{failures} refused logins in a row (limit {limit})"
                if decision.outcome == DecisionOutcome.HELD and decision.outcome_reason != "undone":
                    text = f"{whose}: {why}, but its provider is at fault, or just was; not blocked, it waits"
                    return Line("held", text, Tone.WARNING, more)
                systems = " and ".join(self._name(key) for key in decision.detail["failed_systems"])
                return Line("BLOCK", f"{whose}: {why}; new credentials needed for {systems}", Tone.GRAVE, more)
            case DecisionKind.EXECUTION_STUCK:
                timeout = _minutes(threshold["run_timeout_seconds"])
                return Line("stuck", f"{whose}: a run has given no sign of life for {timeout}", Tone.WARNING)
            case DecisionKind.EXECUTION_RECOVERED:
                return Line("recovered", f"{whose}: a run called stuck went on after all", Tone.GOOD)
            case DecisionKind.BLACKLIST_WORKFLOW:
                limit, window = threshold["threshold"], _minutes(threshold["window_seconds"])
                why = f"{observed['stuck_count']} stuck runs within {window} (limit {limit})"
                return Line("BLACKLIST", f"{whose}: {why}; it is not started again", Tone.GRAVE, more)
            case DecisionKind.CREDIT_INCIDENT:
                spent, times = f"{observed['credits_total']:g}", observed["variance_multiplier"]
                usual = threshold["baseline_credits"]
                why = f"{spent} credits" if usual is None else f"{spent} credits, {times:.1f} times the usual {usual:g}"
                return Line("COSTLY", f"{whose}: a run cost {why} ({decision.detail['severity']})", Tone.GRAVE, more)
            case other:
                return Line(str(other), f"{whose}: {decision.reason_code}", Tone.WARNING, more)

    def move_line(self, move: Any) -> Line | None:
        """A row of `Watch.moves`; None for the blocks that a decision tells of."""
        what = f"{move.tenant_name} · {move.automation_name}"
        more = f"its history: {self.links.version_link(move.automation_version_id)}"
        match move.operation:
            case Operation.BLOCK_FOR_CREDENTIALS:
                return None
            case Operation.UNBLOCK_FOR_CREDENTIALS if move.reason_code == "provider_incident":
                return Line("UNBLOCK", f"{what}: the block is taken back, it is {move.to_status} again", Tone.GOOD)
            case Operation.UNBLOCK_FOR_CREDENTIALS:
                text = f"{what}: all its credentials work, so it is {move.to_status} again"
                return Line("UNBLOCK", text, Tone.GOOD, more)
            case Operation.DEPLOY:
                return Line("LIVE", f"{what}, version {move.version}, deployed by {move.actor}", Tone.GOOD, more)
            case Operation.ARCHIVE:
                return Line("archived", f"{what}, version {move.version}: {move.reason_code}", Tone.EFFECT)
            case _:
                text = f"{what}, version {move.version}: {move.from_status} → {move.to_status}"
                return Line("moved", text, Tone.EFFECT, more)

    def incident_line(self, incident: Any) -> Line:
        """A row of `Watch.incidents`."""
        name, more = self._name(incident.system_key), f"the guard: {self.links.guard_link()}"
        if incident.closed_at is not None:
            return Line("over", f"{name}: nothing new has failed for a while, the incident ends", Tone.GOOD, more)
        text = (
            f"{name} refuses {incident.tenant_count} customers at once: an incident of the provider."
            f" {incident.undone_count} blocks are taken back, {incident.mail_count} mails to clients cancelled"
        )
        return Line("INCIDENT", text, Tone.GRAVE, more)

    def refusal_line(self, refusal: Any) -> Line:
        """A row of `Watch.refusals`."""
        text = f"{refusal.tenant_name} · {refusal.workflow_name}: the run may not start: {refusal.code}"
        if refusal.code == RefusalCode.WORKFLOW_BLACKLISTED:
            return Line("GATE", text, Tone.WARNING, f"why: {self.links.blacklist_link()}/{refusal.workflow_id}")
        return Line("GATE", text, Tone.WARNING)

    def case_line(self, case: Any) -> Line:
        """A row of `Watch.cases`."""
        more = f"its runs, and what was done: {self.links.case_link(case.case_id)}"
        return Line("CASE", f"{case.tenant_name}: {case.title} ({case.case_id})", Tone.GRAVE, more)

    def _name(self, system_key: str) -> str:
        return self.system_names.get(system_key, "a connected system")


def admitted_run_line(run: Any) -> Line:
    """A row of `Watch.admitted_runs`."""
    text = f"{run.tenant_name} · {run.workflow_name}: the admitted run ended with {run.status},"
    return Line("ledger", f"{text} {run.credits_total:g} credits, row {run.seq} of its chain", Tone.GOOD)


def ledger_line(check: LedgerCheck) -> Line:
    """What came of checking the ledger."""
    what = f"{check.runs:,} runs of {check.chains} customers"
    if check.broken:
        return Line("ledger", f"{what}: the chain is broken of {', '.join(check.broken)}", Tone.GRAVE)
    return Line("ledger", f"{what}, each chained to the one before: all chains hold", Tone.GOOD)


def task_line(task: Any) -> Line:
    """A row of `tasks`."""
    return Line("task", f"{task.title} ({task.priority} priority)", Tone.EFFECT)


def mail_line(mail: ReceivedMail) -> Line:
    """An email that the mail server took."""
    return Line("mail", f"to {', '.join(mail.recipients)}: {mail.message['Subject']}", Tone.EFFECT)


def api_line(answer: Answer, outcome: str) -> Line:
    """A question to the API, and what became of it."""
    return Line("api", f"{answer.method} {answer.path}: {answer.code}, {outcome}", Tone.EFFECT)


def platform_line(call: Call) -> Line:
    """What the automation platform was asked to do."""
    return Line("platform", f"is asked to {call.action} {call.workflow_id}", Tone.EFFECT)


def dead_letter_line(dead_letter: DeadLetter) -> Line:
    """A message that can't be used."""
    return Line("refused", f"{dead_letter.code}: {dead_letter.explanation}", Tone.QUIET)


def clock(at: datetime) -> str:
    """The time of day at the audience's place."""
    return at.astimezone().strftime("%H:%M:%S")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} min"
