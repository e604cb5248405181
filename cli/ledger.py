"""`breakwater ledger`: check what runs cost, and write it out."""

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import sqlalchemy as sa
import typer

from cli.database import usable
from cli.options import fail_usage
from config.database import make_engine
from config.settings import load_settings
from lifecycle.credits.entry import LedgerEntry
from lifecycle.credits.export import ExportFormat, export_rows
from lifecycle.credits.ledger import read_chain, tenants_in_ledger
from lifecycle.credits.ledger import verify as verify_chain
from lifecycle.credits.ledger_anchors import Anchor, anchor_of, missed, read_anchors

ledger = typer.Typer(no_args_is_help=True, add_completion=False, help="Check what runs cost, and write it out.")

Tenant = Annotated[str | None, typer.Option(help="This one alone; all by default.", metavar="ID")]


@ledger.command()
def verify(
    tenant: Tenant = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="What --json printed before: the chains must go on from where they ended then.", metavar="FILE"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Check each tenant's chain: exit 0 when all hold, 1 when one does not, 2 when nothing could be checked.

    A tail that was cut off together with its chain's head is found by --against alone.
    """
    anchors = {} if against is None else _anchors(against)
    broken = 0
    with _snapshot() as connection:
        known = _tenants(connection, tenant)
        for tenant_id in known if tenant is not None else sorted({*known, *anchors}):
            found = verify_chain(connection, tenant_id)
            if found is None and tenant_id in anchors:
                found = missed(connection, anchors[tenant_id])
            broken += found is not None
            if as_json:
                said = _end(connection, tenant_id) if found is None else {"seq": found.seq, "what": found.what}
                typer.echo(json.dumps({"tenant_id": tenant_id, "holds": found is None, **said}))
            else:
                typer.echo(f"{tenant_id}: {'holds' if found is None else f'row {found.seq}: {found.what}'}")
    raise typer.Exit(1 if broken else 0)


def _anchors(path: Path) -> dict[str, Anchor]:
    try:
        return {anchor.tenant_id: anchor for anchor in read_anchors(path.read_bytes().splitlines())}
    except OSError as error:
        fail_usage(f"{path}: {error.strerror}")
    except msgspec.DecodeError:
        fail_usage(f"{path}: is not what `ledger verify --json` prints")


def _end(connection: sa.Connection, tenant_id: str) -> dict[str, object]:
    end = anchor_of(connection, tenant_id)
    return {} if end is None else {"rows": end.rows, "sha256": end.sha256}


@ledger.command()
def export(
    output: Annotated[Path, typer.Option(help="Where to; <FILE>.sha256 comes beside it.", metavar="FILE")],
    form: Annotated[ExportFormat, typer.Option("--format")] = ExportFormat.JSONL,
    tenant: Tenant = None,
) -> None:
    """Write all rows with their hashes to a file, tenant after tenant."""
    with _snapshot() as connection:
        rows = _rows(connection, _tenants(connection, tenant))
        try:
            count = export_rows(rows, output, form)
        except OSError as error:
            fail_usage(f"{output}: {error.strerror}")
    typer.echo(f"{count} runs")


@contextmanager
def _snapshot() -> Iterator[sa.Connection]:
    """One moment of the ledger, however long reading it takes; exit 2 when the database can't be reached."""
    engine = make_engine(load_settings().postgres)
    try:
        with (
            usable(fail_usage),
            engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
        ):
            yield connection
    finally:
        engine.dispose()


def _tenants(connection: sa.Connection, tenant: str | None) -> list[str]:
    known = tenants_in_ledger(connection)
    if tenant is None:
        if not known:
            typer.echo("breakwater: the ledger has no run", err=True)
        return known
    if tenant not in known:
        fail_usage("--tenant: the ledger has no run of this tenant")
    return [tenant]


def _rows(connection: sa.Connection, tenants: list[str]) -> Generator[tuple[LedgerEntry, str], None, None]:
    for tenant_id in tenants:
        yield from read_chain(connection, tenant_id)
