"""Which names of external systems may be shown (30.4).

A `system_key` comes with the event and could hold anything, a token too. A text shows only the display name of
a system that operators have listed. The key itself goes into structured columns, and only when it is listed or
is plainly a name; otherwise a digest stands for it, so that two systems still are two.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from lifecycle import tables

#: Words with a few digits at their end, such as `google_sheets` or `sap-s4`: no token looks like this.
_PLAIN_NAME = re.compile(r"(?:[A-Za-z]{1,20}[0-9]{0,4}|[0-9]{1,4})(?:[._:-](?:[A-Za-z]{1,20}[0-9]{0,4}|[0-9]{1,4}))*")
_DIGEST = re.compile(r"unlisted-[0-9a-f]{12}")
_MAX_KEY = 64

#: Shown for a system that is not listed.
UNLISTED_NAME = "a connected system"


@dataclass(frozen=True, slots=True)
class System:
    """An external system as it may be stored and shown."""

    key: str
    display_name: str
    #: None when it is not listed.
    provider: str | None


def safe_key(key: str) -> str:
    """The key of a system that is not listed, as it may be stored; of such a key itself, the same."""
    if len(key) <= _MAX_KEY and (_PLAIN_NAME.fullmatch(key) or _DIGEST.fullmatch(key)):
        return key
    return f"unlisted-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def find_systems(connection: sa.Connection, keys: Iterable[str]) -> list[System]:
    """The systems of these keys, each once, in the order of the stored keys."""
    found = {system.key: system for system in _find(connection, set(keys)).values()}
    return [found[key] for key in sorted(found)]


def find_stored_keys(connection: sa.Connection, keys: Iterable[str]) -> dict[str, str]:
    """For each key the form in which it may be stored."""
    return {key: system.key for key, system in _find(connection, set(keys)).items()}


def _find(connection: sa.Connection, keys: set[str]) -> dict[str, System]:
    if not keys:
        return {}
    possible = [key for key in keys if _may_be_listed(key)]
    listed = {
        row.system_key: System(row.system_key, row.display_name, row.provider)
        for row in connection.execute(sa.select(tables.systems).where(tables.systems.c.system_key.in_(possible)))
    }
    return {key: listed.get(key) or System(safe_key(key), UNLISTED_NAME, None) for key in keys}


def _may_be_listed(key: str) -> bool:
    """Whether Postgres takes the text; one that it doesn't would cost the whole decision."""
    if not key or "\x00" in key:
        return False
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def names_of(systems: Iterable[System], limit: int = 5) -> str:
    """A list for a sentence: `Gmail, Salesforce and 2 other connected systems`."""
    systems = list(systems)
    listed = sorted({system.display_name for system in systems if system.provider is not None})
    shown, more = listed[:limit], len(systems) - len(listed[:limit])
    if more:
        other = "other " if shown else ""
        shown = [*shown, f"{more} {other}connected system{'s' if more > 1 else ''}"]
        if not listed and more == 1:
            return UNLISTED_NAME
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


#: The longest reason of a block.
MAX_REASON = 500


def credentials_reason(systems: Iterable[System]) -> str:
    """The sentence that everybody reads: made of listed names alone, at most `MAX_REASON` characters."""
    return f"The credentials for {names_of(systems)} are invalid or have expired."[:MAX_REASON]
