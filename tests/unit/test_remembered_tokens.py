"""Who a token is of is remembered for a moment, and no longer than the token is good for."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from api.auth.remembered import LIFETIME, RememberedTokens
from api.auth.tokens import TokenVerifier, mint
from config.settings import Auth

AUTH = Auth(development_key=SecretStr("a key for tests, and for nothing else"))


def token(lifetime: timedelta, now: datetime, subject: str = "service:scheduler") -> str:
    """A token made at that time."""
    return mint(AUTH, subject=subject, roles=[], tenant_id=None, tenants=["t1"], lifetime=lifetime, now=now)


@pytest.mark.parametrize(
    ("lifetime", "after", "is_known"),
    [
        pytest.param(timedelta(hours=1), LIFETIME - timedelta(seconds=1), True, id="a moment later: known"),
        pytest.param(timedelta(hours=1), LIFETIME, False, id="a while later: verified again"),
        pytest.param(timedelta(seconds=5), timedelta(seconds=3), True, id="before it expires: known"),
        pytest.param(timedelta(seconds=5), timedelta(seconds=5), False, id="once it has expired: verified again"),
    ],
)
def test_a_token_is_remembered_for_a_moment(lifetime: timedelta, after: timedelta, is_known: bool) -> None:
    # Whole seconds, as tokens have them; of now, since the library that verifies has no other clock.
    now = datetime.now(UTC).replace(microsecond=0)
    clock = [now.timestamp()]
    tokens = RememberedTokens(TokenVerifier(AUTH), lambda: clock[0])
    text = token(lifetime, now)
    assert tokens.find(text) is None
    principal = tokens.verify(text)
    tokens.remember(text, principal)
    clock[0] += after.total_seconds()
    assert tokens.find(text) == (principal if is_known else None)


def test_so_many_are_remembered_and_the_oldest_forgotten() -> None:
    now = datetime.now(UTC)
    tokens = RememberedTokens(TokenVerifier(AUTH), now.timestamp)
    texts = [token(timedelta(hours=1), now, f"service:{number}") for number in range(1_001)]
    for text in texts:
        tokens.remember(text, tokens.verify(text))
    assert tokens.find(texts[0]) is None
    assert all(tokens.find(text) is not None for text in texts[1:])
