"""The two clients: the same questions, asked by a thread or in an event loop."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx2

from breakwater_client.answers import Passing, UnavailableError, Verdict, read_report, read_verdict
from breakwater_client.options import Options, Trigger
from breakwater_client.tries import Fallbacks, Tries

_PATH = "/v1/executions"

#: A service's token, or what gives the present one: asked before each try.
Token = str | Callable[[], str]

_T = TypeVar("_T")


class _Questions:
    """What both clients ask."""

    def __init__(self, token: Token, options: Options) -> None:
        self._token = token
        self._options = options
        self._fallbacks = Fallbacks(options)

    def _headers(self) -> dict[str, str]:
        token = self._token if isinstance(self._token, str) else self._token()
        return {"Authorization": f"Bearer {token}"}


def _admission(workflow_id: str, trigger: Trigger | str, key: str, parent: str | None) -> dict[str, Any]:
    body = {"workflow_id": workflow_id, "trigger": Trigger(trigger).value, "idempotency_key": key}
    return body if parent is None else {**body, "parent_execution_id": parent}


def _report(workflow_id: str, occurred_at: datetime | None) -> dict[str, Any]:
    return {"workflow_id": workflow_id, **({} if occurred_at is None else {"occurred_at": occurred_at.isoformat()})}


class Client(_Questions):
    """Asks the gate at `url`. Threads may share it; close it, or use it as a context manager."""

    def __init__(self, url: str, token: Token, options: Options | None = None) -> None:
        """Contact nothing yet."""
        super().__init__(token, options or Options())
        self._http = httpx2.Client(base_url=url)

    def admit(
        self,
        workflow_id: str,
        trigger: Trigger | str,
        idempotency_key: str,
        *,
        parent_execution_id: str | None = None,
    ) -> Verdict:
        """Ask to start a run; start it when `may_start`, under `execution_id`.

        The same key gets the same verdict, so this may be called again after a crash. A `GateError` but
        `UnavailableError` is a mistake of the caller's; that one is what `Options.fallback` says.
        """
        body = _admission(workflow_id, trigger, idempotency_key, parent_execution_id)
        return self._verdict(workflow_id, "POST", _PATH, json=body)

    def check(self, workflow_id: str) -> Verdict:
        """Whether a run would be admitted now; no admission. Errors as `admit`."""
        return self._verdict(workflow_id, "GET", f"{_PATH}/check", params={"workflow_id": workflow_id})

    def report_stuck(self, workflow_id: str, execution_id: str, occurred_at: datetime | None = None) -> str:
        """Say that an execution hangs; the id of the event. `UnavailableError` when it was not taken."""
        path = f"{_PATH}/{quote(execution_id, safe='')}/stuck"
        return self._ask(read_report, "POST", path, json=_report(workflow_id, occurred_at))

    def close(self) -> None:
        """Give back all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _verdict(self, workflow_id: str, method: str, path: str, **more: Any) -> Verdict:
        try:
            return self._fallbacks.learn(
                self._ask(lambda response: read_verdict(workflow_id, response), method, path, **more)
            )
        except UnavailableError as unavailable:
            return self._fallbacks.decide(workflow_id, unavailable)

    def _ask(self, read: Callable[[httpx2.Response], _T], method: str, path: str, **more: Any) -> _T:
        tries = Tries(self._options)
        while True:
            try:
                return read(self._http.request(method, path, headers=self._headers(), timeout=tries.timeout, **more))
            except httpx2.TransportError as error:
                passing = Passing(type(error).__name__)
            except Passing as found:
                passing = found
            time.sleep(tries.pause_after(passing))


class AsyncClient(_Questions):
    """The same in an event loop. For one loop; close it, or use it as an async context manager."""

    def __init__(self, url: str, token: Token, options: Options | None = None) -> None:
        """Contact nothing yet."""
        super().__init__(token, options or Options())
        self._http = httpx2.AsyncClient(base_url=url)

    async def admit(
        self,
        workflow_id: str,
        trigger: Trigger | str,
        idempotency_key: str,
        *,
        parent_execution_id: str | None = None,
    ) -> Verdict:
        """As `Client.admit`."""
        body = _admission(workflow_id, trigger, idempotency_key, parent_execution_id)
        return await self._verdict(workflow_id, "POST", _PATH, json=body)

    async def check(self, workflow_id: str) -> Verdict:
        """As `Client.check`."""
        return await self._verdict(workflow_id, "GET", f"{_PATH}/check", params={"workflow_id": workflow_id})

    async def report_stuck(self, workflow_id: str, execution_id: str, occurred_at: datetime | None = None) -> str:
        """As `Client.report_stuck`."""
        path = f"{_PATH}/{quote(execution_id, safe='')}/stuck"
        return await self._ask(read_report, "POST", path, json=_report(workflow_id, occurred_at))

    async def close(self) -> None:
        """Give back all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _verdict(self, workflow_id: str, method: str, path: str, **more: Any) -> Verdict:
        try:
            return self._fallbacks.learn(
                await self._ask(lambda response: read_verdict(workflow_id, response), method, path, **more)
            )
        except UnavailableError as unavailable:
            return self._fallbacks.decide(workflow_id, unavailable)

    async def _ask(self, read: Callable[[httpx2.Response], _T], method: str, path: str, **more: Any) -> _T:
        tries = Tries(self._options)
        while True:
            try:
                return read(
                    await self._http.request(method, path, headers=self._headers(), timeout=tries.timeout, **more)
                )
            except httpx2.TransportError as error:
                passing = Passing(type(error).__name__)
            except Passing as found:
                passing = found
            await asyncio.sleep(tries.pause_after(passing))
