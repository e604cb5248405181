"""Write the page of an object: once however often this is tried, and whenever it dies (50.5).

A row of `notion_pages` says that a page is about to be asked for, and is committed first. Who finds such a row and no
page does not know whether there is one: it looks for it in the database by the column that names the object, and
adopts what it finds. It does so only when the request must have come to its end, and Notion's index has caught up.
One writer at a time: see `sync.py`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert

from lifecycle import tables
from lifecycle.notion.client import NotionClient, Page
from lifecycle.notion.columns import IDENTITY, SHARED
from lifecycle.notion.faults import INVALID, OF_A_DATABASE, OF_ALL, NotionError, RefusedError, TryLaterError
from lifecycle.notion.kinds import NotionKind, PageOutcome
from lifecycle.notion.values import Content, Layout, as_text, decode_text, encode, is_shown, text

_log = structlog.get_logger(__name__)

_pages = tables.notion_pages.c
_now = sa.func.clock_timestamp(type_=sa.DateTime(timezone=True))

#: Our own codes: of what never reached Notion, and of a page that somebody has put into the trash.
UNWRITABLE = "unwritable"
IN_TRASH = "in_trash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the page of an object shall show."""

    kind: NotionKind
    tenant_id: str | None
    object_id: str
    #: Grows with each change of the object.
    version: int
    content: Content
    #: Whether people may not edit it.
    lock: bool = False

    @property
    def id_column(self) -> str:
        """The column that names the object."""
        return IDENTITY[self.kind][0]

    @property
    def same(self) -> Sequence[str]:
        """Columns that the same name may be told apart by."""
        return IDENTITY[self.kind][1]

    @property
    def shared(self) -> Sequence[str]:
        """Columns that people may change in Notion too: written when ours changed, and not to take back theirs."""
        return SHARED[self.kind]

    @property
    def digest(self) -> str:
        """Of what is written, but for what people may change."""
        columns = {name: as_text(value) for name, value in self.content.columns.items() if name not in self.shared}
        said = [self.content.title, columns, self.content.children]
        return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()

    @property
    def shared_values(self) -> dict[str, str]:
        """What people may change, in words."""
        return {name: as_text(self.content.columns[name]) for name in self.shared}


