"""`breakwater baselines`: what scenarios' runs are compared with (50.3)."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.credit_work import AsJson, By, operator, transaction
from cli.options import fail_usage
from cli.update_baselines import line, told, update_baselines
from config.credit_baselines import UnusableBaselinesError, parse_baselines
from config.settings import load_settings
from lifecycle.credits.approved_baselines import IN_FORCE, list_baselines
from lifecycle.credits.baseline_file import export_baselines
from lifecycle.credits.baselines import (
    ImportedBaseline,
    approve_baseline,
    import_baselines,
    lock_baselines,
    reject_baseline,
)
from lifecycle.kinds import BaselineStatus
from lifecycle.options import LifecycleOptions

baselines = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Show, update, approve, export and import baselines."
)
baselines.command("update")(update_baselines)

Id = Annotated[str, typer.Argument(metavar="ID", help="The proposal's id, as `show --proposed` tells it.")]


@baselines.command("show")
def show(
    tenant: Annotated[str | None, typer.Option(help="Of one tenant only.")] = None,
    scenario: Annotated[str | None, typer.Option(help="Of one scenario only.")] = None,
    proposed: Annotated[bool, typer.Option("--proposed", help="Those that wait for approval.")] = False,
    history: Annotated[bool, typer.Option("--history", help="All that ever were, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the baselines in force."""
    if proposed and history:
        fail_usage("--history has those that are proposed, too: give one of it and --proposed")
    statuses = tuple(BaselineStatus) if history else (BaselineStatus.PROPOSED,) if proposed else IN_FORCE
    with transaction(load_settings()) as connection:
        found = list_baselines(connection, tenant_id=tenant, scenario=scenario, statuses=statuses)
    if as_json:
        typer.echo(json.dumps({"baselines": [told(one) for one in found]}, ensure_ascii=False))
        return
    if not found:
        which = "there never was one" if history else "none waits for approval" if proposed else "none is in force"
        typer.echo(f"breakwater: {which}", err=True)
    for one in found:
        typer.echo(f"{line(one)}\t{one.id}")


@baselines.command("approve")
def approve(
    baseline: Id,
    reject: Annotated[bool, typer.Option("--reject", help="Leave the baseline as it is instead.")] = False,
    by: By = "operator",
    as_json: AsJson = False,
) -> None:
    """Put a proposed baseline into force."""
    settings = load_settings()
    with transaction(settings) as connection:
        lock_baselines(connection)
        waiting = list_baselines(connection, statuses=(BaselineStatus.PROPOSED,))
        found = next((one for one in waiting if one.id == baseline), None)
        if found is None:
            fail_usage("no such baseline waits for approval")
        if reject:
            reject_baseline(connection, tenant_id=found.tenant_id, baseline_id=baseline, actor_context=operator(by))
        else:
            found = approve_baseline(
                connection, tenant_id=found.tenant_id, baseline_id=baseline, actor_context=operator(by)
            )
    with transaction(settings) as connection:
        export_baselines(connection, LifecycleOptions.of(settings).baselines_path)
    status = BaselineStatus.REJECTED if reject else found.status
    typer.echo(json.dumps({**told(found), "status": status}) if as_json else f"{status} {found.scenario}")


@baselines.command("export")
def export(
    to: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to; CREDIT_BASELINES_PATH by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the baselines in force to their file."""
    settings = load_settings()
    path = to or settings.credit_baselines_path
    with transaction(settings) as connection:
        count = export_baselines(connection, path)
    typer.echo(json.dumps({"file": str(path), "exported": count}) if as_json else f"{count} baselines to {path}")


@baselines.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="As `export` writes it.")],
    by: By = "operator",
    as_json: AsJson = False,
) -> None:
    """Put the baselines of a file into force: all of them, or with any fault none."""
    try:
        document = parse_baselines(source.read_bytes())
    except UnusableBaselinesError as error:
        fail_usage("\n  ".join([f"{source}: no usable baselines", *error.faults]))
    except OSError as error:
        fail_usage(f"{source}: {error.strerror}")
    imported = [
        ImportedBaseline(
            tenant_id=one.tenant_id,
            scenario=one.scenario_id,
            median_credits=one.median_credits,
            job_type=one.job_type,
            sample_size=one.sample_size or 0,
            calculated_at=one.calculated_at,
        )
        for one in document.baselines
    ]
    settings = load_settings()
    with transaction(settings) as connection:
        changed = import_baselines(connection, imported, actor_context=operator(by))
    with transaction(settings) as connection:
        export_baselines(connection, LifecycleOptions.of(settings).baselines_path)
    if as_json:
        typer.echo(json.dumps({"imported": [told(one) for one in changed]}, ensure_ascii=False))
    else:
        typer.echo(f"{len(changed)} of {len(imported)} baselines changed")
