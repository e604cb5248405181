"""What a page shows, before and after Notion's form: values, the columns that they want, and both ways between them.

Columns are found by name whatever its spaces, underscores and capitals, and written as the type that the database
gives them; a column that a database does not have is left out. So databases made by hand need no exact copy of ours.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from lifecycle.credits.evidence_hygiene import plain
from lifecycle.notion.client import Properties, Property, Schema

Value = str | int | float | Decimal | datetime | Sequence[str] | None
"""A column's value; None empties it."""

#: Characters of one piece of text: Notion counts two for some of them, and takes 2,000.
_PIECE = 1000
_MAX_PIECES = 100
_MAX_OPTION = 100
_MAX_URL = 2000


class ColumnType(Enum):
    """What a column holds, and the types of Notion that it may have there, the best first."""

    TEXT = ("rich_text", "title")
    CHOICE = ("select", "status", "rich_text", "title")
    CHOICES = ("multi_select", "rich_text")
    NUMBER = ("number", "rich_text")
    TIME = ("date", "rich_text")
    LINK = ("url", "rich_text")
    PAGES = ("relation",)


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is written where the database has it."""

    name: str
    type: ColumnType = ColumnType.TEXT
    #: What it must offer where it is a status, since nobody but a person can add to one.
    options: tuple[str, ...] = ()
    #: People may change it in Notion, and it is read from there.
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the columns of a kind of page are in one database."""

    data_source_id: str
    #: The database's own name and type of each column that it has, by our name.
    found: Mapping[str, tuple[str, Property]]
    #: Those that it does not have, in their order.
    missing: tuple[Column, ...]
    #: Those that it has with a type that can't hold them, with that type.
    unfit: Mapping[str, str]
    #: The column that is each page's title; every database has one.
    title: str

    @property
    def title_is_free(self) -> bool:
        """Whether no column of ours is the title."""
        return all(name != self.title for name, _ in self.found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a page shows."""

    title: str
    columns: Mapping[str, Value]
    #: Blocks below the columns.
    children: Sequence[Properties] = field(default=())


def plain_name(name: str) -> str:
    """A column's name as it is compared: `Case_ID`, `Case ID` and `CaseID` are the same."""
    return re.sub(r"[\W_]+", "", name).casefold()


def lay_out(columns: Sequence[Column], schema: Schema) -> Layout:
    """Find the columns in a database."""
    there = {plain_name(name): (name, property_) for name, property_ in schema.properties.items()}
    title = next((name for name, property_ in schema.properties.items() if property_.type == "title"), "Name")
    found, missing, unfit = {}, [], {}
    for column in columns:
        match = there.get(plain_name(column.name))
        if match is None:
            missing.append(column)
        elif match[1].type not in column.type.value:
            unfit[column.name] = match[1].type
        else:
            found[column.name] = match
    return Layout(data_source_id=schema.id, found=found, missing=tuple(missing), unfit=unfit, title=title)


def encode(content: Content, layout: Layout, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The properties in Notion's form; of the columns only `names`, unless that is None, and then without the title."""
    properties = {}
    for name, value in content.columns.items():
        if name in layout.found and (names is None or name in names):
            there, property_ = layout.found[name]
            encoded = _encode(value, property_)
            if encoded is not None:
                properties[there] = encoded
    if names is None and layout.title_is_free:
        properties[layout.title] = {"title": text(content.title)}
    return properties


def _encode(value: Value, property_: Property) -> dict[str, Any] | None:
    """None leaves the column as it is."""
    match property_.type:
        case "title" | "rich_text" as kind:
            return {kind: text(as_text(value))}
        case "select":
            option = as_option(as_text(value))
            return {"select": {"name": option} if option else None}
        case "status":
            # Emptied it shows its default; an option that is not there would make Notion refuse the page.
            option = as_text(value)
            return {"status": {"name": option}} if option in options_of(property_) else None
        case "multi_select":
            options = dict.fromkeys(as_option(one) for one in _listed(value))
            return {"multi_select": [{"name": one} for one in options if one][:_MAX_PIECES]}
        case "number":
            return {"number": _number(value)}
        case "date":
            return {"date": {"start": _utc(value)} if isinstance(value, datetime) else None}
        case "url":
            link = as_text(value)
            return {"url": link if 0 < len(link) <= _MAX_URL else None}
        case "relation":
            return {"relation": [{"id": one} for one in _listed(value)][:_MAX_PIECES]}
    return None


def decode_text(property_: Any) -> str:
    """What a select, a status or a text says; empty when it says nothing. `ValueError` for anything else."""
    match property_:
        case {"type": "select" | "status" as kind, **rest}:
            held = rest.get(kind)
            if held is None:
                return ""
            if isinstance(held, dict) and isinstance(name := held.get("name"), str):
                return _printable(name)
        case {"type": "rich_text" | "title" as kind, **rest}:
            pieces = rest.get(kind)
            if isinstance(pieces, list):
                return _printable("".join(_plain_text(piece) for piece in pieces))
    raise ValueError("not a text")


def is_shown(words: str, says: str) -> bool:
    """Whether a page that says `says` shows `words`: a select shows them without commas, and emojis in either form."""
    return plain(says) in (plain(words), plain(as_option(words)))


def options_of(property_: Property) -> frozenset[str]:
    """What a status offers."""
    return frozenset() if property_.status is None else frozenset(one.name for one in property_.status.options)


def as_text(value: Value) -> str:
    """A value in words."""
    match value:
        case None:
            return ""
        case str():
            return value
        case datetime():
            return _utc(value)
        case float() | int() | Decimal():
            digits = f"{value:f}"
            return digits.rstrip("0").rstrip(".") if "." in digits else digits
    return ", ".join(value)


def as_option(name: str) -> str:
    """A name that a select takes: no commas, at most 100 characters."""
    option = name.replace(",", ";").strip()
    return option if len(option) <= _MAX_OPTION else f"{option[: _MAX_OPTION - 1]}…"


def text(value: str) -> list[dict[str, Any]]:
    """A text in Notion's form, cut off where it is too long for Notion."""
    return [
        {"type": "text", "text": {"content": value[begin : begin + _PIECE]}}
        for begin in range(0, min(len(value), _PIECE * _MAX_PIECES), _PIECE)
    ]


def _listed(value: Value) -> Sequence[str]:
    if value is None or isinstance(value, int | float | Decimal | datetime):
        return ()
    return (value,) if isinstance(value, str) else value


def _number(value: Value) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = float(value)
    # JSON has no word for more than this.
    return None if not math.isfinite(number) else int(number) if number.is_integer() and abs(number) < 2**53 else number


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _plain_text(piece: Any) -> str:
    words = piece.get("plain_text") if isinstance(piece, dict) else None
    if not isinstance(words, str):
        raise ValueError("not a text")  # noqa: TRY004  (whoever reads it catches one error)
    return words


def _printable(value: str) -> str:
    """Without what a text column of Postgres does not take."""
    return value.replace("\x00", "").encode(errors="ignore").decode().strip()
