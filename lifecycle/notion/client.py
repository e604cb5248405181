"""Ask Notion's API, and say of each request whether it was done, refused for good, or is to be asked again later.

One request at a time, `INTERVAL` apart: Notion takes three a second from an integration. Nothing is tried again here:
what may be repeated is known to the caller alone.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Annotated, Any, Self, TypeVar

import httpx
import msgspec
from notion_client import Client
from notion_client.errors import APIErrorCode, HTTPResponseError, RequestTimeoutError

from config.settings import NotionAccess
from lifecycle.notion.faults import GONE, RefusedError, Trouble, TryLaterError
from lifecycle.posts import retry_after

#: At `INFO` it writes the address of each request.
logging.getLogger("httpx").setLevel(logging.WARNING)

#: Pages belong to data sources from this version on.
API_VERSION = "2025-09-03"

#: Notion's average limit is three requests a second.
INTERVAL = timedelta(milliseconds=340)
#: Notion itself gives up a request after 60 s; most take less than two.
TIMEOUT = timedelta(seconds=30)

#: Bytes of an answer: a hundred pages are some of a megabyte.
LONGEST_ANSWER = 32 * 1024 * 1024

#: Headers that are not true of a body that was read.
_OF_TRANSFER = frozenset({"content-encoding", "content-length", "transfer-encoding"})

_LATER = frozenset({408, 409, 425, 429})

Properties = Mapping[str, Any]
"""Property values by name, or one block, in Notion's form."""

_Answer = TypeVar("_Answer")

#: Ids become parts of addresses.
_Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z-]{1,64}$")]


class Page(msgspec.Struct, frozen=True):
    """A page as Notion tells of it."""

    id: _Id
    #: What Notion keeps of each property, by name.
    properties: dict[str, dict[str, Any]]
    url: str | None = None
    is_locked: bool = False
    in_trash: bool = False


class Block(msgspec.Struct, frozen=True):
    """A part of a page."""

    id: _Id
    created_by: dict[str, Any] = {}


class Found(msgspec.Struct, frozen=True):
    """One page of an answer with many."""

    #: As they came: one that can't be read must not hide the others.
    results: list[dict[str, Any]]
    next_cursor: str | None = None


class Option(msgspec.Struct, frozen=True):
    """What may be chosen."""

    name: str


class Options(msgspec.Struct, frozen=True):
    """What a select or a status offers."""

    options: list[Option] = []


class Property(msgspec.Struct, frozen=True):
    """A column of a database."""

    type: str
    select: Options | None = None
    multi_select: Options | None = None
    status: Options | None = None


class Schema(msgspec.Struct, frozen=True):
    """A data source: the rows of a database."""

    id: _Id
    properties: dict[str, Property]


class _Blocks(msgspec.Struct, frozen=True):
    results: list[Block]
    next_cursor: str | None = None


class _Named(msgspec.Struct, frozen=True):
    id: _Id


class _Database(msgspec.Struct, frozen=True):
    data_sources: list[_Named]


class _Http(httpx.Client):
    """Reads answers to their end only if they have one: they may be endless, or come a byte at a time."""

    #: What the server's clock said in its last answer; None when it said nothing.
    server_time: datetime | None = None

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        answer = super().send(request, **options | {"stream": True})
        self.server_time = _time_of(answer)
        with closing(answer):
            body = b"".join(self._pieces(answer))
        headers = [(name, value) for name, value in answer.headers.items() if name not in _OF_TRANSFER]
        return httpx.Response(answer.status_code, headers=headers, content=body, request=request)

    def _pieces(self, answer: httpx.Response) -> Iterator[bytes]:
        end = time.monotonic() + (self.timeout.read or 0.0)
        size = 0
        for piece in answer.iter_bytes():
            size += len(piece)
            if size > LONGEST_ANSWER:
                raise httpx.DecodingError("the answer is too long")
            if time.monotonic() > end:
                raise httpx.ReadTimeout("the answer takes too long")
            yield piece


