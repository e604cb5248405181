"""The ledger of what runs cost: append in batches, read back, verify (50.1)."""

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from enum import StrEnum
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert

from lifecycle import tables
from lifecycle.credits.entry import Break, Head, LedgerEntry, first_break, is_same_run, link
from lifecycle.credits.ledger_rows import COLUMNS, COPY, copy_block, entries_of

_runs, _heads = tables.credit_runs, tables.credit_ledger_heads

#: What makes a run: it is in the ledger once.
Key = tuple[str, str, str]

#: The entries of a batch that are looked up before it is tried whole. A stream that begins again from a snapshot
#: repeats what it wrote, from the front on.
_FIRST = 32

#: Rows, at least, that COPY gets at once.
_BLOCK = 250

#: Rows that verifying holds in memory at a time.
_AT_A_TIME = 2_000


class Recorded(StrEnum):
    """What became of an entry."""

    WRITTEN = "written"
    DUPLICATE = "duplicate"  #: the ledger has the record already, and how it was judged then
    CONFLICT = "conflict"  #: the ledger has another record of the same run, and keeps it
    UNSTORABLE = "unstorable"  #: the database can't hold it; for callers of `append`, which raises then


def key_of(entry: LedgerEntry) -> Key:
    """The run that an entry is about."""
    return entry.tenant_id, entry.workflow_id, entry.execution_id


def append(connection: sa.Connection, entries: Sequence[LedgerEntry]) -> list[Recorded]:
    """Append entries to their tenants' chains; what became of each, in their order.

    A batch that begins with new runs is tried without looking for repeats: the table's unique key says when there is
    one, and then the batch is taken back, looked up and written again. A fixed number of statements, whatever the
    number of entries; 10 µs an entry and 13 µs of the server's. The transaction is the caller's; whoever appends to one
    of the tenants meanwhile waits for it.
    """
    if not entries:
        return []
    connection.execute(_BY_INDEX)
    heads = _locked_heads(connection, {entry.tenant_id for entry in entries})
    first, others = entries[:_FIRST], entries[_FIRST:]
    known = _known(connection, first)
    if others and not known:
        try:
            with connection.begin_nested():
                return _append(connection, entries, known, heads)
        except sa.exc.IntegrityError as error:
            if not _is_repeat(error):
                raise
    if others:
        known |= _known(connection, others)
    return _append(connection, entries, known, heads)


def tenants_in_ledger(connection: sa.Connection) -> list[str]:
    """Everybody who has a chain or a row, by id: rows whose chain's end is gone must not be passed over."""
    named = sa.union(sa.select(_heads.c.tenant_id), sa.select(_runs.c.tenant_id)).subquery()
    return list(connection.execute(sa.select(named.c.tenant_id).order_by(named.c.tenant_id)).scalars())


def read_chain(connection: sa.Connection, tenant_id: str) -> Generator[tuple[LedgerEntry, str], None, None]:
    """A tenant's rows with their hashes, from the first on; holds a bounded number in memory."""
    statement = sa.select(*COLUMNS).where(_runs.c.tenant_id == tenant_id).order_by(_runs.c.seq)
    with connection.execution_options(yield_per=_AT_A_TIME).execute(statement) as rows:
        yield from entries_of(rows)


def verify(connection: sa.Connection, tenant_id: str) -> Break | None:
    """Check a tenant's whole chain as the transaction sees it; the first place that does not hold.

    Needs a snapshot (REPEATABLE READ), else rows that are appended meanwhile look like a fault. 20 µs a row.
    """
    head = connection.execute(_HEADS.where(_heads.c.tenant_id == tenant_id)).first()
    with closing(read_chain(connection, tenant_id)) as rows:
        return first_break(rows, Head() if head is None else Head(head.seq, head.sha256), tenant_id)


def _arrays(**columns: sa.Column[Any]) -> sa.TableValuedAlias:
    """A table whose columns are arrays of parameters, so that one statement does for any number of rows."""
    parameters = (sa.bindparam(f"{name}s", type_=ARRAY(column.type)) for name, column in columns.items())
    return sa.func.unnest(*parameters).table_valued(*columns).render_derived()


