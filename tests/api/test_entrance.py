"""Nobody works with a route before they were let in; and what is counted, in Redis and without it (30.7)."""

from datetime import timedelta
from types import ModuleType

import pytest
import sqlalchemy as sa
from fastapi import APIRouter, Request
from pydantic import SecretStr

from api.auth.entrance import Entrance, NotLetInError, TooManyRequestsError
from api.auth.limits import RateLimits
from api.auth.principal import Principal
from api.auth.tokens import TokenVerifier, mint
from api.database import Database
from api.v1.app import ApiParts, create_token_app
from api.v1.context import Context, ContextOfRequest, Parts
from api.v1.entered import EnteredRoute
from config.settings import Auth
from lifecycle.options import LifecycleOptions
from tests.lifecycle.platform_given import Platform, client

AUTH = Auth(development_key=SecretStr("a key for tests, and for nothing else"))
NOWHERE = "redis://127.0.0.1:1/0"


def entrance(*, redis_url: str | None = None, **limits: str) -> Entrance:
    """One with these rates."""
    auth = AUTH.model_copy(update={f"{name}_limit": rate for name, rate in limits.items()})
    return Entrance(TokenVerifier(auth), RateLimits(auth, redis_url))


def bearer(subject: str) -> str:
    """The header of a good token."""
    token = mint(AUTH, subject=subject, roles=["viewer"], tenant_id="t1", tenants=None, lifetime=timedelta(hours=1))
    return f"Bearer {token}"


def asked(door: Entrance, authorization: str, address: str = "10.0.0.1", *, changes: bool = False) -> str:
    """What became of a request: whose it is, or why not."""
    try:
        return door.let_in(authorization, address, changes=changes).subject
    except NotLetInError:
        return "not let in"
    except TooManyRequestsError as refused:
        return "too many" if refused.wait >= 1 else "too many, but no wait"


@pytest.fixture(params=["redis", "no redis", "redis away"])
def url(request: pytest.FixtureRequest) -> str | None:
    """Where rates are counted."""
    if request.param == "redis":
        found: str = request.getfixturevalue("redis_url")
        return found
    return NOWHERE if request.param == "redis away" else None


def test_requests_of_a_user_are_counted_whether_or_not_the_token_is_new(url: str | None) -> None:
    door, ada, bob = entrance(redis_url=url, user="3/hour"), bearer("ada"), bearer("bob")
    assert [asked(door, ada) for _ in range(4)] == ["ada", "ada", "ada", "too many"]
    assert asked(door, bob) == "bob", "somebody else has a rate of their own"


def test_changes_have_a_rate_besides(url: str | None) -> None:
    door, ada = entrance(redis_url=url, user="100/hour", change="2/hour"), bearer("ada")
    assert [asked(door, ada, changes=True) for _ in range(3)] == ["ada", "ada", "too many"]
    assert asked(door, ada) == "ada", "a read is no change"


def test_whoever_shows_nothing_good_counts_for_their_address(url: str | None) -> None:
    door = entrance(redis_url=url, address="3/hour")
    guesses = ["", "Basic YTpi", "Bearer guessed", "Bearer guessed"]
    assert [asked(door, guess) for guess in guesses] == ["not let in"] * 3 + ["too many"]
    assert asked(door, bearer("ada")) == "too many", "their good tokens too"
    assert asked(door, bearer("ada"), "10.0.0.2") == "ada"


def test_a_request_that_the_address_may_not_make_is_none_of_the_user(url: str | None) -> None:
    door, ada = entrance(redis_url=url, address="1/hour", user="2/hour"), bearer("ada")
    assert [asked(door, ada), asked(door, ada)] == ["ada", "too many"]
    assert [asked(door, ada, "10.0.0.2"), asked(door, ada, "10.0.0.3")] == ["ada", "too many"]


def test_processes_count_together_in_redis(redis_url: str) -> None:
    doors, ada = [entrance(redis_url=redis_url, user="3/hour") for _ in range(2)], bearer("ada")
    assert [asked(doors[number % 2], ada) for number in range(4)] == ["ada", "ada", "ada", "too many"]


def test_the_wait_is_until_the_first_of_the_window_leaves_it(redis_url: str) -> None:
    limits = RateLimits(AUTH.model_copy(update={"user_limit": "1/hour"}), redis_url)
    assert limits.wait_of_user("ada", changes=False) is None
    wait = limits.wait_of_user("ada", changes=False)
    assert wait is not None
    assert 3_000 < wait <= 3_600


def _plain() -> None: ...


def _with_context(context: ContextOfRequest) -> None: ...


def test_a_route_that_lets_in_has_a_context() -> None:
    with pytest.raises(TypeError, match="has no context"):
        EnteredRoute("/open", _plain)


def test_a_part_with_a_route_that_lets_nobody_in_is_refused(engine: sa.Engine) -> None:
    part = ModuleType("part")
    part.router = APIRouter()  # type: ignore[attr-defined]
    part.router.add_api_route("/open", _with_context)
    with Platform() as platform:
        parts = ApiParts(
            Database(engine.url.render_as_string(hide_password=False)),
            TokenVerifier(AUTH),
            RateLimits(AUTH, None),
            client(platform),
            LifecycleOptions(),
        )
        with pytest.raises(TypeError, match="that anybody could use"):
            create_token_app(parts, [part], title="Part", description="")


def test_a_context_gives_no_access_before_somebody_was_let_in(engine: sa.Engine) -> None:
    with Platform() as platform:
        database = Database(engine.url.render_as_string(hide_password=False))
        parts = Parts(entrance(), database, client(platform), LifecycleOptions())
        headers = [(b"authorization", bearer("ada").encode())]
        context = Context(parts, Request({"type": "http", "method": "GET", "headers": headers, "client": None}))
        with pytest.raises(RuntimeError, match="nobody was let in"):
            _ = context.access
        context.let_in()
        assert context.access.principal == Principal(subject="ada", roles=frozenset({"viewer"}), tenant_id="t1")
