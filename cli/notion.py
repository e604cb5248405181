"""`breakwater notion`: look whether Notion can take what is written there."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from cli.options import fail_usage
from config.settings import load_settings
from lifecycle.notion.check import DatabaseReport, check_databases
from lifecycle.notion.client import NotionClient
from lifecycle.notion.kinds import NotionKind

notion = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Look whether Notion can take what is written there."
)

_VARIABLES = {
    NotionKind.CASE: "NOTION_CASES_DB_ID",
    NotionKind.TASK: "NOTION_TASKS_DB_ID",
    NotionKind.RECEIPT: "NOTION_RUN_RECEIPTS_DB_ID",
    NotionKind.REVIEW: "NOTION_REVIEWS_DB_ID",
    NotionKind.RUN: "NOTION_RUNS_LEDGER_DB_ID",
}

_HINTS = {
    "unauthorized": "the token is not good, or was revoked",
    "restricted_resource": "the integration may not do that: let it read, insert and update content",
    "object_not_found": "there is no such database, or it is not shared with the integration",
    "validation_error": "that is no id of a database; take the 32 digits of its address",
    "unreachable": "no answer from Notion",
    "busy": "Notion is busy; try again later",
    "garbage": "what answers there is not Notion",
}


@notion.callback()
def _group() -> None:
    """Keep `check` a command of its own."""


@notion.command()
def check(
    add_missing: Annotated[bool, typer.Option(help="Add the columns that are missing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Name what each database lacks: exit 0 when nothing is wrong, 1 when something is, 2 without NOTION_TOKEN."""
    access = load_settings().notion
    if access is None:
        fail_usage("NOTION_TOKEN is not set")
    with NotionClient(access) as client:
        reports = check_databases(client, access, add_missing=add_missing)
    for report in reports:
        typer.echo(json.dumps({"variable": _VARIABLES[report.kind], **asdict(report)}) if as_json else _words(report))
    raise typer.Exit(0 if all(report.is_well for report in reports) else 1)


def _words(report: DatabaseReport) -> str:
    name = _VARIABLES[report.kind]
    if not report.configured:
        return f"{name} is not set: nothing is written there"
    if report.fault is not None:
        hint = _HINTS.get(report.fault)
        return f"{name}: {report.fault}" + ("" if hint is None else f" ({hint})")
    if report.is_well:
        return f"{name}: well"
    faults = [
        *(f"  {column} is missing; make it a {_type(kind)}" for column, kind in report.missing.items()),
        *(
            f"  {column} has a type that can't hold it; make it a {_types(kinds)}"
            for column, kinds in report.unfit.items()
        ),
        *(f"  {column} does not offer {', '.join(lacking)}" for column, lacking in report.options.items()),
    ]
    return "\n".join([f"{name}:", *faults])


def _type(kind: str) -> str:
    return {"rich_text": "text", "multi_select": "multi-select"}.get(kind, kind)


def _types(kinds: object) -> str:
    assert isinstance(kinds, tuple)
    return " or ".join(_type(kind) for kind in kinds)
