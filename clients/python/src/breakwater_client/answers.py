"""What the gate says, and how its answers are read. Pure.

GateError
├── UnavailableError         nobody can say now: ask again with the same key
├── NotLetInError            the token is no good, or not for this
├── UnknownWorkflowError     there is none of this name for this service
├── KeyReusedError           the key was used for another run: a bug in the caller
└── MalformedRequestError    a bug in the caller

A refusal is no error: it is a `Verdict` whose `may_start` is false.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2

#: The gate, or what stands before it, may answer better in a moment.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class GateError(Exception):
    """The gate did not give a verdict. `code` is its word for the reason."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class UnavailableError(GateError):
    """Nobody can say now whether the run may start, so it may not. Ask again with the same key."""


class NotLetInError(GateError):
    """The token is no good, or not a service's."""


class UnknownWorkflowError(GateError):
    """No workflow of this name belongs to the tenants that the service acts for."""


class KeyReusedError(GateError):
    """The idempotency key was used for another workflow or trigger."""


class MalformedRequestError(GateError):
    """The gate does not understand the question."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a run may start."""

    workflow_id: str
    may_start: bool
    #: Why not, as `workflow_blacklisted`; None when it may start.
    code: str | None = None
    #: The same for people.
    message: str | None = None
    #: The id that the run is to have in all that is told of it. None from `check`, of refusals, and from a fallback.
    execution_id: str | None = None
    automation_version_id: str | None = None
    #: Whether it is to show that a blacklisted workflow works again.
    probe: bool = False
    decided_at: datetime | None = None
    #: True when the gate could not be asked, and the fallback has decided.
    is_fallback: bool = False


class Passing(Exception):  # noqa: N818  (no error yet: the question is asked again)
    """The gate did not answer this time."""

    def __init__(self, code: str, pause: float | None = None) -> None:
        super().__init__(code)
        self.code = code
        #: Seconds that the gate asks us to wait.
        self.pause = pause


def read_verdict(workflow_id: str, response: httpx2.Response) -> Verdict:
    """The verdict of an answer to `admit` or `check`. `Passing` when it is none yet, else a `GateError`."""
    body = _body(response)
    if response.status_code == httpx2.codes.CREATED:
        return Verdict(
            workflow_id=workflow_id,
            may_start=True,
            execution_id=body["execution_id"],
            automation_version_id=body["automation_version_id"],
            probe=body["probe"],
            decided_at=datetime.fromisoformat(body["decided_at"]),
        )
    if response.status_code == httpx2.codes.OK:
        return Verdict(workflow_id, may_start=body["may_start"] is True, code=body["code"], message=body["message"])
    if response.status_code == httpx2.codes.CONFLICT and body.get("error_code") != "idempotency_key_reused":
        return Verdict(workflow_id, may_start=False, code=body["error_code"], message=body["message"])
    raise fault(response)


def read_report(response: httpx2.Response) -> str:
    """The id of the event that tells of a hanging execution."""
    if response.status_code == httpx2.codes.ACCEPTED:
        return str(_body(response)["event_id"])
    raise fault(response)


def fault(response: httpx2.Response) -> Exception:
    """What an answer without a verdict means."""
    code = str(_body(response).get("error_code", f"http_{response.status_code}"))
    status = response.status_code
    if status in _PASSING:
        return Passing(code, _pause(response.headers.get("retry-after", "")))
    if status in (401, 403):
        return NotLetInError(code)
    if status == httpx2.codes.NOT_FOUND:
        return UnknownWorkflowError(code)
    if status == httpx2.codes.CONFLICT:
        return KeyReusedError(code)
    return MalformedRequestError(code)


def _body(response: httpx2.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    # What is no answer of the gate comes from something between it and us.
    if not isinstance(body, dict):
        raise Passing(f"http_{response.status_code}")
    return body


def _pause(header: str) -> float | None:
    return float(header) if header.isdecimal() else None
