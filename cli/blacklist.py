"""`breakwater blacklist`: workflows that are not started any more (40.4)."""

import json
from typing import Annotated

import typer

from cli.database import transaction
from cli.options import fail_usage
from config.settings import load_settings
from lifecycle.actors import ActorContext
from lifecycle.blacklist_changes import add_to_blacklist, remove_from_blacklist, unknown_workflow, why_in_words
from lifecycle.blacklisted import BlacklistedWorkflow, list_blacklisted, tenants_on_blacklist
from lifecycle.options import LifecycleOptions
from lifecycle.tasks import MAX_PAGE
from lifecycle.workflows import tenant_of_workflow

blacklist = typer.Typer(no_args_is_help=True, add_completion=False, help="List, add and remove blacklisted workflows.")

Workflow = Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow's id.")]
Tenant = Annotated[str | None, typer.Option(help="Whose it is; needed where rows of several tenants bear the id.")]
By = Annotated[str, typer.Option(help="Who does it; stands in the audit.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@blacklist.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(help="Of one tenant only.")] = None,
    removed: Annotated[bool, typer.Option("--removed", help="Those taken off the list instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print what is on the blacklist, newest first."""
    after = None
    with transaction(load_settings()) as connection:
        while True:
            page = list_blacklisted(connection, active=not removed, tenant_id=tenant, after=after, limit=MAX_PAGE)
            for one in page.workflows:
                _print(one, as_json=as_json)
            after = page.next
            if after is None:
                return


@blacklist.command("add")
def add(
    workflow: Workflow,
    reason: Annotated[str, typer.Option(help="Why, at most 500 characters.")],
    tenant: Tenant = None,
    by: By = "operator",
    as_json: AsJson = False,
) -> None:
    """Put a workflow on the blacklist; nothing changes when it is there already."""
    with transaction(load_settings()) as connection:
        owner = tenant_of_workflow(connection, workflow)
        if owner is None or tenant not in (None, owner):
            raise unknown_workflow()
        added = add_to_blacklist(
            connection,
            tenant_id=owner,
            workflow_id=workflow,
            reason=reason,
            actor_context=ActorContext.of_user(by, "cli"),
        )
        (row,) = list_blacklisted(connection, tenant_id=owner, workflow_id=workflow, limit=1).workflows
    if not added.is_new and not as_json:
        typer.echo("it is on the blacklist already:")
    _print(row, as_json=as_json)


@blacklist.command("remove")
def remove(
    workflow: Workflow,
    note: Annotated[str, typer.Option(help="Why it may start again, at most 500 characters.")] = "",
    tenant: Tenant = None,
    by: By = "operator",
    as_json: AsJson = False,
) -> None:
    """Take a workflow off the blacklist; its count begins afresh."""
    settings = load_settings()
    with transaction(settings) as connection:
        owners = [owner for owner in tenants_on_blacklist(connection, workflow, active=True) if tenant in (None, owner)]
        if len(owners) > 1:
            fail_usage("rows of several tenants bear this id; name one with --tenant")
        removed = remove_from_blacklist(
            connection,
            tenant_id=owners[0] if owners else "",
            workflow_id=workflow,
            note=note,
            actor_context=ActorContext.of_user(by, "cli"),
            options=LifecycleOptions.of(settings),
        )
        rows = list_blacklisted(connection, active=False, workflow_id=workflow, tenant_id=owners[0], limit=1).workflows
    if as_json:
        for one in rows:
            _print(one, as_json=True)
    else:
        typer.echo(f"removed {workflow} (row {removed})")


def _print(one: BlacklistedWorkflow, *, as_json: bool) -> None:
    if not as_json:
        window = None if one.window is None else round(one.window.total_seconds())
        since = f"since {one.blacklisted_at.isoformat()}"
        until = "" if one.removed_at is None else f" until {one.removed_at.isoformat()}"
        why = why_in_words(one.reason, one.stuck_count, window)
        typer.echo(f"{one.tenant_id}\t{one.workflow_id}\t{since}{until}\t{why}\tby {one.blacklisted_by}")
        return
    fields = {
        "tenant_id": one.tenant_id,
        "workflow_id": one.workflow_id,
        "workflow_name": one.workflow_name,
        "source": one.source,
        "reason": one.reason,
        "stuck_count": one.stuck_count,
        "blacklisted_at": one.blacklisted_at.isoformat(),
        "blacklisted_by": one.blacklisted_by,
        "removed_at": None if one.removed_at is None else one.removed_at.isoformat(),
        "removed_by": one.removed_by,
        "removal_note": one.removal_note,
        "removal_source": one.removal_source,
    }
    typer.echo(json.dumps(fields, ensure_ascii=False))
