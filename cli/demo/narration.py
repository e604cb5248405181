"""Put what happened into one line each."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from cli.demo import cast
from cli.demo.dead_letters import DeadLetter
from cli.embedded.smtp import ReceivedMail
from dataflows.decisions import DecisionKind


class Tone(StrEnum):
    """How a line is shown on a terminal that has colours: a style of rich."""

    STORY = "dim italic"  #: what the platform does
    GRAVE = "bold red"  #: something was stopped
    WARNING = "yellow"
    GOOD = "green"
    EFFECT = "cyan"  #: what follows from a decision
    QUIET = "dim"


@dataclass(frozen=True)
class Line:
    """One thing that happened."""

    word: str
    text: str
    tone: Tone


@dataclass(frozen=True)
class Scene:
    """What the platform does next, told to the audience that long after the start."""

    after: timedelta
    text: str


def _scene(seconds: float, text: str) -> Scene:
    return Scene(timedelta(seconds=seconds), text)


#: In the order of time; the times are those of `cli.demo.scenario`.
SCENES = (
    _scene(0, "100 minutes of everyday runs are waiting: the monitor reads its backlog first"),
    _scene(3, f"{cast.ORDER_STATUS.name}: a customer asks for orders that don't exist ('Order 401 not found')"),
    _scene(5, f"{cast.CAMPAIGN_SYNC.name}: HubSpot answers 503 to everybody, for a while"),
    _scene(6, f"{cast.LEAD_SYNC.name}: Salesforce and Google Sheets refuse Acme's tokens"),
    _scene(10, f"{cast.INVOICE_POSTING.name}: a token expires, fails twice, is renewed"),
    _scene(11, "Somebody sends runs of Acme's automation in the name of Umbrella Health"),
    _scene(20, f"{cast.NIGHTLY_EXPORT.name}: runs that began half an hour ago have not been heard of since"),
    _scene(38, f"{cast.CLAIMS_BACKFILL.name} ends well after 75 minutes, with a heartbeat every five"),
)


def decision_line(decision: Any, system_names: Mapping[str, str]) -> Line:
    """A row of `decisions`, with `tenant_name` and `workflow_name` beside its columns."""
    whose = f"{decision.tenant_name} · {decision.workflow_name}"
    observed, threshold = decision.observed, decision.threshold
    match decision.kind:
        case DecisionKind.BLOCK_FOR_CREDENTIALS:
            systems = " and ".join(system_names.get(key, "a connected system") for key in _failed_systems(decision))
            failures, limit = observed["consecutive_failures"], threshold["consecutive_failures"]
            why = f"{failures} refused logins in a row (limit {limit})"
            return Line("BLOCK", f"{whose}: {why}; new credentials needed for {systems}", Tone.GRAVE)
        case DecisionKind.EXECUTION_STUCK:
            timeout = _minutes(threshold["run_timeout_seconds"])
            return Line("stuck", f"{whose}: a run has given no sign of life for {timeout}", Tone.WARNING)
        case DecisionKind.EXECUTION_RECOVERED:
            return Line("recovered", f"{whose}: a run called stuck went on after all", Tone.GOOD)
        case DecisionKind.BLACKLIST_WORKFLOW:
            limit, window = threshold["threshold"], _minutes(threshold["window_seconds"])
            why = f"{observed['stuck_count']} stuck runs within {window} (limit {limit})"
            return Line("BLACKLIST", f"{whose}: {why}; it is not started again", Tone.GRAVE)
        case other:
            return Line(str(other), f"{whose}: {decision.reason_code}", Tone.WARNING)


def task_line(task: Any) -> Line:
    """A row of `tasks`."""
    return Line("task", f"{task.title} ({task.priority} priority)", Tone.EFFECT)


def mail_line(mail: ReceivedMail) -> Line:
    """An email that the mail server took."""
    return Line("mail", f"to {', '.join(mail.recipients)}: {mail.message['Subject']}", Tone.EFFECT)


def dead_letter_line(dead_letter: DeadLetter) -> Line:
    """A message that can't be used."""
    return Line("refused", f"{dead_letter.code}: {dead_letter.explanation}", Tone.QUIET)


def clock(at: datetime) -> str:
    """The time of day at the audience's place."""
    return at.astimezone().strftime("%H:%M:%S")


def _failed_systems(decision: Any) -> list[str]:
    systems: list[str] = decision.detail["failed_systems"]
    return systems


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} min"