class NotionClient:
    """A connection to Notion; close it. One thread at a time."""

    def __init__(self, access: NotionAccess, *, interval: timedelta = INTERVAL, timeout: timedelta = TIMEOUT) -> None:
        """Contact nothing yet."""
        self._http = _Http(follow_redirects=False)
        # Its own log quotes what Notion says, and Notion quotes what it was sent; its own retries don't know what
        # may be repeated.
        self._notion = Client(
            client=self._http,
            auth=access.token.get_secret_value(),
            base_url=access.base_url,
            timeout_ms=timeout // timedelta(milliseconds=1),
            notion_version=API_VERSION,
            retry=False,
            logger=_silent_logger(),
            log_level=logging.CRITICAL,
        )
        self._interval = interval.total_seconds()
        #: When the next request may leave, by the monotonic clock.
        self.next_turn = 0.0

    @property
    def server_time(self) -> datetime | None:
        """What Notion's clock said in its last answer; None when it said nothing."""
        return self._http.server_time

    def __enter__(self) -> Self:
        """Leave it open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take leave of the server."""
        self.close()

    def close(self) -> None:
        """Take leave of the server."""
        self._http.close()

    def read_schema(self, database_id: str) -> Schema:
        """The columns of a database: those of its first data source. Two requests."""
        database = self._ask("GET", f"databases/{database_id}", _Database)
        if not database.data_sources:
            raise RefusedError(GONE)
        return self._ask("GET", f"data_sources/{database.data_sources[0].id}", Schema)

    def add_columns(self, data_source_id: str, columns: Properties) -> Schema:
        """Add columns to a database; those that it has stay as they are. May be repeated."""
        return self._ask("PATCH", f"data_sources/{data_source_id}", Schema, {"properties": columns})

    def create_page(self, data_source_id: str, properties: Properties, children: Sequence[Properties] = ()) -> Page:
        """Add a row; after a `TryLaterError` that is not certain it may be there all the same."""
        parent = {"type": "data_source_id", "data_source_id": data_source_id}
        body: dict[str, Any] = {"parent": parent, "properties": properties}
        if children:
            body["children"] = children
        return self._ask("POST", "pages", Page, body)

    def read_page(self, page_id: str) -> Page:
        """What a page shows; one in the trash too."""
        return self._ask("GET", f"pages/{page_id}", Page)

    def update_page(self, page_id: str, properties: Properties) -> Page:
        """Write properties; those that are not named stay as they are. May be repeated."""
        return self._ask("PATCH", f"pages/{page_id}", Page, {"properties": properties})

    def lock_page(self, page_id: str) -> Page:
        """Keep people from editing it in Notion's app. May be repeated."""
        return self._ask("PATCH", f"pages/{page_id}", Page, {"is_locked": True})

    def query(self, data_source_id: str, **body: Any) -> Found:
        """Rows by filter, in the order of sorts; at most 100 an answer."""
        return self._ask("POST", f"data_sources/{data_source_id}/query", Found, body)

    def read_bot_id(self) -> str:
        """The user that we are to Notion."""
        return self._ask("GET", "users/me", _Named).id

    def read_children(self, page_id: str) -> list[Block]:
        """All blocks of a page, but for those inside of others. A request for each hundred."""
        blocks: list[Block] = []
        cursor = ""
        while True:
            found = self._ask("GET", f"blocks/{page_id}/children?page_size=100{cursor}", _Blocks)
            blocks += found.results
            if found.next_cursor is None:
                return blocks
            cursor = f"&start_cursor={found.next_cursor}"

    def append_children(self, block_id: str, children: Sequence[Properties]) -> None:
        """Add blocks at a page's end, at most 100 at once."""
        self._ask("PATCH", f"blocks/{block_id}/children", Found, {"children": children})

    def delete_block(self, block_id: str) -> None:
        """Move a block to the trash. May be repeated."""
        self._ask("DELETE", f"blocks/{block_id}", _Named)

    def _ask(self, method: str, path: str, answer: type[_Answer], body: dict[str, Any] | None = None) -> _Answer:
        self._wait_for_turn()
        try:
            said = self._notion.request(path, method, body=body)
        except RequestTimeoutError:
            raise TryLaterError(Trouble.UNREACHABLE) from None
        except HTTPResponseError as error:
            # Without a cause: its text quotes what was sent.
            raise _fault_of(error) from None
        except (ValueError, RecursionError, httpx.DecodingError):
            # No JSON, no UTF-8, a number of thousands of digits, or a list of lists without end.
            raise TryLaterError(Trouble.GARBAGE) from None
        except httpx.ConnectError:
            raise TryLaterError(Trouble.UNREACHABLE, certain=True) from None
        except httpx.HTTPError:
            raise TryLaterError(Trouble.UNREACHABLE) from None
        try:
            return msgspec.convert(said, answer)
        except msgspec.ValidationError:
            raise TryLaterError(Trouble.GARBAGE) from None

    def _wait_for_turn(self) -> None:
        now = time.monotonic()
        if now < self.next_turn:
            time.sleep(self.next_turn - now)
        self.next_turn = max(now, self.next_turn) + self._interval


def _time_of(answer: httpx.Response) -> datetime | None:
    try:
        moment = parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None


def _fault_of(error: HTTPResponseError) -> TryLaterError | RefusedError:
    if error.status in _LATER or error.status >= 500:
        wait = retry_after(error.headers.get("retry-after"), datetime.now(UTC))
        return TryLaterError(Trouble.BUSY, wait, certain=error.status == 429)
    code = error.code.value if isinstance(error.code, APIErrorCode) else f"http_{error.status}"
    return RefusedError(code)


def _silent_logger() -> logging.Logger:
    logger = logging.getLogger("notion_client.silent")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger
