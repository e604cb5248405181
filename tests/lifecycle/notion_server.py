"""A double of Notion's API on loopback: keeps pages, checks what is written, and fails when it is told to.

It speaks version 2025-09-03 as far as the product uses it: databases with one data source, pages with properties and
blocks, queries with filter, sorts and cursor. What it refuses is what Notion's reference says that it refuses.
"""

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from types import TracebackType
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import SecretStr

from config.settings import NotionAccess

TOKEN = "ntn_hunter2"
BOT = "b0700000-0000-4000-8000-000000000001"
PERSON = "a0000000-0000-4000-8000-000000000002"

#: Databases by what they are for, and their columns as the original names them.
SCHEMAS: Mapping[str, Mapping[str, str]] = {
    "runs": {
        "Run_ID": "title",
        "Timestamp": "date",
        "Tenant_ID": "rich_text",
        "Workflow_ID": "rich_text",
        "Scenario_Name": "rich_text",
        "Scenario_ID": "rich_text",
        "Job_Type": "select",
        "Status": "select",
        "Credits_Total": "number",
        "Credits_In": "number",
        "Credits_Out": "number",
        "Model": "rich_text",
        "Input_Tokens": "number",
        "Output_Tokens": "number",
        "Artifacts_Link": "url",
        "Severity": "select",
        "Risk_Flags": "multi_select",
        "Risk_Summary": "rich_text",
        "Misconfig_Likelihood": "select",
        "Baseline_Expected_Credits": "number",
        "Variance_Multiplier": "number",
    },
    "cases": {
        "Title": "title",
        "CaseID": "rich_text",
        "Tenant_ID": "rich_text",
        "Scenario": "rich_text",
        "Category": "select",
        "Severity": "select",
        "Exposure_Band": "select",
        "Status": "select",
        "Stage": "select",
        "WT Gate For Automation": "select",
        "WT Gate Verdict": "rich_text",
        "Root_Cause": "select",
        "Primary_Run_ID": "rich_text",
        "Related_Run_IDs": "rich_text",
        "Fix_Patch": "rich_text",
        "Prevent_Recurrence_Notes": "rich_text",
        "Slack_Thread_URL": "url",
        "Link": "url",
        "Created_At": "date",
        "Updated_At": "date",
        "Resolved_At": "date",
    },
    "reviews": {
        "Title": "title",
        "ISO Week": "rich_text",
        "Tenant": "rich_text",
        "Revision": "number",
        "Period Start": "date",
        "Period End": "date",
        "Total Credits": "number",
        "Total Runs": "number",
        "SEV0": "number",
        "SEV1": "number",
    },
    "tasks": {
        "Name": "title",
        "Case": "relation",
        "Idempotency Key": "rich_text",
        "Status": "status",
        "Priority": "select",
        "Mode": "select",
    },
    "receipts": {
        "Name": "title",
        "Receipt ID": "rich_text",
        "Case": "relation",
        "Idempotency Key": "rich_text",
        "Outcome": "select",
        "Blocked Reason": "rich_text",
        "Run At": "date",
    },
}

#: A status offers what its database was made with; the API adds nothing to it.
STATUSES = ("Next", "In progress", "Done", "Cancelled")

_TEXT = ("title", "rich_text")


class Mishap(Enum):
    """How the server fails, instead of answering or after it has done what was asked."""

    HANG = auto()
    RESET = auto()
    GARBAGE = auto()
    TRICKLE = auto()  #: a byte at a time, without end
    ENDLESS = auto()
    NESTED = auto()
    LONG_NUMBER = auto()
    STRANGE_ID = auto()  #: a page under a name that no address can hold


class Failure(NamedTuple):
    """What becomes of a request."""

    #: A status and headers with Notion's code as body, or a mishap.
    how: Mishap | tuple[int, str] | tuple[int, str, Mapping[str, str]]
    #: Whether it is done all the same.
    done: bool = False


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    body: Any


