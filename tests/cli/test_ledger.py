"""`breakwater ledger`: what it finds, what it writes, and how it ends (50.1)."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import tables
from lifecycle.credits.entry import Head, LedgerEntry, first_break, link
from lifecycle.credits.export import ExportFormat, export_rows
from lifecycle.credits.ledger import append
from tests.lifecycle.test_credit_watch import entry

BEGIN = datetime(2026, 3, 2, 8, tzinfo=UTC)


def run(tenant_id: str, number: int) -> LedgerEntry:
    """A run of a tenant."""
    said = entry(f"RUN-{number}", "SEV4")
    return msgspec.structs.replace(
        said,
        tenant_id=tenant_id,
        credits_total=Decimal(f"{number}.25"),
        input_tokens=10**25 + number,
        risk_flags=["retry_loop"],
        scenario="Ärger \"mit\" \\ 'Zeichen'\n",
    )


@pytest.fixture
def filled(engine: sa.Engine) -> sa.Engine:
    """Three runs of t1 and two of t2; the ledger knows its tenants by name alone."""
    with engine.begin() as connection:
        append(connection, [run("t1", number) for number in range(3)] + [run("t2", number) for number in range(2)])
    return engine


def ledger(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "ledger", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"BREAKWATER_POSTGRES__URL": database_url},
    )


def tamper(engine: sa.Engine) -> None:
    """Change what the second run of t1 cost, as somebody with all rights could."""
    runs = tables.credit_runs
    with engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            sa.update(runs).where(runs.c.tenant_id == "t1", runs.c.seq == 2).values(credits_total=Decimal(1))
        )


def test_a_ledger_that_nobody_touched_holds(filled: sa.Engine, database_url: str) -> None:
    found = ledger(database_url, "verify")
    assert (found.returncode, found.stdout) == (0, "t1: holds\nt2: holds\n")


def test_a_row_that_was_changed_is_found_and_named(filled: sa.Engine, database_url: str) -> None:
    tamper(filled)
    found = ledger(database_url, "verify", "--json")
    assert found.returncode == 1
    assert [json.loads(line) for line in found.stdout.splitlines()] == [
        {
            "tenant_id": "t1",
            "holds": False,
            "seq": 2,
            "what": "the row is not what it was when it was written",
        },
        {"tenant_id": "t2", "holds": True, "rows": 2, "sha256": end_of(filled, "t2")},
    ]
    assert ledger(database_url, "verify", "--tenant", "t2").returncode == 0


def end_of(engine: sa.Engine, tenant_id: str) -> str:
    """The hash of a chain's last row."""
    heads = tables.credit_ledger_heads.c
    with engine.connect() as connection:
        found: str = connection.execute(sa.select(heads.sha256).where(heads.tenant_id == tenant_id)).scalar_one()
    return found


def cut_off(engine: sa.Engine, tenant_id: str, *, rows: int) -> None:
    """Leave so many rows of a chain, and move its head back to them, as somebody with all rights could."""
    runs, heads = tables.credit_runs, tables.credit_ledger_heads
    with engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(sa.delete(runs).where(runs.c.tenant_id == tenant_id, runs.c.seq > rows))
        last = sa.select(runs.c.sha256).where(runs.c.tenant_id == tenant_id, runs.c.seq == rows).scalar_subquery()
        head = heads.c.tenant_id == tenant_id
        if rows:
            connection.execute(sa.update(heads).where(head).values(seq=rows, sha256=last))
        else:
            connection.execute(sa.delete(heads).where(head))


@pytest.mark.parametrize("rows", [2, 0], ids=["the last row", "the whole chain"])
def test_a_tail_cut_off_with_its_head_is_missed_by_what_was_told_before(
    filled: sa.Engine, database_url: str, tmp_path: Path, rows: int
) -> None:
    before = tmp_path / "before.json"
    before.write_text(ledger(database_url, "verify", "--json").stdout)
    with filled.begin() as connection:
        append(connection, [run("t1", 7)])
    arguments = ("verify", "--against", str(before))
    assert ledger(database_url, *arguments).stdout == "t1: holds\nt2: holds\n"
    cut_off(filled, "t1", rows=rows)
    assert ledger(database_url, "verify").returncode == 0
    found = ledger(database_url, *arguments)
    said = "t1: row 3: the row was there before, and is missing\nt2: holds\n"
    assert (found.returncode, found.stdout) == (1, said)
    if rows:
        with filled.begin() as connection:
            append(connection, [run("t1", 8)])
        assert "t1: row 3: the row was another one before" in ledger(database_url, *arguments).stdout


