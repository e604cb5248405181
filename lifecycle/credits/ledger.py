"""The ledger of what runs cost: append in batches, read back, verify (50.1)."""

import re
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert

from lifecycle import tables
from lifecycle.credits.entry import Break, Head, LedgerEntry, first_break, is_same_run, link, plain

_runs, _heads = tables.credit_runs, tables.credit_ledger_heads

#: What makes a run: it is in the ledger once.
Key = tuple[str, str, str]

_FIELDS = msgspec.structs.fields(LedgerEntry)
_NAMES = tuple(field.name for field in _FIELDS)
_COPY = f"COPY credit_runs ({', '.join((*_NAMES, 'sha256'))}) FROM STDIN"
_ROW = sa.select(*(_runs.c[name] for name in _NAMES), _runs.c.sha256)
#: Whole numbers of any size stand in the database as numerics.
_COUNTS = frozenset({"input_tokens", "output_tokens", "retry_count", "input_item_count"})
_AMOUNTS = frozenset({"credits_total", "credits_in", "credits_out", "baseline_credits"})
_TIMES = frozenset({"occurred_at", "deployment_timestamp"})

#: Rows that verifying holds in memory at a time.
_AT_A_TIME = 2_000


class Recorded(StrEnum):
    """What became of an entry."""

    WRITTEN = "written"
    DUPLICATE = "duplicate"  #: the ledger has it already, word for word
    CONFLICT = "conflict"  #: the ledger has another record of the same run, and keeps it
    UNSTORABLE = "unstorable"  #: the database can't hold it; for callers of `append`, which raises then


def key_of(entry: LedgerEntry) -> Key:
    """The run that an entry is about."""
    return entry.tenant_id, entry.workflow_id, entry.execution_id


def append(connection: sa.Connection, entries: Sequence[LedgerEntry]) -> list[Recorded]:
    """Append entries to their tenants' chains; what became of each, in their order.

    One statement to lock the chains, one to look for repeats, one COPY, one to move the heads, whatever the number of
    entries; about 30 µs an entry, the server's work included. The transaction is the caller's; whoever appends to one
    of the tenants meanwhile waits for it.
    """
    if not entries:
        return []
    heads = _locked_heads(connection, {entry.tenant_id for entry in entries})
    seen: dict[Key, LedgerEntry] = {key_of(entry): entry for entry, _ in _entries(connection, entries)}
    recorded = []
    fresh: defaultdict[str, list[LedgerEntry]] = defaultdict(list)
    for entry in entries:
        there = seen.setdefault(key_of(entry), entry)
        if there is entry:
            fresh[entry.tenant_id].append(entry)
            recorded.append(Recorded.WRITTEN)
        else:
            recorded.append(Recorded.DUPLICATE if is_same_run(entry, there) else Recorded.CONFLICT)
    if fresh:
        _write(connection, fresh, heads)
    return recorded


def tenants_in_ledger(connection: sa.Connection) -> list[str]:
    """Everybody who has a chain, by id."""
    return list(connection.execute(sa.select(_heads.c.tenant_id).order_by(_heads.c.tenant_id)).scalars())


def read_chain(connection: sa.Connection, tenant_id: str) -> Generator[tuple[LedgerEntry, str], None, None]:
    """A tenant's rows with their hashes, from the first on; holds a bounded number in memory."""
    statement = _ROW.where(_runs.c.tenant_id == tenant_id).order_by(_runs.c.seq)
    with connection.execution_options(yield_per=_AT_A_TIME).execute(statement) as rows:
        for row in rows:
            yield _entry(row), row.sha256


def verify(connection: sa.Connection, tenant_id: str) -> Break | None:
    """Check a tenant's whole chain as the transaction sees it; the first place that does not hold.

    Needs a snapshot (REPEATABLE READ), else rows that are appended meanwhile look like a fault. 20 µs a row.
    """
    head = connection.execute(_HEADS.where(_heads.c.tenant_id == tenant_id)).first()
    with closing(read_chain(connection, tenant_id)) as rows:
        return first_break(rows, Head() if head is None else Head(head.seq, head.sha256), tenant_id)


