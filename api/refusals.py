"""A refusal in the API's one form: code, message, details, request id (30.7)."""

import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import structlog
from starlette.responses import JSONResponse

from lifecycle.errors import Detail

#: Seconds after which a client may ask again.
RETRY_AFTER = 5

_log = structlog.get_logger(__name__)


def refusal(
    status: HTTPStatus,
    code: str,
    message: str,
    details: Sequence[Detail] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A refusal as the API says it. `request_id` is in the log too."""
    request_id = str(uuid.uuid4())
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("request_not_done", request_id=request_id, code=code)
    body = {
        "error_code": code,
        "message": message,
        "details": [{"code": one.code, "field": one.field, "message": one.message} for one in details],
        "request_id": request_id,
    }
    return JSONResponse(body, status, headers=dict(headers or {}))
