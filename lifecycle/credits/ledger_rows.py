"""An entry as the table has it: blocks for COPY on the way in, rows on the way out (50.1)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from math import isinf
from typing import Any

import msgspec
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.entry import LedgerEntry, plain

_runs = tables.credit_runs

_NAMES = LedgerEntry.__struct_fields__
_ACTIONS, _FLAGS, _MULTIPLIER = (_NAMES.index(name) for name in ("actions", "risk_flags", "variance_multiplier"))

#: A line of a block is a JSON array without its brackets, which PostgreSQL reads as CSV: texts in quotes with a
#: backslash before a quote, null for null, numbers and truth values as they are.
COPY = (
    f"COPY credit_runs ({', '.join((*_NAMES, 'sha256'))}) FROM STDIN"
    " (FORMAT csv, NULL 'null', ESCAPE '\\', ENCODING 'UTF8')"
)

#: An entry's columns, and its hash behind them.
COLUMNS: list[sa.ColumnElement[Any]] = [*(_runs.c[name] for name in _NAMES), _runs.c.sha256]

_encoder = msgspec.json.Encoder()


def copy_block(rows: Iterable[tuple[LedgerEntry, str]]) -> bytes:
    """Entries with their hashes as lines for `COPY`; 3 µs a line."""
    lines = [_values(entry, sha256) for entry, sha256 in rows]
    block = _encoder.encode_lines(lines)
    # JSON and CSV escape quotes alike, and nothing else. When each backslash stands before a quote, the whole fits.
    if block.count(b"\\") == block.count(b'\\"'):
        return block[1:-2].replace(b"]\n[", b"\n") + b"\n" if lines else b""
    return b"".join(b",".join([_csv(value) for value in line]) + b"\n" for line in lines)


def entries_of(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[LedgerEntry, str]]:
    """Rows of `COLUMNS` as the entries that were written, with their hashes."""
    for row in rows:
        values = list(row)
        sha256 = values.pop()
        for place, convert in _CONVERTED:
            if values[place] is not None:
                values[place] = convert(values[place])
        yield LedgerEntry(**dict(zip(_NAMES, values, strict=True))), sha256


def _values(entry: LedgerEntry, sha256: str) -> list[Any]:
    values = list(msgspec.structs.astuple(entry))
    # Their words are letters and underscores, so an array's literal needs no quotes.
    values[_ACTIONS] = f"{{{','.join(entry.actions)}}}"
    values[_FLAGS] = f"{{{','.join(entry.risk_flags)}}}"
    if entry.variance_multiplier is not None and isinf(entry.variance_multiplier):
        values[_MULTIPLIER] = str(entry.variance_multiplier)  # JSON has no such number
    values.append(sha256)
    return values


def _csv(value: object) -> bytes:
    if isinstance(value, str):
        return '"{}"'.format(value.replace("\\", "\\\\").replace('"', '\\"')).encode()
    return _encoder.encode(value)


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("credits_total", "credits_in", "credits_out", "baseline_credits"), plain),
    # Whole numbers of any size stand in the database as numerics.
    **dict.fromkeys(("input_tokens", "output_tokens", "retry_count", "input_item_count"), int),
    **dict.fromkeys(("occurred_at", "deployment_timestamp"), _utc),
}
_CONVERTED = [(_NAMES.index(name), convert) for name, convert in _CONVERSIONS.items()]
