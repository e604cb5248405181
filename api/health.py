"""Whether the process lives (`/healthz`), and whether it can do its job (`/readyz`)."""

from http import HTTPStatus

import sqlalchemy as sa
from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from api.database import DatabaseOfApp
from lifecycle.migrate import current_revision, newest_revision

router = APIRouter()


@router.get("/healthz")
def alive() -> Response:
    """Answer; that is all it says."""
    return JSONResponse({"status": "alive"})


@router.get("/readyz")
def ready(database: DatabaseOfApp) -> Response:
    """200 when every part works; 503 with the part that does not."""
    try:
        with database.read() as connection:
            found = current_revision(connection)
    except sa.exc.SQLAlchemyError:
        parts = {"database": "does not answer", "schema": "unknown"}
    else:
        fits = found == newest_revision()
        parts = {"database": "ok", "schema": "ok" if fits else "is not the one of this version: breakwater migrate"}
    is_ready = set(parts.values()) == {"ok"}
    return JSONResponse(
        {"status": "ready" if is_ready else "not_ready", "parts": parts},
        HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE,
        {} if is_ready else {"Retry-After": "5"},
    )
