"""Who is at the browser of a console without sign-in: a name that people give themselves.

It is a claim and no proof, so audit rows call it `operator:<name>`: no name can pass for a user id or a service.
"""

from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

from lifecycle.texts import one_line

COOKIE = "breakwater_operator"
MAX_NAME = 80
_PREFIX = "operator:"
_HALF_A_YEAR = 180 * 24 * 3600


def clean_name(text: str) -> str:
    """A name as it is kept: one line, at most `MAX_NAME` characters; empty when nothing is left."""
    return one_line(text.encode("utf-8", "replace").decode(), MAX_NAME)


def name_of(request: Request) -> str | None:
    """The name that this browser keeps."""
    kept = request.cookies.get(COOKIE, "")
    return clean_name(unquote(kept[:2000])) or None


def remember_name(response: Response, name: str) -> None:
    """Keep it in the browser. Lax: it is there too when a link in a mail leads here."""
    response.set_cookie(
        COOKIE, quote(name, safe=""), max_age=_HALF_A_YEAR, path="/console", httponly=True, samesite="lax"
    )


def user_id(name: str) -> str:
    """What tasks and audit rows call somebody of that name."""
    return f"{_PREFIX}{name}"