@dataclass(frozen=True, slots=True)
class Written:
    """What came of an attempt to write a page."""

    outcome: PageOutcome
    #: Notion's code, where it refused this page.
    refused_code: str | None = None
    #: Whether it was not refused so the last time.
    is_news: bool = False

    @property
    def is_there(self) -> bool:
        """Whether the page shows what it shall."""
        return self.outcome not in (PageOutcome.REFUSED, PageOutcome.LATER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long what did not work is left alone."""

    #: Longer than a request can take, and than Notion takes until a query shows a new page.
    uncertain: timedelta = timedelta(minutes=2)
    #: Of a page that Notion could not take, twice as long each time.
    first: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(hours=1)
    #: Of a page that it refused, twice as long each time.
    refused_first: timedelta = timedelta(minutes=5)
    refused_longest: timedelta = timedelta(hours=6)

    def after(self, tries: int, *, refused: bool) -> timedelta:
        """How long to wait after so many tries in vain."""
        first, longest = (self.refused_first, self.refused_longest) if refused else (self.first, self.longest)
        return min(longest, first * 2.0 ** min(max(tries - 1, 0), 32))


@dataclass(frozen=True, slots=True, kw_only=True)
class PageWriter:
    """Writes pages of all kinds."""

    engine: sa.Engine
    notion: NotionClient
    patience: Patience = field(default_factory=Patience)

    def write(self, wanted: Wanted, layout: Layout) -> Written:
        """Bring a page up to date, and lock it if it shall be; what came of it is committed.

        `TryLaterError` when Notion is away or busy, and `RefusedError` when it refuses more than this page: the caller
        stops. What it refuses of this page alone is an outcome. One or two requests, a few more to adopt a page, and
        one for each block of ours to replace.
        """
        row = self._row(wanted)
        try:
            outcome = self._create(wanted, row, layout) if row.page_id is None else self._update(wanted, row, layout)
            if outcome is not PageOutcome.LATER:
                self._lock(wanted)
                self._keep(
                    wanted,
                    object_version=wanted.version,
                    digest=wanted.digest,
                    refused_code=None,
                    tries=0,
                    not_before=None,
                )
        except TryLaterError:
            self._postpone(wanted, self.patience.after(row.tries + 1, refused=False))
            raise
        except RefusedError as error:
            code = self._code_of(error, row.page_id)
            # Whoever has put it into the trash is not contradicted until there is something new.
            values = {"object_version": wanted.version} if code == IN_TRASH else {}
            self._postpone(wanted, self.patience.after(row.tries + 1, refused=True), refused_code=code, **values)
            if code in OF_ALL | OF_A_DATABASE:
                raise
            return Written(PageOutcome.REFUSED, code, is_news=code != row.refused_code)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # What can't be put into Notion's form must not keep other pages from being written.
            _log.error(
                "notion_page_unwritable", kind=wanted.kind, object_id=wanted.object_id, error=type(error).__name__
            )
            self._postpone(wanted, self.patience.after(row.tries + 1, refused=True), refused_code=UNWRITABLE)
            return Written(PageOutcome.REFUSED, UNWRITABLE, is_news=row.refused_code != UNWRITABLE)
        return Written(outcome)

    def _code_of(self, error: RefusedError, page_id: str | None) -> str:
        """Why a page is refused. Of one in the trash Notion says no more than that the request is not valid."""
        if error.code == INVALID and page_id is not None:
            with suppress(NotionError):
                return IN_TRASH if self.notion.read_page(page_id).in_trash else error.code
        return error.code

    def _create(self, wanted: Wanted, row: sa.Row[Any], layout: Layout) -> PageOutcome:
        if row.attempt_at is not None:
            if row.age < self.patience.uncertain:
                self._keep(wanted, not_before=row.attempt_at + self.patience.uncertain)
                return PageOutcome.LATER
            page = self._find(wanted, layout)
            if page is not None:
                seen = row.seen or _seen(wanted, page, layout)
                self._keep(wanted, page_id=page.id, url=page.url, attempt_at=None, seen=seen)
                # As of any page: what people changed since it was made stays.
                self._update(wanted, self._row(wanted), layout)
                return PageOutcome.ADOPTED
        # What a page shows that is made unseen is ours, and no change of people.
        self._keep(wanted, attempt_at=_now, seen=_written(wanted, layout))
        try:
            page = self.notion.create_page(
                layout.data_source_id, self._properties(wanted, layout), wanted.content.children
            )
        except (RefusedError, TryLaterError) as error:
            if isinstance(error, RefusedError) or error.certain:
                self._keep(wanted, attempt_at=None, seen=None)
            raise
        self._keep(wanted, page_id=page.id, url=page.url, attempt_at=None, seen=_seen(wanted, page, layout))
        return PageOutcome.CREATED

    def _update(self, wanted: Wanted, row: sa.Row[Any], layout: Layout) -> PageOutcome:
        before: Mapping[str, str] = row.seen or {}
        changed = [
            name
            for name, value in wanted.shared_values.items()
            if name in layout.found and not is_shown(value, before.get(name, ""))
        ]
        if row.digest == wanted.digest and not changed:
            return PageOutcome.UNCHANGED
        if changed:
            # What people changed since it was read stays, and is read soon.
            shows = _seen(wanted, self.notion.read_page(row.page_id), layout) or {}
            changed = [name for name in changed if is_shown(before.get(name, ""), shows[name])]
        names = [name for name in wanted.content.columns if name not in wanted.shared or name in changed]
        page = self.notion.update_page(row.page_id, self._properties(wanted, layout, names))
        if changed:
            shows = _seen(wanted, page, layout) or {}
            self._keep(wanted, seen={**before, **{name: shows[name] for name in changed}})
        if row.digest != wanted.digest:
            self._replace_children(row.page_id, wanted)
        return PageOutcome.UPDATED

    def _lock(self, wanted: Wanted) -> None:
        if not wanted.lock:
            return
        row = self._row(wanted)
        # Once: a person who unlocks it has a reason.
        if row.locked_at is None:
            self.notion.lock_page(row.page_id)
            self._keep(wanted, locked_at=_now)

    def _properties(self, wanted: Wanted, layout: Layout, names: Sequence[str] | None = None) -> dict[str, Any]:
        properties = encode(wanted.content, layout, names)
        if layout.title_is_free or wanted.id_column not in layout.found:
            properties[layout.title] = {"title": text(self._title(wanted, layout))}
        return properties

    def _title(self, wanted: Wanted, layout: Layout) -> str:
        """Where no column names the object, the title does."""
        title, name = wanted.content.title, as_text(wanted.content.columns[wanted.id_column])
        return title if wanted.id_column in layout.found or name in title else f"{title} · {name}"

    def _find(self, wanted: Wanted, layout: Layout) -> Page | None:
        """A page that an attempt whose end nobody saw has made: the oldest that names the object and is no other's."""
        if wanted.id_column in layout.found:
            equal = [_equals(wanted, layout, name) for name in (wanted.id_column, *wanted.same) if name in layout.found]
        else:
            equal = [{"property": layout.title, "title": {"equals": self._title(wanted, layout)}}]
        oldest_first = [{"timestamp": "created_time", "direction": "ascending"}]
        found = self.notion.query(layout.data_source_id, filter={"and": equal}, sorts=oldest_first)
        candidates = [page for raw in found.results if (page := _read_page(raw)) is not None]
        with self.engine.connect() as connection:
            others = set(
                connection.execute(
                    sa.select(_pages.page_id).where(_pages.page_id.in_([page.id for page in candidates]))
                ).scalars()
            )
        return next((page for page in candidates if page.id not in others and self._is_of(page, wanted, layout)), None)

    def _is_of(self, page: Page, wanted: Wanted, layout: Layout) -> bool:
        wants = encode(wanted.content, layout, wanted.same)
        return all(_same_words(page.properties.get(name), value) for name, value in wants.items())

    def _replace_children(self, page_id: str, wanted: Wanted) -> None:
        """Put our blocks in place of our blocks; those of people stay."""
        if not wanted.content.children:
            return
        bot = self.notion.read_bot_id()
        for block in self.notion.read_children(page_id):
            if block.created_by.get("id") == bot:
                self.notion.delete_block(block.id)
        self.notion.append_children(page_id, wanted.content.children)

    def _row(self, wanted: Wanted) -> sa.Row[Any]:
        """What is known of the page; from now on there is a row."""
        facts = {"kind": wanted.kind, "tenant_id": wanted.tenant_id, "object_id": wanted.object_id}
        with self.engine.begin() as connection:
            connection.execute(insert(tables.notion_pages).values(**facts).on_conflict_do_nothing())
            return connection.execute(
                sa.select(tables.notion_pages, (_now - _pages.attempt_at).label("age")).where(_is(wanted))
            ).one()

    def _postpone(self, wanted: Wanted, wait: timedelta, **values: Any) -> None:
        self._keep(wanted, tries=_pages.tries + 1, not_before=_now + wait, **values)

    def _keep(self, wanted: Wanted, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                sa.update(tables.notion_pages).where(_is(wanted)).values(**values, updated_at=sa.func.now())
            )


def _is(wanted: Wanted) -> sa.ColumnElement[bool]:
    return sa.and_(
        _pages.kind == wanted.kind,
        _pages.object_id == wanted.object_id,
        _pages.tenant_id == wanted.tenant_id,
    )


def _equals(wanted: Wanted, layout: Layout, name: str) -> dict[str, Any]:
    there, property_ = layout.found[name]
    return {"property": there, property_.type: {"equals": as_text(wanted.content.columns[name])}}


def _read_page(raw: Mapping[str, Any]) -> Page | None:
    try:
        return msgspec.convert(raw, Page)
    except msgspec.ValidationError:
        return None


def _written(wanted: Wanted, layout: Layout) -> dict[str, str] | None:
    """What people may change as it is written.

    Of columns that the database does not have it says nothing: one that is added later is empty, by nobody's wish.
    """
    if not wanted.shared:
        return None
    return {name: value for name, value in wanted.shared_values.items() if name in layout.found}


def _seen(wanted: Wanted, page: Page, layout: Layout) -> dict[str, str] | None:
    """The same as the page shows it: a status that lacks an option shows another than was written."""
    shows = _written(wanted, layout)
    if shows is None:
        return None
    for name in shows:
        with suppress(ValueError):
            shows[name] = decode_text(page.properties.get(layout.found[name][0]))
    return shows


def _same_words(kept: Any, wanted: Mapping[str, Any]) -> bool:
    """Whether a text of a page is the one that we would write."""
    (pieces,) = wanted.values()
    if not isinstance(pieces, list) or not isinstance(kept, Mapping):
        return True
    said = "".join(str(piece.get("plain_text", "")) for piece in kept.get(str(kept.get("type")), ()) or ())
    return said == "".join(piece["text"]["content"] for piece in pieces)