@dataclass
class StoredPage:
    """A row, or what else has an id."""

    id: str
    database: str
    properties: dict[str, dict[str, Any]]
    created_at: datetime
    edited_at: datetime
    is_locked: bool = False
    in_trash: bool = False
    blocks: list[dict[str, Any]] = field(default_factory=list)


class _Refused(Exception):  # noqa: N818  (an answer)
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class NotionServer:
    """Takes requests; use it as a context manager. `failures` are used up one by one, then all is well."""

    def __init__(self, schemas: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """Not started yet."""
        self._ids = count(1)
        self.schemas = {name: dict(columns) for name, columns in (schemas or SCHEMAS).items()}
        self.databases = {name: self._new_id() for name in self.schemas}
        self._sources = {name: self._new_id() for name in self.schemas}
        self.pages: dict[str, StoredPage] = {}
        self.failures: deque[Failure] = deque()
        #: Decides by the request instead; None lets it pass.
        self.judge: Callable[[Asked], Failure | None] = lambda _: None
        self.asked: list[Asked] = []
        self.now = datetime(2026, 1, 23, 10, 30, 20, tzinfo=UTC)
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "NotionServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def access(self, **changes: Any) -> NotionAccess:
        """The settings that lead here."""
        databases: dict[str, Any] = {**dict.fromkeys(SCHEMAS), **self.databases}
        known: dict[str, Any] = {
            "token": SecretStr(TOKEN),
            "base_url": self.url,
            **databases,
            "runs_min_severity": "SEV4",
        }
        return NotionAccess(**(known | changes))

    def rows(self, database: str) -> list[dict[str, Any]]:
        """The pages of a database in the order they were made, their properties as plain values."""
        return [
            {name: shown(value) for name, value in page.properties.items()}
            for page in self.pages.values()
            if page.database == database
        ]

    def edit(self, page_id: str, **properties: Any) -> None:
        """Change selects and texts as a person does in the app."""
        page = self.pages[page_id]
        for name, value in properties.items():
            column = name.replace("_", " ")
            kind = self.schemas[page.database][column]
            if kind in _TEXT:
                page.properties[column] = {"type": kind, kind: [_rich(value)] if value else []}
            else:
                page.properties[column] = {"type": kind, kind: {"name": value} if value else None}
        page.edited_at = self.now

    def trash(self, page_id: str, *, restored: bool = False) -> None:
        """Move a page to the trash as a person does, or take it from there."""
        self.pages[page_id].in_trash = not restored
        self.pages[page_id].edited_at = self.now

    def rename(self, database: str, column: str, name: str) -> None:
        """Give a column another name as a person does, on all pages."""
        for columns in (self.schemas[database], *(one.properties for one in self._pages_of(database))):
            columns[name] = columns.pop(column)  # type: ignore[index]

    def pass_time(self, duration: timedelta) -> None:
        """Let Notion's clock go on."""
        self.now += duration

    def count(self, method: str, path: str = "") -> int:
        """How many requests of a kind there were."""
        return sum(one.method == method and one.path.startswith(path) for one in self.asked)

    def _pages_of(self, database: str) -> list[StoredPage]:
        return [page for page in self.pages.values() if page.database == database]

    def _new_id(self) -> str:
        return str(UUID(int=next(self._ids), version=4))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                text = self.rfile.read(length)
                asked = Asked(self.command, self.path.removeprefix("/v1/"), json.loads(text) if text else None)
                with owner._lock:
                    owner.asked.append(asked)
                    failure = owner.failures.popleft() if owner.failures else owner.judge(asked)
                    answer = None
                    if failure is None or failure.done:
                        answer = owner._answer(asked, self.headers)
                if failure is not None:
                    self._fail(failure)
                elif answer is not None:
                    self._say(*answer)

            def _fail(self, failure: Failure) -> None:
                match failure.how:
                    case Mishap.HANG:
                        owner._closing.wait()
                        self.close_connection = True
                    case Mishap.RESET:
                        # Zero seconds to linger: the kernel sends a reset instead of a farewell.
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        self.connection.close()
                        self.close_connection = True
                    case Mishap.GARBAGE:
                        self._say(200, b"<html>\xff hello", {"content-type": "text/html"})
                    case Mishap.NESTED:
                        self._say(200, b"[" * 100_000, {})
                    case Mishap.LONG_NUMBER:
                        self._say(200, b"1" * 10_000, {})
                    case Mishap.STRANGE_ID:
                        self._say(200, b'{"id": "a\\nb", "properties": {}}', {})
                    case Mishap.TRICKLE:
                        self._go_on(b" ", pause=0.02)
                    case Mishap.ENDLESS:
                        self._go_on(b" " * (1 << 20), pause=0)
                    case (status, code, *rest):
                        body = json.dumps({"object": "error", "code": code, "message": f"{TOKEN} was sent"}).encode()
                        self._say(status, body, rest[0] if rest else {})

            def _go_on(self, piece: bytes, pause: float) -> None:
                self.send_response(200)
                self.end_headers()
                self.close_connection = True
                while not owner._closing.wait(pause):
                    try:
                        self.wfile.write(piece)
                    except OSError:
                        return

            def _say(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815  (the server's names)

            def finish(self) -> None:
                try:
                    super().finish()
                except OSError:
                    """The connection was reset, as was wished."""

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(owner.now.timestamp() if timestamp is None else timestamp)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler

    def _answer(self, asked: Asked, headers: Any) -> tuple[int, bytes, Mapping[str, str]]:
        try:
            _check_headers(headers)
            said = self._do(asked)
        except _Refused as refused:
            body = {"object": "error", "status": refused.status, "code": refused.code, "message": refused.message}
            return refused.status, json.dumps(body).encode(), {}
        return 200, json.dumps(said).encode(), {}

    def _do(self, asked: Asked) -> dict[str, Any]:
        parts = asked.path.split("?")[0].split("/")
        match (asked.method, *parts):
            case ("GET", "users", "me"):
                return {"object": "user", "id": BOT, "type": "bot"}
            case ("GET", "databases", given):
                name = self._named(self.databases, given)
                return {"object": "database", "id": given, "data_sources": [{"id": self._sources[name], "name": name}]}
            case ("GET", "data_sources", given):
                return self._schema(self._named(self._sources, given))
            case ("PATCH", "data_sources", given):
                name = self._named(self._sources, given)
                for column, wanted in asked.body["properties"].items():
                    kind = self.schemas[name][column] = next(iter(wanted))
                    for page in self._pages_of(name):
                        page.properties.setdefault(column, {"type": kind, kind: _empty(kind)})
                return self._schema(name)
            case ("POST", "data_sources", given, "query"):
                return self._query(self._named(self._sources, given), asked.body)
            case ("POST", "pages"):
                return self._create(asked.body)
            case ("GET", "pages", page_id):
                return self._shown(self._page(page_id))
            case ("PATCH", "pages", page_id):
                return self._update(self._page(page_id), asked.body)
            case ("GET", "blocks", page_id, "children"):
                return {"object": "list", "results": self._page(page_id).blocks, "next_cursor": None}
            case ("PATCH", "blocks", page_id, "children"):
                page = self._page(page_id)
                page.blocks += self._blocks(asked.body["children"], BOT)
                return {"object": "list", "results": page.blocks, "next_cursor": None}
            case ("DELETE", "blocks", block_id):
                return self._delete(block_id)
        raise _Refused(400, "invalid_request_url", "Invalid request URL.")

    def _named(self, ids: Mapping[str, str], given: str) -> str:
        for name, known in ids.items():
            if known.replace("-", "") == given.replace("-", ""):
                return name
        raise _Refused(404, "object_not_found", "Could not find it. Make sure that it is shared with the integration.")

    def _page(self, page_id: str) -> StoredPage:
        if page_id not in self.pages:
            raise _Refused(404, "object_not_found", "Could not find page.")
        return self.pages[page_id]

    def _schema(self, name: str) -> dict[str, Any]:
        columns = {}
        for number, (column, kind) in enumerate(self.schemas[name].items()):
            options = [{"id": option, "name": option, "color": "gray"} for option in STATUSES]
            detail = {"options": options if kind == "status" else []} if kind.endswith(("select", "status")) else {}
            columns[column] = {"id": f"p{number}", "name": column, "type": kind, kind: detail}
        return {"object": "data_source", "id": self._sources[name], "properties": columns}

    def _create(self, body: Any) -> dict[str, Any]:
        name = self._named(self._sources, body["parent"]["data_source_id"])
        page = StoredPage(self._new_id(), name, {}, self.now, self.now)
        for column, kind in self.schemas[name].items():
            page.properties[column] = {"type": kind, kind: _empty(kind)}
        self._write(page, body["properties"])
        page.blocks = self._blocks(body.get("children", []), BOT)
        self.pages[page.id] = page
        return self._shown(page)

    def _update(self, page: StoredPage, body: Any) -> dict[str, Any]:
        if page.in_trash:
            raise _Refused(400, "validation_error", "Can't edit a page that is in the trash.")
        self._write(page, body.get("properties", {}))
        page.is_locked = body.get("is_locked", page.is_locked)
        page.edited_at = self.now
        return self._shown(page)

    def _write(self, page: StoredPage, properties: Mapping[str, Any]) -> None:
        kept = {}
        for column, value in properties.items():
            kind = self.schemas[page.database].get(column)
            if kind is None:
                raise _Refused(400, "validation_error", f"{column} is not a property that exists.")
            if set(value) != {kind}:
                raise _Refused(400, "validation_error", f"{column} is expected to be {kind}.")
            kept[column] = {"type": kind, kind: self._checked(column, kind, value[kind])}
        page.properties |= kept

    def _checked(self, column: str, kind: str, value: Any) -> Any:
        fault: str | None = None
        match kind:
            case "title" | "rich_text":
                texts = [part["text"]["content"] for part in value]
                if any(len(text) > 2000 for text in texts) or len(texts) > 100:
                    fault = "content length should be ≤ 2000"
                return self._or_refuse(column, fault, [_rich(text) for text in texts])
            case "select" | "status" if value is not None:
                if not value["name"] or "," in value["name"] or len(value["name"]) > 100:
                    fault = "is no option"
                if kind == "status" and value["name"] not in STATUSES:
                    fault = "has no such option"
            case "multi_select":
                if any(not one["name"] or "," in one["name"] or len(one["name"]) > 100 for one in value):
                    fault = "is no option"
            case "number" if not isinstance(value, int | float | None):
                fault = "is no number"
            case "url" if value is not None and not 0 < len(value) <= 2000:
                fault = "is no address"
            case "date" if value is not None:
                datetime.fromisoformat(value["start"])
            case "relation":
                for one in value:
                    self._page(one["id"])
        return self._or_refuse(column, fault, value)

    def _or_refuse(self, column: str, fault: str | None, value: Any) -> Any:
        if fault is not None:
            raise _Refused(400, "validation_error", f"{column} {fault}.")
        return value

    def _blocks(self, children: Any, author: str) -> list[dict[str, Any]]:
        if len(children) > 100:
            raise _Refused(400, "validation_error", "children should have at most 100.")
        for child in children:
            rows = child.get("table", {}).get("children", [])
            if len(rows) > 100 or any(len(row["table_row"]["cells"]) != child["table"]["table_width"] for row in rows):
                raise _Refused(400, "validation_error", "table is malformed.")
        return [{**child, "id": self._new_id(), "created_by": {"object": "user", "id": author}} for child in children]

    def write_note(self, page_id: str, text: str) -> None:
        """Add a paragraph as a person does in the app."""
        note = {"type": "paragraph", "paragraph": {"rich_text": [_rich(text)]}}
        self.pages[page_id].blocks += self._blocks([note], PERSON)

    def _delete(self, block_id: str) -> dict[str, Any]:
        for page in self.pages.values():
            for block in page.blocks:
                if block["id"] == block_id:
                    page.blocks.remove(block)
                    return {**block, "in_trash": True}
        raise _Refused(404, "object_not_found", "Could not find block.")

    def _query(self, name: str, body: Any) -> dict[str, Any]:
        found = [page for page in self._pages_of(name) if not page.in_trash and self._matches(page, body.get("filter"))]
        for sort in reversed(body.get("sorts", [])):
            key = {"last_edited_time": lambda one: one.edited_at, "created_time": lambda one: one.created_at}
            found.sort(key=key[sort["timestamp"]], reverse=sort["direction"] == "descending")
        begin, size = int(body.get("start_cursor") or 0), body.get("page_size", 100)
        more = begin + size < len(found)
        return {
            "object": "list",
            "results": [self._shown(page) for page in found[begin : begin + size]],
            "next_cursor": str(begin + size) if more else None,
            "has_more": more,
        }

    def _matches(self, page: StoredPage, wanted: Any) -> bool:
        if wanted is None:
            return True
        if "and" in wanted:
            return all(self._matches(page, one) for one in wanted["and"])
        if "timestamp" in wanted:
            since = datetime.fromisoformat(wanted["last_edited_time"]["on_or_after"])
            return _minute(page.edited_at) >= since
        kind = self.schemas[page.database].get(wanted["property"])
        if kind is None or kind not in wanted:
            raise _Refused(400, "validation_error", "Could not find property.")
        return bool(shown(page.properties[wanted["property"]]) == wanted[kind]["equals"])

    def _shown(self, page: StoredPage) -> dict[str, Any]:
        return {
            "object": "page",
            "id": page.id,
            "parent": {"type": "data_source_id", "data_source_id": self._sources[page.database]},
            # Notion tells times by the minute.
            "created_time": _minute(page.created_at).isoformat(),
            "last_edited_time": _minute(page.edited_at).isoformat(),
            "is_locked": page.is_locked,
            "in_trash": page.in_trash,
            "url": f"https://www.notion.so/{page.id.replace('-', '')}",
            "properties": {name: {"id": f"p{number}", **value} for number, (name, value) in _numbered(page.properties)},
        }


def _check_headers(headers: Any) -> None:
    if headers.get("authorization") != f"Bearer {TOKEN}":
        raise _Refused(401, "unauthorized", "API token is invalid.")
    if headers.get("notion-version") != "2025-09-03":
        raise _Refused(400, "missing_version", "Notion-Version header is missing.")


def shown(value: Mapping[str, Any]) -> Any:
    """A property's value as one reads it."""
    kind = value["type"]
    held = value[kind]
    match kind:
        case "title" | "rich_text":
            return "".join(part["plain_text"] for part in held)
        case "select" | "status":
            return None if held is None else held["name"]
        case "multi_select":
            return [one["name"] for one in held]
        case "relation":
            return [one["id"] for one in held]
        case "date":
            return None if held is None else held["start"]
    return held


def _empty(kind: str) -> Any:
    """What a column of a new page shows; a status shows its first option."""
    return {"name": STATUSES[0]} if kind == "status" else [] if kind in (*_TEXT, "multi_select", "relation") else None


def _numbered(properties: Mapping[str, dict[str, Any]]) -> Any:
    return enumerate(properties.items())


def _rich(text: str) -> dict[str, Any]:
    return {"type": "text", "text": {"content": text}, "plain_text": text}


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
