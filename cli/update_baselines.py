"""`breakwater update-baselines`: measure the baselines of stable scenarios now (50.3)."""

import json
from datetime import UTC, datetime

import typer

from cli.credit_work import AsJson, At, By, operator, parse_time, recorded, transaction
from cli.printable import printable
from config.settings import load_settings
from lifecycle.credits.approved_baselines import Baseline
from lifecycle.credits.baseline_file import export_baselines
from lifecycle.credits.baselines import update_baselines as update
from lifecycle.kinds import CreditJob
from lifecycle.options import LifecycleOptions


def update_baselines(at: At = None, by: By = "operator", as_json: AsJson = False) -> None:
    """Measure baselines from the ledger, propose those that change by over half, write the file anew."""
    settings = load_settings()
    moment = datetime.now(UTC) if at is None else parse_time("--at", at)
    options = LifecycleOptions.of(settings)
    with recorded(settings, CreditJob.UPDATE_BASELINES, by) as record:
        with transaction(settings) as connection:
            done = update(connection, moment, actor_context=operator(by), options=options)
        record.made = len(done.updated)
        with transaction(settings) as connection:
            exported = export_baselines(connection, options.baselines_path)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "updated": [told(one) for one in done.updated],
                    "proposed": [told(one) for one in done.proposed],
                    "left": done.left,
                    "file": str(options.baselines_path),
                    "exported": exported,
                },
                ensure_ascii=False,
            )
        )
        return
    typer.echo(f"Baselines updated for {len(done.updated)} scenarios")
    for one in done.updated:
        typer.echo(line(one))
    if done.proposed:
        typer.echo(f"Proposed for {len(done.proposed)}, to be approved:")
        for one in done.proposed:
            typer.echo(f"{line(one)}\t{one.id}")


def told(one: Baseline) -> dict[str, object]:
    """A baseline as JSON."""
    return {
        "id": one.id,
        "tenant_id": one.tenant_id,
        "scenario_id": one.scenario,
        "median_credits": float(one.median_credits),
        "previous_credits": None if one.previous_credits is None else float(one.previous_credits),
        "sample_size": one.sample_size,
        "status": one.status,
        "origin": one.origin,
        "calculated_at": one.calculated_at.isoformat(),
        "effective_at": None if one.effective_at is None else one.effective_at.isoformat(),
    }


def line(one: Baseline) -> str:
    """A baseline as a line."""
    before = "new" if one.previous_credits is None else f"{one.previous_credits:f}"
    moved = f"{before} → {one.median_credits:f}"
    return f"{one.tenant_id}\t{printable(one.scenario)}\t{moved}\t{one.sample_size} runs\t{one.status}"
