"""The platform that runs workflows, as the lifecycle asks it to switch them on and off (30.5; docs/platform-api.md)."""

import time
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from typing import Protocol
from urllib.parse import quote

import httpx2

from config.settings import PlatformApi

TRIES = 3
#: Before the second try; twice as long before the third.
FIRST_WAIT = timedelta(milliseconds=200)


class PlatformFault(StrEnum):
    """Why the platform did not do it: our words, since its own may quote anything."""

    UNREACHABLE = "unreachable"  #: no connection, or it broke off
    TIMED_OUT = "timed_out"
    BUSY = "busy"  #: it says: later
    BROKEN = "broken"  #: it failed, or what it says makes no sense
    UNKNOWN_WORKFLOW = "unknown_workflow"
    REFUSED = "refused"  #: our token, or the request itself


#: After these nobody knows whether it was done: a lost answer looks like a lost question.
UNCERTAIN = frozenset({PlatformFault.UNREACHABLE, PlatformFault.TIMED_OUT, PlatformFault.BUSY, PlatformFault.BROKEN})


class PlatformError(Exception):
    """The platform did not say that it was done."""

    def __init__(self, fault: PlatformFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class WorkflowState(StrEnum):
    """Whether the platform starts a workflow."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class Platform(Protocol):
    """What the lifecycle asks of it. Each call is safe to repeat; all raise `PlatformError`."""

    def activate(self, workflow_id: str, *, idempotency_key: str) -> None:
        """Let the workflow run."""

    def deactivate(self, workflow_id: str, *, idempotency_key: str) -> None:
        """Start it no more."""

    def read_state(self, workflow_id: str) -> WorkflowState | None:
        """How it is; None when the platform has no such workflow."""


class HttpPlatform:
    """The platform over HTTP. Three tries with the same idempotency key; each has the timeout of the settings."""

    def __init__(self, settings: PlatformApi, *, sleep: Callable[[float], object] = time.sleep) -> None:
        """Contact nothing yet."""
        token = settings.token.get_secret_value() if settings.token is not None else None
        self._client = httpx2.Client(
            base_url=str(settings.url),
            timeout=settings.timeout.total_seconds(),
            headers={} if token is None else {"authorization": f"Bearer {token}"},
        )
        self._sleep = sleep

    def activate(self, workflow_id: str, *, idempotency_key: str) -> None:
        """`PATCH /wrk-api/workflows/{workflow_id}/activate`."""
        self._ask("PATCH", workflow_id, "/activate", idempotency_key)

    def deactivate(self, workflow_id: str, *, idempotency_key: str) -> None:
        """`PATCH /wrk-api/workflows/{workflow_id}/deactivate`."""
        self._ask("PATCH", workflow_id, "/deactivate", idempotency_key)

    def read_state(self, workflow_id: str) -> WorkflowState | None:
        """`GET /wrk-api/workflows/{workflow_id}`."""
        try:
            response = self._ask("GET", workflow_id, "", None)
        except PlatformError as error:
            if error.fault is PlatformFault.UNKNOWN_WORKFLOW:
                return None
            raise
        try:
            return WorkflowState(response.json()["state"])
        except (ValueError, KeyError, TypeError):
            raise PlatformError(PlatformFault.BROKEN) from None

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _ask(self, method: str, workflow_id: str, action: str, idempotency_key: str | None) -> httpx2.Response:
        path = f"/wrk-api/workflows/{quote(workflow_id, safe='')}{action}"
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        faults: list[PlatformFault] = []
        for number in range(TRIES):
            if number:
                self._sleep(FIRST_WAIT.total_seconds() * 2 ** (number - 1))
            try:
                response = self._client.request(method, path, headers=headers)
            except httpx2.TimeoutException:
                faults.append(PlatformFault.TIMED_OUT)
                continue
            except httpx2.HTTPError:
                faults.append(PlatformFault.UNREACHABLE)
                continue
            if response.is_success:
                return response
            faults.append(_fault_of(response.status_code))
            if faults[-1] not in UNCERTAIN:
                break
        # A refusal says nothing of an earlier try whose answer never came. Without a cause: it may quote the token.
        raise PlatformError(next((fault for fault in faults if fault in UNCERTAIN), faults[-1])) from None


def _fault_of(status: int) -> PlatformFault:
    if status == 404:
        return PlatformFault.UNKNOWN_WORKFLOW
    if status in (408, 425, 429, 503):
        return PlatformFault.BUSY
    return PlatformFault.BROKEN if status >= 500 else PlatformFault.REFUSED