_HEADS = sa.select(_heads.c.tenant_id, _heads.c.seq, _heads.c.sha256)


def _locked_heads(connection: sa.Connection, tenants: Iterable[str]) -> dict[str, Head]:
    # In one order, so that two who append to the same tenants can't wait for each other.
    names = sorted(tenants)
    connection.execute(
        insert(_heads).on_conflict_do_nothing(index_elements=["tenant_id"]),
        [{"tenant_id": name, "seq": 0, "sha256": None} for name in names],
    )
    rows = connection.execute(
        _HEADS.where(_heads.c.tenant_id.in_(names)).order_by(_heads.c.tenant_id).with_for_update()
    )
    return {row.tenant_id: Head(row.seq, row.sha256) for row in rows}


def _entries(connection: sa.Connection, entries: Iterable[LedgerEntry]) -> Iterator[tuple[LedgerEntry, str]]:
    """What the ledger has of the runs that the entries are about."""
    keys = list(zip(*{key_of(entry) for entry in entries}, strict=True))
    arrays = (sa.bindparam(f"keys{number}", list(column), ARRAY(sa.Text)) for number, column in enumerate(keys))
    asked = sa.func.unnest(*arrays).table_valued("tenant_id", "workflow_id", "execution_id").render_derived()
    rows = connection.execute(
        _ROW.join_from(
            asked,
            _runs,
            (_runs.c.tenant_id == asked.c.tenant_id)
            & (_runs.c.workflow_id == asked.c.workflow_id)
            & (_runs.c.execution_id == asked.c.execution_id),
        )
    )
    for row in rows:
        yield _entry(row), row.sha256


def _write(connection: sa.Connection, fresh: Mapping[str, Sequence[LedgerEntry]], heads: Mapping[str, Head]) -> None:
    moved = []
    try:
        with connection.connection.cursor().copy(_COPY) as copy:
            for tenant_id, entries in fresh.items():
                lines = [_line(entry, sha256) for entry, sha256 in link(entries, heads[tenant_id])]
                copy.write("".join(lines))
                moved.append({"of": tenant_id, "to_seq": entries[-1].seq, "to_sha256": lines[-1][-65:-1]})
    except psycopg.Error as error:
        # As SQLAlchemy says it of its own statements, so that callers meet one kind of error.
        raise sa.exc.DBAPIError.instance(_COPY, None, error, psycopg.Error) from error
    connection.execute(
        sa.update(_heads)
        .where(_heads.c.tenant_id == sa.bindparam("of"))
        .values(seq=sa.bindparam("to_seq"), sha256=sa.bindparam("to_sha256")),
        moved,
    )


#: What COPY's text format takes for something else.
_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPED = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}

_plainly: dict[type, Callable[[Any], str]] = {
    str: str,
    type(None): lambda _: "\\N",
    bool: lambda value: "t" if value else "f",
    int: str,
    float: repr,
    Decimal: str,
    datetime: str,
    list: lambda value: "{" + ",".join(value) + "}",  # words of our own, letters and underscores
}


def _line(entry: LedgerEntry, sha256: str) -> str:
    """An entry in the text format of COPY; 6 µs."""
    values = msgspec.structs.astuple(entry)
    if _SPECIAL.search("".join([value for value in values if type(value) is str])):
        values = tuple(_escaped(value) if type(value) is str else value for value in values)
    return "\t".join([_plainly[type(value)](value) for value in values]) + f"\t{sha256}\n"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: _ESCAPED[found[0]], text)


def _entry(row: Sequence[Any]) -> LedgerEntry:
    return LedgerEntry(**{name: _value(name, stored) for name, stored in zip(_NAMES, row, strict=False)})


def _value(name: str, stored: object) -> Any:
    if stored is None:
        return None
    if name in _AMOUNTS:
        assert isinstance(stored, Decimal)
        return plain(stored)
    if name in _COUNTS:
        assert isinstance(stored, Decimal)
        return int(stored)
    if name in _TIMES:
        assert isinstance(stored, datetime)
        return stored.astimezone(UTC)
    return stored