def test_what_is_no_report_of_a_ledger_is_refused(filled: sa.Engine, database_url: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("t1: holds\n")
    found = ledger(database_url, "verify", "--against", str(wrong))
    assert (found.returncode, "is not what" in found.stderr) == (2, True)


def test_rows_whose_chain_s_end_was_taken_away_are_found(filled: sa.Engine, database_url: str) -> None:
    heads = tables.credit_ledger_heads
    with filled.begin() as connection:
        connection.execute(sa.delete(heads).where(heads.c.tenant_id == "t2"))
    found = ledger(database_url, "verify")
    assert found.returncode == 1
    assert found.stdout.startswith("t1: holds\nt2: row ")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["verify", "--tenant", "nobody"], id="a tenant without a run"),
        pytest.param(["export", "--output", "/no/such/folder/ledger.jsonl"], id="a folder that is not there"),
        pytest.param(["export", "--output", "x", "--format", "csv"], id="a format that there is not"),
        pytest.param(["export"], id="no file"),
    ],
)
def test_what_can_t_be_done_ends_with_2(filled: sa.Engine, database_url: str, arguments: list[str]) -> None:
    found = ledger(database_url, *arguments)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr


def test_a_database_that_is_away_ends_with_2() -> None:
    found = ledger("postgresql://nobody@127.0.0.1:9/none", "verify")
    assert found.returncode == 2
    assert "the database can't be reached" in found.stderr


def test_an_export_as_lines_can_be_checked_without_us(filled: sa.Engine, database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    found = ledger(database_url, "export", "--output", str(path))
    assert (found.returncode, found.stdout) == (0, "5 runs\n")
    lines = path.read_bytes().splitlines()
    previous: dict[str, str | None] = {"t1": None, "t2": None}
    for line in lines:
        said = json.loads(line)
        canonical = line.removeprefix(b'{"run":').rpartition(b',"sha256":')[0]
        assert hashlib.sha256(canonical).hexdigest() == said["sha256"]
        assert said["run"]["previous_sha256"] == previous[said["run"]["tenant_id"]]
        previous[said["run"]["tenant_id"]] = said["sha256"]
    beside = path.with_name("ledger.jsonl.sha256").read_text()
    assert beside == f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ledger.jsonl\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["ledger.jsonl", "ledger.jsonl.sha256"]


def test_an_export_of_one_tenant_holds_its_runs_alone(filled: sa.Engine, database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "t2.jsonl"
    assert ledger(database_url, "export", "--tenant", "t2", "--output", str(path)).stdout == "2 runs\n"
    assert {json.loads(line)["run"]["tenant_id"] for line in path.read_bytes().splitlines()} == {"t2"}


def test_an_export_as_parquet_has_columns_and_what_the_hashes_are_of(
    filled: sa.Engine, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.parquet"
    found = ledger(database_url, "export", "--format", "parquet", "--output", str(path))
    assert (found.returncode, found.stdout) == (0, "5 runs\n")
    rows = pq.read_table(path).to_pylist()
    assert [(one["tenant_id"], one["seq"], one["credits_total"]) for one in rows[:2]] == [
        ("t1", 1, 0.25),
        ("t1", 2, 1.25),
    ]
    assert rows[0]["occurred_at"] == BEGIN
    assert rows[0]["input_tokens"] == 1e25
    assert rows[0]["risk_flags"] == ["retry_loop"]
    for one in rows:
        assert hashlib.sha256(one["canonical_json"].encode()).hexdigest() == one["sha256"]


def test_an_export_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text("as it was")

    def failing() -> Iterator[tuple[LedgerEntry, str]]:
        yield run("t1", 1), "0" * 64
        raise RuntimeError

    with pytest.raises(RuntimeError):
        export_rows(failing(), path, ExportFormat.JSONL)
    assert path.read_text() == "as it was"
    assert [one.name for one in tmp_path.iterdir()] == ["ledger.jsonl"]


def changed(entries: list[LedgerEntry], position: int, credits_total: Decimal) -> list[LedgerEntry]:
    """The same rows, but for what one run cost."""
    return [
        msgspec.structs.replace(one, credits_total=credits_total) if number == position else one
        for number, one in enumerate(entries)
    ]


@given(st.integers(1, 8), st.data())
def test_no_row_is_changed_left_out_or_moved_unnoticed(count: int, data: st.DataObject) -> None:
    linked = list(link([run("t1", number) for number in range(count)], Head()))
    head = Head(count, linked[-1][1])
    assert first_break(linked, head, "t1") is None
    position = data.draw(st.integers(0, count - 1))
    entries, hashes = [one for one, _ in linked], [sha256 for _, sha256 in linked]
    tampered = list(zip(changed(entries, position, Decimal(9999)), hashes, strict=True))
    assert first_break(tampered, head, "t1") is not None
    assert first_break(linked[:position] + linked[position + 1 :], head, "t1") is not None
    if count > 1:
        moved = linked[1:] + linked[:1]
        assert first_break(moved, head, "t1") is not None
