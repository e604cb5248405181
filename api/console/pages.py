"""Make pages from templates; every value is shown as text."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from api import csrf
from api.console import notices, words
from api.console.amounts import show_amount
from api.console.links import link_pages
from api.console.times import show_age, show_duration, show_time
from api.console.visitor import parts_of


def _age(at: datetime) -> Markup:
    now = datetime.now(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), show_time(at), show_age(at, now))


def _when(at: datetime) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), show_time(at))


def _version_link(version_id: str) -> str:
    return f"/console/automations/{quote(version_id, safe='')}"


_environment = Environment(
    loader=FileSystemLoader(str(files("api") / "templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(age=_age, when=_when, duration=show_duration, call=words.call, actor=words.call_actor)
_environment.filters["version_link"] = _version_link
_environment.filters["amount"] = show_amount
_environment.filters["link_pages"] = link_pages
_environment.globals["words"] = words


def page(
    request: Request, template: str, context: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK
) -> HTMLResponse:
    """A page of the console, with a token for its forms, who looks at it, and the notice of the last form."""
    known = csrf.token_of(request)
    token = known or csrf.new_token()
    html = _environment.get_template(template).render(
        {
            "form_token": csrf.form_token(request, token),
            "visitor": getattr(request.state, "visitor", None),
            "notice": notices.read(request),
            "path": request.url.path,
            **context,
        }
    )
    response = HTMLResponse(html, status)
    if known is None:
        csrf.remember_token(response, token, secure=parts_of(request).secure)
    notices.forget(request, response)
    return response


def fault_page(request: Request, status: HTTPStatus, message: str) -> Response:
    """What went wrong and what to do. Reads neither the database nor the browser's cookies."""
    html = _environment.get_template("fault.html").render(
        {
            "status": status.value,
            "title": _FAULTS.get(status, status.phrase),
            "message": message,
            "path": request.url.path,
            "visitor": None,
            "notice": None,
            "signs_in": _signs_in(request),
        }
    )
    return HTMLResponse(html, status)


def _signs_in(request: Request) -> bool:
    app = request.scope.get("app")  # absent when the guard has refused before the application saw the request
    parts = None if app is None else getattr(app.state, "console", None)
    return parts is not None and parts.sign_in is not None


_FAULTS = {
    HTTPStatus.CONFLICT: "Changed meanwhile",
    HTTPStatus.TOO_MANY_REQUESTS: "Too fast",
    HTTPStatus.BAD_REQUEST: "This address can't be used",
    HTTPStatus.FORBIDDEN: "Not done",
    HTTPStatus.NOT_FOUND: "Nothing here",
    HTTPStatus.METHOD_NOT_ALLOWED: "Not possible here",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Too much",
    HTTPStatus.MISDIRECTED_REQUEST: "Wrong address",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not available right now",
}
