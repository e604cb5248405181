"""Write the ledger out: rows with their hashes, in a form that others can check without us (50.1).

A line of JSON holds the canonical form, byte for byte what its hash is of. A Parquet file has a column for each field,
amounts and counts as doubles, and the canonical form beside them, which is exact.
"""

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from os import fsync
from pathlib import Path
from typing import IO, Any, get_args, get_origin

import msgspec

from lifecycle.credits.entry import LedgerEntry, canonical

#: Rows that are held in memory at a time; also a row group of a Parquet file.
_AT_A_TIME = 20_000

Rows = Iterable[tuple[LedgerEntry, str]]


class ExportFormat(StrEnum):
    """The forms that there are."""

    JSONL = "jsonl"
    PARQUET = "parquet"


def export_rows(rows: Rows, path: Path, form: ExportFormat) -> int:
    """Write rows to `path`, and the SHA-256 of the file to `<path>.sha256` as `sha256sum` does; how many there were.

    Either file appears whole or not at all, and the file before its hash. `OSError` when it can't be written.
    """
    write = _WRITERS[form]
    with _replacing(path) as file:
        count = write(rows, file)
    with path.open("rb") as written:
        sha256 = hashlib.file_digest(written, "sha256").hexdigest()
    with _replacing(path.with_name(f"{path.name}.sha256")) as file:
        file.write(f"{sha256}  {path.name}\n".encode())
    return count


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _write_jsonl(rows: Rows, file: IO[bytes]) -> int:
    count = 0
    for entry, sha256 in rows:
        file.write(b'{"run":%b,"sha256":"%b"}\n' % (canonical(entry), sha256.encode()))
        count += 1
    return count


def _write_parquet(rows: Rows, file: IO[bytes]) -> int:
    import pyarrow as pa  # noqa: PLC0415  (100 MB, and half a second, that nothing else needs)
    import pyarrow.parquet as pq  # noqa: PLC0415

    fields = {field.name: _column(field.type) for field in msgspec.structs.fields(LedgerEntry)}
    types = {
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
        "time": pa.timestamp("us", tz="UTC"),
        "number": pa.float64(),
        "whole": pa.int64(),
        "truth": pa.bool_(),
    }
    schema = pa.schema(
        [(name, types[kind]) for name, (kind, _) in fields.items()]
        + [("canonical_json", pa.string()), ("sha256", pa.string())]
    )
    count = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for some in _in_batches(rows):
            values = zip(*[msgspec.structs.astuple(entry) for entry, _ in some], strict=True)
            columns: dict[str, Sequence[Any]] = {
                name: of_all if convert is _same else [convert(value) for value in of_all]
                for (name, (_, convert)), of_all in zip(fields.items(), values, strict=True)
            }
            columns["canonical_json"] = [canonical(entry).decode() for entry, _ in some]
            columns["sha256"] = [sha256 for _, sha256 in some]
            writer.write_table(pa.table(columns, schema=schema))
            count += len(some)
    return count


def _in_batches(rows: Rows) -> Generator[list[tuple[LedgerEntry, str]], None, None]:
    left = iter(rows)
    while some := list(islice(left, _AT_A_TIME)):
        yield some


def _same(value: Any) -> Any:
    return value


def _double(value: Any) -> float | None:
    # By way of a decimal, so that a number beyond all doubles is infinite and no error.
    return None if value is None else float(Decimal(value))


def _column(kind: Any) -> tuple[str, Callable[[Any], Any]]:
    """The kind of column for a field, and how a value gets into it. Counts may be of any size, so they are doubles."""
    types = set(get_args(kind) or (kind,)) - {type(None)}
    if get_origin(kind) is list:
        return "texts", _same
    if datetime in types:
        return "time", _same
    if Decimal in types or (int in types and type(None) in get_args(kind)):
        return "number", _double
    if float in types:
        return "number", _same
    if bool in types:
        return "truth", _same
    return ("whole", _same) if int in types else ("text", _same)


_WRITERS: dict[ExportFormat, Callable[[Rows, IO[bytes]], int]] = {
    ExportFormat.JSONL: _write_jsonl,
    ExportFormat.PARQUET: _write_parquet,
}
