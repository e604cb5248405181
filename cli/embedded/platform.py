"""A platform for the demo and the tests: a real HTTP server that does what docs/platform-api.md says.

It can be told to fail: what it is told is used up by the next requests, one each.
"""

import json
import threading
import time
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import unquote

_PREFIX = "/wrk-api/workflows/"
_STATES = {"/activate": "active", "/deactivate": "inactive"}


class Fault(StrEnum):
    """What goes wrong with one request."""

    FAIL = "fail"  #: 500, and nothing is done
    FAIL_AFTER = "fail_after"  #: 500, but it is done
    BUSY = "busy"  #: 429, and nothing is done
    REFUSE = "refuse"  #: 403, and nothing is done
    HANG = "hang"  #: no answer for `hang` seconds; it is done at their end
    LOSE_ANSWER = "lose_answer"  #: it is done, and the connection breaks
    GARBLE = "garble"  #: it is done, and the answer is no JSON


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was understood."""

    workflow_id: str
    action: str
    idempotency_key: str | None


class EmbeddedPlatform:
    """Listens on loopback. `workflows` maps ids to `active` or `inactive`; `calls` is the log."""

    def __init__(self, *, token: str | None = None, hang: float = 1.0) -> None:
        self.workflows: dict[str, str] = {}
        self.calls: list[Call] = []
        self.faults: deque[Fault | None] = deque()
        self._token = token
        self._hang = hang
        self._done: set[str] = set()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="platform", daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(platform: Self) -> type[BaseHTTPRequestHandler]:  # noqa: N805  (two selves)
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                platform._answer(self, None)

            def do_PATCH(self) -> None:
                action = next((one for one in _STATES if self.path.endswith(one)), None)
                if action is None:
                    _send(self, HTTPStatus.NOT_FOUND, {"error": "not_found"})
                else:
                    platform._answer(self, action)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _answer(self, request: BaseHTTPRequestHandler, action: str | None) -> None:
        if self._token is not None and request.headers.get("authorization") != f"Bearer {self._token}":
            _send(request, HTTPStatus.UNAUTHORIZED, {"error": "unauthorized"})
            return
        workflow_id = unquote(request.path.removeprefix(_PREFIX).removesuffix(action or ""))
        key = request.headers.get("idempotency-key")
        with self._lock:
            known = workflow_id in self.workflows
            fault = self.faults.popleft() if self.faults else None
            self.calls.append(Call(workflow_id, (action or "/read").removeprefix("/"), key))
        if fault in (Fault.FAIL, Fault.BUSY, Fault.REFUSE):
            statuses = {
                Fault.FAIL: HTTPStatus.INTERNAL_SERVER_ERROR,
                Fault.BUSY: HTTPStatus.TOO_MANY_REQUESTS,
                Fault.REFUSE: HTTPStatus.FORBIDDEN,
            }
            _send(request, statuses[fault], {"error": "told to fail"})
            return
        if not known:
            _send(request, HTTPStatus.NOT_FOUND, {"error": "unknown_workflow"})
            return
        if fault is Fault.HANG:
            time.sleep(self._hang)
        if action is not None:
            self._do(workflow_id, action, key)
        if fault is Fault.FAIL_AFTER:
            _send(request, HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "told to fail"})
        elif fault is Fault.LOSE_ANSWER:
            request.close_connection = True
        elif fault is Fault.GARBLE:
            _send(request, HTTPStatus.OK, None)
        else:
            _send(request, HTTPStatus.OK, {"workflow_id": workflow_id, "state": self.workflows[workflow_id]})

    def _do(self, workflow_id: str, action: str, key: str | None) -> None:
        """Once for each idempotency key: a question that comes again, late, changes nothing any more."""
        with self._lock:
            if key is None or key not in self._done:
                self.workflows[workflow_id] = _STATES[action]
            if key is not None:
                self._done.add(key)


def _send(request: BaseHTTPRequestHandler, status: HTTPStatus, body: dict[str, str] | None) -> None:
    content = b"<html>" if body is None else json.dumps(body).encode()
    try:
        request.send_response(status)
        request.send_header("content-type", "application/json")
        request.send_header("content-length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)
    except OSError:
        pass  # the one who asked has gone
