"""The session of somebody who signed in: their token, in a cookie that scripts and other sites can't read.

A token is signed by whoever gave it and says when it ends, so nothing is kept here: it is verified again with every
request, as the API does, and a key that was withdrawn ends its sessions too.
"""

from datetime import UTC, datetime
from urllib.parse import urlsplit

import jwt
from starlette.requests import Request
from starlette.responses import Response

COOKIE = "breakwater_session"
#: Browsers keep 4,096 bytes of a cookie with its name and attributes.
MAX_TOKEN = 3500
HOME = "/console/tasks"
_MAX_ADDRESS = 1000


def token_of(request: Request) -> str:
    """The token that the browser keeps; empty for none."""
    return request.cookies.get(COOKIE, "")[: MAX_TOKEN + 1]


def begin(response: Response, token: str, *, secure: bool) -> None:
    """Keep a token that was just verified, until it ends. Lax: it is there when a link in a mail leads here."""
    ends = jwt.decode(token, options={"verify_signature": False})["exp"]
    response.set_cookie(
        COOKIE,
        token,
        expires=datetime.fromtimestamp(ends, UTC),
        path="/console",
        httponly=True,
        samesite="lax",
        secure=secure,
    )


def end(response: Response, *, secure: bool) -> None:
    """Forget the token. It stays good until it ends; only its issuer can withdraw it."""
    response.delete_cookie(COOKIE, path="/console", httponly=True, samesite="lax", secure=secure)


def return_address(text: str) -> str:
    """An address of the console, to go on with after signing in; its first page for anything else."""
    plain = text.isascii() and text.isprintable() and "\\" not in text and len(text) <= _MAX_ADDRESS
    if not plain or not text.startswith("/console/") or "//" in text:
        return HOME
    return HOME if text.startswith(("/console/sign-", "/console/operator")) else text


def address_of(request: Request) -> str:
    """Where the browser is: the page that it asks for, or that has the form that it sent."""
    if request.method in ("GET", "HEAD"):
        return return_address(f"{request.url.path}?{request.url.query}".rstrip("?"))
    try:
        page = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return HOME
    return return_address(f"{page.path}?{page.query}".rstrip("?")) if page.netloc == request.url.netloc else HOME
