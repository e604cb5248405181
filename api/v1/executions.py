"""`/v1/executions`: services ask here before they start a run, and say when one hangs (40.1, 40.5).

An application of its own beside the rest of the API: it takes the tokens of services alone, answers a thousand requests
a second, and so counts no rates for those that it knows.
"""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, Query
from fastapi import Request as HttpRequest
from fastapi.security import HTTPBearer
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.auth.principal import EVERY_TENANT, Principal
from api.ingest import NotAcknowledgedError
from api.refusals import RETRY_AFTER, refusal
from api.v1.app import on_fault_of_ours
from api.v1.batches import BusyError
from api.v1.context import RowId, findable
from api.v1.errors import RESPONSES, add_error_handlers
from api.v1.execution_forms import Admission, AdmissionRequest, Check, StuckReport, StuckRequest
from api.v1.execution_gate import ExecutionGate, ExecutionParts, UnavailableError
from dataflows.dead_letters import Unusable
from lifecycle.admission.admissions import Answer, Request, Unanswerable
from lifecycle.admission.predicate import MESSAGES
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.kinds import RefusalCode

PREFIX = "/v1/executions"

#: A request has a handful of ids in it.
MAX_BODY = 16 * 1024

_REFUSED: dict[int | str, dict[str, Any]] = {
    **{status: RESPONSES[status] for status in (401, 403, 404, 413, 422, 429)},
    400: {**RESPONSES[400], "description": "A value can't be used."},
    409: {**RESPONSES[409], "description": "The run may not start: `error_code` says why. Never ask again for it."},
    503: {**RESPONSES[503], "description": "Nobody can say now, so it may not start; see `Retry-After`."},
}


def create_executions_app(parts: ExecutionParts) -> FastAPI:
    """Build the application; contacts nothing."""
    gate = ExecutionGate(parts)
    bearer = HTTPBearer(auto_error=False, description="A service's token: its `sub` begins with `service:`.")

    async def let_in(request: HttpRequest, _for_the_document: object = Depends(bearer)) -> frozenset[str] | None:
        address = request.client.host if request.client is not None else ""
        return _tenants(await gate.let_in(request.headers.get("authorization", ""), address))

    async def let_in_first(request: HttpRequest) -> None:
        await let_in(request)

    #: The tenants that the asking service acts for; None: all of them.
    tenants_of_request = Annotated[frozenset[str] | None, Depends(let_in)]

    app = FastAPI(
        title="Breakwater, admission gate",
        version="1",
        description="Every way to start a run asks here first.",
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{PREFIX}/openapi.json",
        responses=_REFUSED,
    )

    @app.post(PREFIX, status_code=HTTPStatus.CREATED, response_model=Admission)
    async def ask_to_start(tenants: tenants_of_request, body: AdmissionRequest) -> Response:
        """Ask to start a run: 201 when it may, 409 with the reason when it may not. The answer is kept by its key."""
        asked = Request(
            workflow_id=body.workflow_id,
            trigger=body.trigger,
            idempotency_key=body.idempotency_key,
            tenants=tenants,
            parent_execution_id=body.parent_execution_id,
        )
        return _said(await gate.admit(asked))

    @app.get(f"{PREFIX}/check")
    async def check(
        tenants: tenants_of_request,
        workflow_id: Annotated[str, Query(min_length=1, max_length=128)],
    ) -> Check:
        """Whether a run would be admitted now. Whoever starts one has to ask for it all the same."""
        code = await gate.check(tenants, findable(workflow_id))
        message = None if code is None else MESSAGES[code]
        return Check(workflow_id=workflow_id, may_start=code is None, code=code, message=message)

    @app.get(f"{PREFIX}/{{execution_id}}")
    async def read_answer(tenants: tenants_of_request, execution_id: UUID) -> Admission:
        """What was answered for an execution, by HTTP or in the stream."""
        found = await gate.find(tenants, str(execution_id))
        if found is None:
            raise LifecycleError(ErrorCode.NOT_FOUND, "Nobody has asked for such an execution.")
        return Admission.model_validate(found)

    @app.post(f"{PREFIX}/{{execution_id:path}}/stuck", status_code=HTTPStatus.ACCEPTED)
    async def report_stuck(
        tenants: tenants_of_request,
        execution_id: RowId,
        body: StuckRequest,
    ) -> StuckReport:
        """Say that an execution hangs. It enters the stream as an event `timed_out`, once."""
        event_id = await gate.report_stuck(tenants, body.workflow_id, execution_id, body.occurred_at)
        return StuckReport(event_id=event_id)

    add_error_handlers(app, let_in_first)
    app.add_exception_handler(UnavailableError, _on_unavailable)
    app.add_exception_handler(BusyError, _on_unavailable)
    app.add_exception_handler(NotAcknowledgedError, _on_not_acknowledged)
    app.add_exception_handler(Unusable, _on_unusable)
    app.add_exception_handler(Exception, on_fault_of_ours)
    return app


class ExecutionsFirst:
    """ASGI middleware: hands `/v1/executions` to its application, with a small body, and the rest on."""

    def __init__(self, app: ASGIApp, executions: ASGIApp) -> None:
        self._app = app
        self._executions = executions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on to one of the two."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path != PREFIX and not path.startswith(f"{PREFIX}/"):
            await self._app(scope, receive, send)
        elif _is_small(scope):
            await self._executions(scope, receive, send)
        else:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            await refusal(status, "body_too_large", "Say the body's length; it is small.")(scope, receive, send)


def _is_small(scope: Scope) -> bool:
    """Whether the body is, which the server then holds to what it says of its length."""
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers:
        return False
    length = headers.get(b"content-length", b"0")
    return length.isdigit() and int(length[:20]) <= MAX_BODY


def _tenants(principal: Principal) -> frozenset[str] | None:
    if principal.tenant_id is not None:
        return frozenset({principal.tenant_id})
    return None if principal.tenants == EVERY_TENANT else frozenset(principal.tenants)


def _said(found: Answer | Unanswerable | RefusalCode) -> Response:
    match found:
        case Answer(code=None):
            content = Admission.model_validate(found).model_dump(mode="json")
            return JSONResponse(content, HTTPStatus.CREATED)
        case Answer(code=RefusalCode() as code) | (RefusalCode() as code):
            return refusal(HTTPStatus.CONFLICT, code, MESSAGES[code])
        case Unanswerable.UNKNOWN_WORKFLOW:
            return refusal(HTTPStatus.NOT_FOUND, ErrorCode.NOT_FOUND, "There is no such workflow.")
        case _:
            message = "The key was used for another workflow or trigger: make a new one for each run."
            return refusal(HTTPStatus.CONFLICT, Unanswerable.KEY_REUSED, message)


def _on_unavailable(_request: HttpRequest, error: Exception) -> Response:
    code = "busy" if isinstance(error, BusyError) else "admission_unavailable"
    return _later(code, "Nobody can say now whether the run may start. Ask again with the same key.")


def _on_not_acknowledged(_request: HttpRequest, _error: Exception) -> Response:
    return _later("kafka_away", "The log of events does not answer. Send the same again later: it counts once.")


def _later(code: str, message: str) -> Response:
    headers = {"Retry-After": str(RETRY_AFTER)}
    return refusal(HTTPStatus.SERVICE_UNAVAILABLE, code, message, headers=headers)


def _on_unusable(_request: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, Unusable)
    return refusal(HTTPStatus.UNPROCESSABLE_ENTITY, error.code.value, "The event can't be used.")
