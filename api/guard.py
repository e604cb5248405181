"""What every request must pass before a route sees it, and what every answer carries.

- Host: only names of our own, or a plain address. A site that rebinds its name to a loopback address is turned away;
  it can't make a browser send an address as Host.
- Origin: whatever may change something must come from our own pages.
- Size: a body is small.
- Errors: what no route has foreseen is logged by its type and place, without the words of the error.
"""

import re
import traceback
from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 64 * 1024
MAX_URL = 4 * 1024
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)

#: Where the API is; see `api.v1` and `api.platform`.
API = ("/v1/", "/api/platform/")

_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))

#: Self-contained pages without scripts. `same-origin` and not `no-referrer`: with that a browser posts a form with
#: `Origin: null`, which the check below refuses.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'none'; object-src 'none'; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_SECURITY_HEADERS = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

_log = structlog.get_logger(__name__)

#: Makes the page that says what is wrong.
Refuse = Callable[[Request, HTTPStatus, str], Response]


class Guard:
    """ASGI middleware, the outermost one."""

    def __init__(self, app: ASGIApp, *, public_url: str, allowed_hosts: Collection[str], refuse: Refuse) -> None:
        """`allowed_hosts` are names without ports, besides `localhost`, addresses, and the host of `public_url`."""
        self._app = app
        public = urlsplit(public_url)
        self._public_origin = (public.scheme, public.netloc.lower())
        self._hosts = {"localhost", (public.hostname or "").lower(), *(host.lower() for host in allowed_hosts)}
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, pass on, add the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = False

        async def send_with_headers(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                headers = message["headers"] = list(message["headers"])
                # An answer of ours sets none of these itself, so nothing has to be looked for in the list.
                headers += _SECURITY_HEADERS
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
            await send(message)

        body = _BoundedBody(receive)
        try:
            fault = self._fault(scope)
            if fault is not None:
                await self._answer(scope, *fault, receive, send_with_headers)
            else:
                await self._app(scope, body.receive, send_with_headers)
        except _BodyTooLargeError:
            if not began:
                await self._answer(scope, *_TOO_LARGE, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001  (the boundary of a request)
            _log.error("request_failed", error=type(error).__qualname__, place=_places(error))
            if not began:
                message = "Something went wrong on our side. It is in the log; please try again in a while."
                status = HTTPStatus.INTERNAL_SERVER_ERROR
                await self._answer(scope, status, message, receive, send_with_headers)

    async def _answer(self, scope: Scope, status: HTTPStatus, message: str, receive: Receive, send: Send) -> None:
        response = self._refuse(Request(scope), status, message)
        await response(scope, receive, send)

    def _fault(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return HTTPStatus.MISDIRECTED_REQUEST, "This server does not answer to that name. Check the address."
        if len(scope["raw_path"] or b"") + len(scope["query_string"]) > MAX_URL:
            return HTTPStatus.REQUEST_URI_TOO_LONG, "The address is too long. Check the link."
        # The API takes a token in a header, which no other site can make a browser send.
        is_api = scope["path"].startswith(API)
        if (
            scope["method"] not in _SAFE_METHODS
            and not is_api
            and not self._is_own_origin(headers.get("origin", ""), hosts[0])
        ):
            return HTTPStatus.FORBIDDEN, "This did not come from a page of this console. Open it, and try again there."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > MAX_BODY:
            return _TOO_LARGE
        return None

    def _is_ours(self, host: str) -> bool:
        if not _HOST.fullmatch(host):
            return False
        name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
        return name.lower() in self._hosts or _is_address(name)

    def _is_own_origin(self, origin: str, host: str) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        if (parts.scheme, parts.netloc.lower()) == self._public_origin:
            return True
        return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


_TOO_LARGE = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "That is more than a form of this console holds.")


class _BodyTooLargeError(Exception):
    """A body without a length, or with a wrong one, went over the limit."""


class _BoundedBody:
    def __init__(self, receive: Callable[[], Awaitable[Message]]) -> None:
        self._receive = receive
        self._size = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > MAX_BODY:
            raise _BodyTooLargeError
        return message


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _places(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames]
