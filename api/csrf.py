"""A form is taken only from the browser and the session that it was given to.

The browser keeps a random token in a cookie; a form carries what that token makes of the session. The cookie is
SameSite=Strict, so another site's page can't have it sent along; nor can it read it, or know the session.
"""

import hashlib
import re
import secrets
from typing import Annotated

from fastapi import Form, HTTPException, Request
from itsdangerous import Signer
from starlette.responses import Response

from api.console import session

COOKIE = "breakwater_form"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def token_of(request: Request) -> str | None:
    """The browser's token; None when it has none, or not one of ours."""
    token = request.cookies.get(COOKIE, "")
    return token if _TOKEN.fullmatch(token) else None


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(32)


def remember_token(response: Response, token: str, *, secure: bool) -> None:
    """Set the cookie, for as long as the browser runs."""
    response.set_cookie(COOKIE, token, path="/console", httponly=True, samesite="strict", secure=secure)


def form_token(request: Request, token: str) -> str:
    """What forms of this browser's session carry."""
    signer = Signer(token, salt="breakwater.form", key_derivation="hmac", digest_method=hashlib.sha256)
    return signer.get_signature(session.token_of(request)).decode()


def require_token(request: Request, token: Annotated[str, Form(alias="form_token", max_length=100)] = "") -> None:
    """A route's dependency: refuse a form that this browser was not given, or not in this session."""
    known = token_of(request)
    if known is None or not secrets.compare_digest(form_token(request, known).encode(), token.encode()):
        raise HTTPException(
            403, "This form has expired, or cookies are switched off. Open the page again, and repeat it there."
        )
