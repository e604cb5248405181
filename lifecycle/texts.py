"""Render what is sent to people, from the templates of this package alone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from lifecycle.kinds import Template

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_MAX_LINE = 200
_MAX_NAME = 80
_MAX_REASON = 500
#: Of notices that are told together, so many are named.
MAX_LISTED = 10
_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LOGIN_IN_LINK = re.compile(r"(?<=://)[^/\s@]+@")
_HEADER = re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(\s*[:=]\s*).+")
_NAMED_SECRET = re.compile(
    r"(?i)\b((?:\w+[_-])?(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|bearer))"
    r"(\"?\s*[:=]\s*\"?|\s+(?=\S*\d))[^\s\",;}]+"
)
_LONG_WORD = re.compile(r"(?<![\w/.+-])[\w+/=.~-]{20,}")


@dataclass(frozen=True, slots=True)
class Text:
    """One message: a line, a plain text, and the same as HTML."""

    title: str
    body: str
    html: str


def one_line(value: str, limit: int = _MAX_LINE) -> str:
    """A name that people chose, without anything that could break out of its line."""
    line = _UNPRINTABLE.sub(" ", value).strip()
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def brief(name: str, limit: int = _MAX_NAME) -> str:
    """A name as a title has it, which has room for two of them and for what is said of them."""
    return one_line(str(name), limit)  # what a context lacks is an error when it becomes a text


def typed_reason(reason: str | None, limit: int = _MAX_REASON) -> str | None:
    """What somebody gave as a reason, as it is kept: `masked`; None when nothing is left of it."""
    return masked(reason or "", limit) or None


def masked(reason: str, limit: int = _MAX_REASON) -> str:
    """A reason that somebody typed, in one line of at most so many characters, without what looks like a secret.

    A long word with letters and digits counts as one, unless it is an id of ours.
    """
    line = _LOGIN_IN_LINK.sub("***@", one_line(reason, limit))
    line = _HEADER.sub(r"\1\2***", line)
    line = _NAMED_SECRET.sub(r"\1\2***", line)
    # Masking may make it longer.
    return _LONG_WORD.sub(_masked_word, line)[:limit]


def _masked_word(found: re.Match[str]) -> str:
    word = found.group()
    mixed = any(c.isdigit() for c in word) and any(c.isalpha() for c in word)
    return "***" if mixed and not _ID.fullmatch(word) else word


def in_words(duration: timedelta) -> str:
    """A duration for people: `24 hours`, `60 minutes`, `90 seconds`."""
    seconds = round(duration.total_seconds())
    if seconds % 3600 == 0 and seconds > 3600:
        count, unit = seconds // 3600, "hour"
    else:
        count, unit = (seconds // 60, "minute") if seconds % 60 == 0 else (seconds, "second")
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def at_time(moment: datetime) -> str:
    """A moment for people: `2026-03-02 08:00:00 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def told_together(title: str, body: str, others: Sequence[str]) -> tuple[str, str]:
    """Title and plain text of a notice that tells of others too: how many they are, and the first ones by title."""
    if not others:
        return title, body
    more = f"and {len(others)} more"
    room = _MAX_LINE - len(more) - 2
    listed = "".join(f"- {one_line(other)}\n" for other in others[:MAX_LISTED])
    left_out = f"- and {len(others) - MAX_LISTED} more\n" if len(others) > MAX_LISTED else ""
    return f"{one_line(title, room)}, {more}", f"{body}\nTold together with it:\n{listed}{left_out}"


def render_title(template: Template, context: Mapping[str, Any]) -> str:
    """The subject of an email, the headline of an in-app notice."""
    return one_line(_environment().get_template(f"{template.value}.title.txt").render(context))


def render_body(template: Template, context: Mapping[str, Any]) -> str:
    """The plain text."""
    return _environment().get_template(f"{template.value}.txt").render(context).strip() + "\n"


def render_html(template: Template, context: Mapping[str, Any]) -> str:
    """The HTML part, every value escaped."""
    return _environment().get_template(f"{template.value}.html").render(context)


def render(template: Template, context: Mapping[str, Any]) -> Text:
    """All parts. A value that a template names and `context` lacks is an error, not an empty place."""
    return Text(render_title(template, context), render_body(template, context), render_html(template, context))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(str(files("lifecycle") / "templates")),
        autoescape=select_autoescape(("html",), default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["brief"] = brief
    return environment
