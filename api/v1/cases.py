"""Credit cases: read them, and what people do with them (50.4)."""

from typing import Annotated

import sqlalchemy as sa
from fastapi import Query
from starlette.status import HTTP_201_CREATED

from api.v1.case_forms import (
    Case,
    CaseActionTaken,
    CaseFile,
    CaseHold,
    CasePage,
    CaseRequest,
    CaseResponse,
    CaseRun,
    Released,
    RunReceipt,
)
from api.v1.context import ContextOfRequest, RowId, storable_or_nothing
from api.v1.entered import entered_router
from lifecycle.credits import case_reads
from lifecycle.credits.case_changes import (
    CaseChange,
    acknowledge_case,
    change_case,
    release_holds_of_case,
    reopen_case,
)
from lifecycle.cursors import Order, read_cursor
from lifecycle.kinds import CaseSeverity, CaseStatus

router = entered_router(prefix="/cases", tags=["credit cases"])


@router.get("")
def list_credit_cases(
    context: ContextOfRequest,
    status: Annotated[CaseStatus | None, Query(description="those that are not resolved by default")] = None,
    severity: Annotated[CaseSeverity | None, Query()] = None,
    tenant_id: Annotated[str | None, Query(max_length=128)] = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> CasePage:
    """Cases of all tenants that the one who asks may see, newest first."""
    wanted = case_reads.CaseFilter(status=status, severity=severity, tenant_id=storable_or_nothing(tenant_id))
    after = None if cursor is None else read_cursor(cursor, Order.NEWEST_FIRST)
    with context.access.read() as connection:
        found, following = case_reads.list_cases(connection, wanted, after=after, limit=limit)
    return CasePage(
        items=[Case.model_validate(one) for one in found], next=None if following is None else str(following)
    )


@router.get("/{case_id}")
def read_credit_case(context: ContextOfRequest, case_id: RowId) -> CaseFile:
    """One case with its timeline, what was done about it, and what it holds back."""
    with context.access.read_of("credit_case", case_id) as (connection, _):
        found = case_reads.read_case(connection, case_id)
    return CaseFile(
        case=Case.model_validate(found.case),
        reopened_from=found.reopened_from,
        reopened_as=found.reopened_as,
        runs=[CaseRun.model_validate(run) for run in found.runs],
        actions=[CaseActionTaken.model_validate(action) for action in found.actions],
        receipts=[RunReceipt.model_validate(receipt) for receipt in found.receipts],
        holds=[CaseHold.model_validate(hold) for hold in found.holds],
    )


@router.post("/{case_id}/acknowledge")
def acknowledge_a_case(context: ContextOfRequest, case_id: RowId) -> CaseResponse:
    """Say that somebody looks at it; workflows that wait for that may run again."""
    with context.access.write(context.access.owner("credit_case", case_id)) as connection:
        done = acknowledge_case(connection, case_id=case_id, actor_context=context.access.actor)
        return _answer(connection, case_id, done=done)


@router.patch("/{case_id}")
def change_a_case(context: ContextOfRequest, case_id: RowId, body: CaseRequest) -> CaseResponse:
    """Move it on or resolve it, and say what was found."""
    with context.access.write(context.access.owner("credit_case", case_id)) as connection:
        done = change_case(
            connection,
            case_id=case_id,
            change=CaseChange(**body.model_dump(exclude={"version"})),
            version=body.version,
            actor_context=context.access.actor,
        )
        return _answer(connection, case_id, done=done)


@router.post("/{case_id}/release-holds")
def release_the_holds_of_a_case(context: ContextOfRequest, case_id: RowId) -> Released:
    """Let everything run that it holds back."""
    with context.access.write(context.access.owner("credit_case", case_id)) as connection:
        return Released(holds=release_holds_of_case(connection, case_id=case_id, actor_context=context.access.actor))


@router.post("/{case_id}/reopen", status_code=HTTP_201_CREATED)
def reopen_a_case(context: ContextOfRequest, case_id: RowId) -> CaseResponse:
    """Open another case that goes on from a resolved one."""
    with context.access.write(context.access.owner("credit_case", case_id)) as connection:
        new_id = reopen_case(connection, case_id=case_id, actor_context=context.access.actor, options=context.options)
        return _answer(connection, new_id, done=True)


def _answer(connection: sa.Connection, case_id: str, *, done: bool) -> CaseResponse:
    return CaseResponse(
        case=Case.model_validate(case_reads.read_case(connection, case_id).case), already_applied=not done
    )
