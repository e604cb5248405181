"""Whatever the OpenAPI document allows, and much that it does not: no answer is undocumented, and none a 500."""

from collections.abc import Iterator

import pytest
import schemathesis
import sqlalchemy as sa
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings

from api.app import ApisFirst
from lifecycle.capabilities import Role
from tests.api.v1_given import EVERYTHING, bearer, given_block, running, staff_token, token
from tests.lifecycle.breaker_given import put_on

CONFIG = schemathesis.Config.from_dict(
    {
        # What is well-formed can still be impossible: that is 400 by the rules of transitions (30.7).
        "checks": {
            "positive_data_acceptance": {"expected-statuses": ["2xx", "400", "401", "403", "404", "409", "502"]}
        },
    }
)


@pytest.fixture
def application(engine: sa.Engine) -> Iterator[FastAPI]:
    """The API alone: its paths are those of its document."""
    with running(engine) as (_, v1, _platform):
        given_block(engine)
        yield v1


ROLES = [*EVERYTHING, "staff", Role.SERVICE.value, "nobody"]


def header_of(role: str) -> dict[str, str]:
    """The token of a role."""
    if role == "nobody":
        return {}
    if role == "staff":
        return bearer(staff_token(*EVERYTHING, Role.PLATFORM_ADMIN))
    if role == Role.SERVICE:
        return bearer(staff_token(subject="service:monitor"))
    return bearer(token(role))


@pytest.fixture
def platform_application(engine: sa.Engine) -> Iterator[FastAPI]:
    """The platform's API alone."""
    with running(engine) as (http, _, _platform):
        (apis,) = [layer.kwargs["apis"] for layer in http.app.user_middleware if layer.cls is ApisFirst]  # type: ignore[attr-defined]
        application = apis["/api/platform"]
        assert isinstance(application, FastAPI)
        put_on(engine)
        yield application


@pytest.mark.parametrize("role", ROLES)
def test_no_request_of_any_role_gets_an_answer_that_is_not_documented(application: FastAPI, role: str) -> None:
    ask_everything(application, role)


@pytest.mark.parametrize("role", ["staff", Role.ADMIN.value, "nobody"])
def test_nor_does_one_of_the_platform_s_api(platform_application: FastAPI, role: str) -> None:
    ask_everything(platform_application, role)


def ask_everything(application: FastAPI, role: str) -> None:
    """Send what the document allows, and some that it does not; check each answer by it."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", application, config=CONFIG)
    headers = header_of(role)
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=6,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=headers)

        check()
