"""Automation versions: read them, and move them (30.7)."""

from datetime import datetime
from typing import Annotated

from fastapi import Header, Query, Response

from api.status_requests import request_status
from api.v1.context import ContextOfRequest, RowId, storable_or_nothing
from api.v1.entered import entered_router
from api.v1.forms import (
    History,
    HistoryStep,
    Moves,
    StatusRequest,
    StatusResponse,
    UnblockRequest,
    Version,
    VersionPage,
)
from api.v1.forms import Move as MoveForm
from lifecycle.automations import list_versions, read_history, read_version
from lifecycle.checklists import possible_moves
from lifecycle.credential_unblocking import UnblockMode, request_unblock_for_credentials
from lifecycle.errors import Detail, ErrorCode, LifecycleError
from lifecycle.results import Hints, StatusResult
from lifecycle.statuses import Status
from lifecycle.unblocking import unblock

router = entered_router(prefix="/automation-versions", tags=["automation versions"])

IfMatch = Annotated[str | None, Header(description="an ETag of an earlier answer")]
After = Annotated[str | None, Query(max_length=128, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]


@router.get("")
def list_automation_versions(
    context: ContextOfRequest,
    status: Annotated[Status | None, Query()] = None,
    automation_id: Annotated[str | None, Query(max_length=128)] = None,
    after: After = None,
    limit: Limit = 50,
) -> VersionPage:
    """The versions of all tenants that the one who asks may see, by id."""
    with context.access.read() as connection:
        found, following = list_versions(
            connection,
            status=status,
            automation_id=storable_or_nothing(automation_id),
            after=storable_or_nothing(after),
            limit=limit,
        )
    return VersionPage(items=[Version.model_validate(one) for one in found], next=following)


@router.get("/{version_id}")
def read_automation_version(context: ContextOfRequest, version_id: RowId, response: Response) -> Version:
    """One version, with an ETag for `If-Match`."""
    with context.access.read_of("automation_version", version_id) as (connection, tenant_id):
        found = read_version(connection, tenant_id, version_id)
    response.headers["ETag"] = etag(found.updated_at)
    return Version.model_validate(found)


@router.get("/{version_id}/history")
def read_version_history(context: ContextOfRequest, version_id: RowId, limit: Limit = 200) -> History:
    """Its steps, newest first."""
    with context.access.read_of("automation_version", version_id) as (connection, tenant_id):
        read_version(connection, tenant_id, version_id)
        steps = read_history(connection, tenant_id, version_id, limit=limit)
    return History(items=[HistoryStep.model_validate(step) for step in steps])


@router.get("/{version_id}/transitions")
def read_version_transitions(context: ContextOfRequest, version_id: RowId) -> Moves:
    """Where it can go, whether the one who asks may, and what is missing."""
    with context.access.read_of("automation_version", version_id) as (connection, tenant_id):
        moves = possible_moves(
            connection, tenant_id, version_id, actor_context=context.access.actor, options=context.options
        )
    return Moves(items=[MoveForm.model_validate(move) for move in moves])


@router.patch("/{version_id}/status")
def change_version_status(
    context: ContextOfRequest,
    version_id: RowId,
    body: StatusRequest,
    response: Response,
    if_match: IfMatch = None,
) -> StatusResponse:
    """Move a version. What that means depends on where it is: a delivery step, a block, an unblock, a deploy, …"""
    try:
        requested = Status(body.status)
    except ValueError:
        raise LifecycleError(
            ErrorCode.UNKNOWN_STATUS,
            "There is no such status.",
            [Detail("unknown_status", "status", f"One of: {', '.join(Status)}.")],
        ) from None
    tenant_id = context.access.owner("automation_version", version_id)
    result = request_status(
        context.access,
        context.transact(tenant_id),
        context.platform,
        tenant_id=tenant_id,
        automation_version_id=version_id,
        requested=requested,
        hints=_hints(body, if_match),
        reason=body.reason if body.reason is not None else body.deployment_reason,
        blocked_reason=body.blocked_reason,
        status_metadata=body.status_metadata,
        override=body.override,
        options=context.options,
    )
    return _answer(result, response)


@router.post("/{version_id}/unblock")
def unblock_version(
    context: ContextOfRequest,
    version_id: RowId,
    body: UnblockRequest,
    response: Response,
    if_match: IfMatch = None,
) -> StatusResponse:
    """End a block: by hand, because the credentials work again, or as an override."""
    tenant_id = context.access.owner("automation_version", version_id)
    with context.access.write(tenant_id) as connection:
        if body.mode == "credentials_verified":
            result = request_unblock_for_credentials(
                connection,
                tenant_id=tenant_id,
                automation_version_id=version_id,
                actor_context=context.access.actor,
                mode=UnblockMode.VERIFIED,
                reason=body.reason,
                options=context.options,
            )
        else:
            result = unblock(
                connection,
                tenant_id=tenant_id,
                automation_version_id=version_id,
                actor_context=context.access.actor,
                hints=_hints(body, if_match),
                reason=body.reason,
                override=body.mode == "override",
                options=context.options,
            )
    return _answer(result, response)


def etag(updated_at: datetime) -> str:
    """A version's state as an ETag."""
    return f'"{updated_at.isoformat()}"'


def _answer(result: StatusResult, response: Response) -> StatusResponse:
    response.headers["ETag"] = etag(result.automation_version.updated_at)
    return StatusResponse.model_validate(result)


def _hints(body: StatusRequest | UnblockRequest, if_match: str | None) -> Hints:
    updated_at = body.last_known_updated_at
    if if_match is not None and if_match.strip() != "*":
        updated_at = _read_etag(if_match)
        if updated_at is None:
            raise LifecycleError(
                ErrorCode.CONCURRENCY_CONFLICT, "The version is not the one that If-Match names; load it again."
            )
    return Hints(last_known_status=body.last_known_status, last_known_updated_at=updated_at)


def _read_etag(text: str) -> datetime | None:
    try:
        updated_at = datetime.fromisoformat(text.strip().removeprefix("W/").strip('"'))
    except ValueError:
        return None
    return updated_at if updated_at.tzinfo is not None else None
