"""`breakwater classify`: one run's record, judged by itself; needs no service and writes nothing (spec 50.8)."""

import sys
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from cli.options import fail_usage
from cli.printable import printable
from config.credit_profiles import ProfileName, load_profile
from dataflows.credit_classify import (
    Classified,
    CreditRecord,
    InvalidRecordError,
    classify_record,
    parse_baseline,
    parse_record,
)
from dataflows.events import MAX_MESSAGE_BYTES


def classify(
    fixture: Annotated[str, typer.Option(help="A run's record, JSON; - is stdin.", metavar="FILE")],
    profile: Annotated[ProfileName, typer.Option(help="The rules to judge by.")] = ProfileName.DEFAULT,
    baseline: Annotated[
        str | None, typer.Option(help="Credits to compare with; the record's own by default.", metavar="N")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say how bad a run's cost is, and why."""
    compared = None if baseline is None else _baseline(baseline)
    try:
        record = parse_record(read_input(fixture))
    except InvalidRecordError as error:
        fail_usage("\n  ".join([f"{fixture}: invalid record", *error.faults]))
    found = classify_record(record, load_profile(profile), compared)
    print(found.model_dump_json() if as_json else _text(record, found))


def read_input(name: str) -> bytes:
    """A file's bytes, or stdin's for `-`, up to one more than a record may have; exit 2 when it can't be read."""
    try:
        if name == "-":
            return sys.stdin.buffer.read(MAX_MESSAGE_BYTES + 1)
        with Path(name).open("rb") as file:
            return file.read(MAX_MESSAGE_BYTES + 1)
    except OSError as error:
        fail_usage(f"{name}: {error.strerror}")


def _baseline(text: str) -> Decimal:
    try:
        return parse_baseline(text)
    except ValueError as error:
        fail_usage(f"--baseline: {error}")


def _text(record: CreditRecord, found: Classified) -> str:
    baseline = "none" if found.baseline_credits is None else f"{found.baseline_credits:,.10g}"
    scenario = record.scenario_name or record.scenario_id or "unknown"
    lines = {
        "Run": record.run_id or "unknown",
        "Scenario": scenario,
        "Credits": f"{record.credits_total:,f} (baseline {baseline})",
        "Severity": found.severity,
        "Misconfig likelihood": f"{found.misconfig_likelihood} (score {found.misconfig_score})",
        "Legit score": str(found.legit_score),
        "Risk flags": ", ".join(found.risk_flags) or "none",
        "Actions": ", ".join(found.actions),
        "Summary": found.risk_summary,
    }
    # What a sender calls its scenario is no business of a terminal's control sequences.
    return "\n".join(f"{name}: {printable(value)}" for name, value in lines.items())
