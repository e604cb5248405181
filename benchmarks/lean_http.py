"""A client of HTTP/1.1 that costs next to nothing, so that what is measured is the server.

It knows answers with a `Content-Length` and nothing else, keeps its connections, and asks one thing at a time on each.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import cast

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "


class LeanClient:
    """Connections to servers on loopback, shared out evenly; `async with` opens and closes them."""

    def __init__(self, ports: Sequence[int], token: str, *, connections: int) -> None:
        self._ports = ports
        self._head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n".encode()
        self._number = connections
        self._free: asyncio.Queue[_Connection] = asyncio.Queue()
        self._all: list[_Connection] = []

    async def __aenter__(self) -> "LeanClient":
        loop = asyncio.get_running_loop()
        for number in range(self._number):
            port = self._ports[number % len(self._ports)]
            _, connection = await loop.create_connection(_Connection, "127.0.0.1", port)
            self._all.append(connection)
            self._free.put_nowait(connection)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._all:
            connection.close()

    async def get(self, path: str) -> int:
        """The status of the answer, once all of it is here; `ConnectionError` when the server hangs up."""
        return await self._ask(b"GET %b HTTP/1.1\r\n%b\r\n" % (path.encode(), self._head))

    async def patch(self, path: str, body: bytes) -> int:
        """The same for a change; `body` is JSON."""
        head = b"%bContent-Type: application/json\r\nContent-Length: %d\r\n" % (self._head, len(body))
        return await self._ask(b"PATCH %b HTTP/1.1\r\n%b\r\n%b" % (path.encode(), head, body))

    async def _ask(self, request: bytes) -> int:
        connection = await self._free.get()
        try:
            return await connection.ask(request)
        finally:
            self._free.put_nowait(connection)


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods alone

    def ask(self, request: bytes) -> asyncio.Future[int]:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(_END_OF_HEAD)
        if end < 0:
            return
        head = self._received[:end].lower()
        length = head[head.index(_LENGTH) + len(_LENGTH) :].partition(b"\r\n")[0]
        if len(self._received) < end + len(_END_OF_HEAD) + int(length):
            return
        self._received = b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(int(head.split(b" ", 2)[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()
