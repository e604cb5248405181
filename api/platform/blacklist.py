"""Manage the blacklist (40.4).

A workflow's id is one tenant's at a time, so requests need not name the tenant. Rows outlive a move of the workflow to
another tenant; where rows of several tenants bear the id, `tenant_id` must say which are meant.
"""

from collections.abc import Collection
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

import sqlalchemy as sa
from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth.access import Access
from api.v1.context import ContextOfRequest, RowId, storable_or_nothing
from api.v1.entered import entered_router
from api.v1.forms import Form, Id, Text
from lifecycle.blacklist_changes import MAX_NOTE, add_to_blacklist, remove_from_blacklist, unknown_workflow
from lifecycle.blacklisted import BlacklistedWorkflow, list_blacklisted, tenants_on_blacklist
from lifecycle.capabilities import Capability
from lifecycle.cursors import Order, read_cursor
from lifecycle.errors import Detail, ErrorCode, LifecycleError
from lifecycle.kinds import BlacklistSource
from lifecycle.tasks import MAX_PAGE

router = entered_router(tags=["blacklist"])

#: Rows of a workflow's history that are shown.
MAX_HISTORY = MAX_PAGE


class BlacklistRow(Form):
    """A workflow that is on the blacklist, or was."""

    id: str
    tenant_id: str
    tenant_name: str
    workflow_id: str
    workflow_name: str = Field(description="as it was called then")
    source: BlacklistSource
    reason: str = Field(examples=["auto:stuck:5", "manual:It writes twice."])
    stuck_count: int | None
    threshold: int | None
    window_seconds: int | None
    execution_ids: list[str] = Field(description="those that were stuck, at most 20")
    decision_id: str | None
    blacklisted_at: datetime
    blacklisted_by: str
    removed_at: datetime | None = Field(description="null: it is on the list now")
    removed_by: str | None
    removal_note: str | None
    removal_source: BlacklistSource | None


class BlacklistRows(Form):
    """One page; `next` goes into `cursor`."""

    items: list[BlacklistRow]
    next: str | None


class BlacklistOfWorkflow(Form):
    """Whether a workflow is on the list, and how often it was."""

    workflow_id: str
    active: BlacklistRow | None
    history: list[BlacklistRow] = Field(description="what was taken off, newest first, at most 200")


class AddRequest(BaseModel):
    """A workflow that shall not start any more."""

    model_config = ConfigDict(extra="forbid")

    workflow_id: Id
    reason: Annotated[Text, Field(min_length=1, max_length=MAX_NOTE, pattern=r"\S")]
    tenant_id: Id | None = Field(default=None, description="whose it is; found out when left out")


class RemoveRequest(BaseModel):
    """Why it may start again."""

    model_config = ConfigDict(extra="forbid")

    note: Annotated[Text, Field(max_length=MAX_NOTE)] | None = None
    tenant_id: Id | None = None


Tenant = Annotated[str | None, Query(max_length=128)]


@router.get("/blacklist")
def list_the_blacklist(
    context: ContextOfRequest,
    active: bool = True,
    tenant_id: Tenant = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> BlacklistRows:
    """What is on the list, or (`active=false`) was taken off it; those that were put on it last first."""
    context.access.needs(Capability.PLATFORM)
    after = None if cursor is None else read_cursor(cursor, Order.NEWEST_FIRST)
    with context.access.read() as connection:
        page = list_blacklisted(
            connection, active=active, tenant_id=storable_or_nothing(tenant_id), after=after, limit=limit
        )
    return BlacklistRows(
        items=[_row(one) for one in page.workflows], next=None if page.next is None else str(page.next)
    )


@router.get("/blacklist/{workflow_id}")
def show_a_workflow(context: ContextOfRequest, workflow_id: RowId, tenant_id: Tenant = None) -> BlacklistOfWorkflow:
    """A workflow's row and its history; 404 for one that is unknown and never was on the list."""
    context.access.needs(Capability.PLATFORM)
    named = storable_or_nothing(tenant_id)
    with context.access.read() as connection:
        owners = tenants_on_blacklist(connection, workflow_id, active=None)
        owner = _only(owners, named) if owners else ""
        return _of_workflow(connection, owner or _owner(context.access, workflow_id, named), workflow_id)


@router.post("/blacklist", status_code=HTTPStatus.CREATED, responses={200: {"model": BlacklistOfWorkflow}})
def add_a_workflow(context: ContextOfRequest, body: AddRequest, response: Response) -> BlacklistOfWorkflow:
    """Put a workflow on the list: 201; 200 when it is there already, and nothing changes."""
    context.access.needs(Capability.PLATFORM)
    tenant_id = _owner(context.access, body.workflow_id, body.tenant_id)
    with context.access.write(tenant_id) as connection:
        added = add_to_blacklist(
            connection,
            tenant_id=tenant_id,
            workflow_id=body.workflow_id,
            reason=body.reason,
            actor_context=context.access.actor,
        )
        if not added.is_new:
            response.status_code = HTTPStatus.OK
        return _of_workflow(connection, tenant_id, body.workflow_id)


@router.delete("/blacklist/{workflow_id}")
def remove_a_workflow(
    context: ContextOfRequest, workflow_id: RowId, body: RemoveRequest | None = None
) -> BlacklistOfWorkflow:
    """Take a workflow off the list; its count begins afresh, and its history stays."""
    context.access.needs(Capability.PLATFORM)
    body = body or RemoveRequest()
    with context.access.read() as connection:
        tenant_id = _only(tenants_on_blacklist(connection, workflow_id, active=True), body.tenant_id)
    with context.access.write(tenant_id) as connection:
        remove_from_blacklist(
            connection,
            tenant_id=tenant_id,
            workflow_id=workflow_id,
            note=body.note,
            actor_context=context.access.actor,
            options=context.options,
        )
        return _of_workflow(connection, tenant_id, workflow_id)


def _owner(access: Access, workflow_id: str, named: str | None) -> str:
    """The tenant that a workflow is of; one without a row of its own stands for a version."""
    owner = access.owner("workflow", workflow_id) or access.owner("automation_version", workflow_id)
    if not owner or (named is not None and named != owner):
        raise unknown_workflow()
    return owner


def _only(owners: Collection[str], named: str | None) -> str:
    """The tenant whose rows are meant; empty, in which nothing is found, for none."""
    meant = [owner for owner in owners if named is None or owner == named]
    if len(meant) > 1:
        detail = Detail("tenant_id_required", "tenant_id", "Rows of several tenants bear this id; name one of them.")
        raise LifecycleError(ErrorCode.PRECONDITION_FAILED, "It is not clear whose workflow is meant.", [detail])
    return meant[0] if meant else ""


def _of_workflow(connection: sa.Connection, tenant_id: str, workflow_id: str) -> BlacklistOfWorkflow:
    def rows(*, active: bool) -> list[BlacklistRow]:
        page = list_blacklisted(
            connection, active=active, tenant_id=tenant_id, workflow_id=workflow_id, limit=MAX_HISTORY
        )
        return [_row(one) for one in page.workflows]

    return BlacklistOfWorkflow(
        workflow_id=workflow_id, active=next(iter(rows(active=True)), None), history=rows(active=False)
    )


def _row(found: BlacklistedWorkflow) -> BlacklistRow:
    return BlacklistRow(
        **{name: getattr(found, name) for name in BlacklistRow.model_fields if name != "window_seconds"},
        window_seconds=None if found.window is None else round(found.window.total_seconds()),
    )