_HEADS = sa.select(_heads.c.tenant_id, _heads.c.seq, _heads.c.sha256)

# Built once: to build them and to find their like in SQLAlchemy's cache costs more than a hundred rows.
_tenants = _arrays(tenant_id=_heads.c.tenant_id)
# In one order, so that two who append to the same tenants can't wait for each other.
_MAKE_HEADS = (
    insert(_heads)
    .from_select(["tenant_id", "seq"], sa.select(_tenants.c.tenant_id, sa.literal(0)).order_by(_tenants.c.tenant_id))
    .on_conflict_do_nothing(index_elements=["tenant_id"])
)
_LOCK_HEADS = (
    _HEADS.where(_heads.c.tenant_id == sa.any_(sa.bindparam("tenant_ids", type_=ARRAY(sa.Text))))
    .order_by(_heads.c.tenant_id)
    .with_for_update()
)
_ends = _arrays(tenant_id=_heads.c.tenant_id, seq=_heads.c.seq, sha256=_heads.c.sha256)
_MOVE_HEADS = (
    sa.update(_heads).where(_heads.c.tenant_id == _ends.c.tenant_id).values(seq=_ends.c.seq, sha256=_ends.c.sha256)
)
_asked = _arrays(tenant_id=_runs.c.tenant_id, workflow_id=_runs.c.workflow_id, execution_id=_runs.c.execution_id)
_KNOWN = sa.select(*COLUMNS).join_from(_asked, _runs, sa.and_(*(_runs.c[one.name] == one for one in _asked.c)))


# The driver prepares statements that come often, and the server keeps their plans. One from when the ledger was small
# reads it whole, which takes 80 ms a look-up at 150,000 rows, until statistics are gathered.
_BY_INDEX = sa.text("SET LOCAL enable_seqscan = off")


def _locked_heads(connection: sa.Connection, tenants: Iterable[str]) -> dict[str, Head]:
    names = {"tenant_ids": list(tenants)}
    connection.execute(_MAKE_HEADS, names)
    return {row.tenant_id: Head(row.seq, row.sha256) for row in connection.execute(_LOCK_HEADS, names)}


def _known(connection: sa.Connection, entries: Iterable[LedgerEntry]) -> dict[Key, LedgerEntry]:
    """What the ledger has of the runs that the entries are about."""
    keys = zip(*{key_of(entry) for entry in entries}, strict=True)
    names = ("tenant_ids", "workflow_ids", "execution_ids")
    rows = connection.execute(_KNOWN, {name: list(column) for name, column in zip(names, keys, strict=True)})
    return {key_of(entry): entry for entry, _ in entries_of(rows)}


def _append(
    connection: sa.Connection,
    entries: Sequence[LedgerEntry],
    known: Mapping[Key, LedgerEntry],
    heads: Mapping[str, Head],
) -> list[Recorded]:
    seen = dict(known)
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


def _write(connection: sa.Connection, fresh: Mapping[str, Sequence[LedgerEntry]], heads: Mapping[str, Head]) -> None:
    ends = []
    block: list[tuple[LedgerEntry, str]] = []
    try:
        with connection.connection.cursor().copy(COPY) as copy:
            for tenant_id, entries in fresh.items():
                block.extend(link(entries, heads[tenant_id]))
                ends.append(block[-1])
                if len(block) >= _BLOCK:
                    # The server reads them while the next chains are linked.
                    copy.write(copy_block(block))
                    block.clear()
            copy.write(copy_block(block))
    except psycopg.Error as error:
        # As SQLAlchemy says it of its own statements, so that callers meet one kind of error.
        raise sa.exc.DBAPIError.instance(COPY, None, error, psycopg.Error) from error
    moved = {
        "tenant_ids": [entry.tenant_id for entry, _ in ends],
        "seqs": [entry.seq for entry, _ in ends],
        "sha256s": [sha256 for _, sha256 in ends],
    }
    connection.execute(_MOVE_HEADS, moved)


def _is_repeat(error: sa.exc.IntegrityError) -> bool:
    return isinstance(error.orig, psycopg.Error) and error.orig.diag.constraint_name == "a_run_is_in_the_ledger_once"
