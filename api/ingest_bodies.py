"""Bodies of requests, read within bounds: of one, of all together, and of the time that they take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus

from starlette.requests import Request

from api.ingest_auth import RefusedError

#: How long a sender may take to send a body.
READ_TIMEOUT = timedelta(seconds=30)

#: What a request takes up besides its body; so their number is bounded, too.
_OVERHEAD = 16 << 10


class BodyRoom:
    """Room for the bodies that are held at once. For one event loop."""

    def __init__(self, largest: int, together: int) -> None:
        """Bytes of one body, and of all."""
        self._largest = largest
        self._free = max(together, largest + _OVERHEAD)

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """Read a body, and hold room for it in the block. `RefusedError` with 408, 413 or 429.

        A body without a length takes the room of the largest.
        """
        length = request.headers.get("content-length", str(self._largest))
        if not length.isdecimal() or int(length[:20]) > self._largest:
            raise self._too_large()
        taken = int(length[:20]) + _OVERHEAD
        if taken > self._free:
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS, "busy", "Too much is under way. Send the same again later."
            )
        self._free -= taken
        try:
            yield await self._read(request)
        finally:
            self._free += taken

    async def _read(self, request: Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(READ_TIMEOUT.total_seconds()):
                async for part in request.stream():
                    body += part
                    if len(body) > self._largest:
                        raise self._too_large()
        except TimeoutError:
            raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, "slow_body", "The body took too long.") from None
        return bytes(body)

    def _too_large(self) -> RefusedError:
        message = f"The body is larger than {self._largest} bytes: send it in several requests."
        return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", message)
