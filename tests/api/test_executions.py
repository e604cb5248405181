"""`/v1/executions`: whoever wants to start a run asks here (40.1, 40.5)."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import schemathesis
import sqlalchemy as sa
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings

from lifecycle import tables
from lifecycle.admission.predicate import MESSAGES
from lifecycle.breaker.blacklist_store import BlacklistStore
from lifecycle.kinds import RefusalCode, Trigger
from tests.api.executions_given import Log, executions_app, gate, service
from tests.api.test_schemathesis import CONFIG
from tests.api.v1_given import bearer, staff_token, token
from tests.lifecycle.admission_given import STATES, blacklist, given_states
from tests.lifecycle.given import rows

EXECUTIONS = "/v1/executions"


@pytest.fixture
def log() -> Log:
    """The log of events."""
    return Log()


@pytest.fixture
def http(engine: sa.Engine, log: Log) -> Iterator[TestClient]:
    """The gate, and a workflow in every state."""
    given_states(engine)
    with gate(engine, log) as client:
        yield client


def ask(http: TestClient, workflow_id: str = "live", key: str = "k1", **changes: Any) -> tuple[int, dict[str, Any]]:
    """Ask as a service for all tenants; the status and the body."""
    headers = changes.pop("headers", None) or service()
    body = {"workflow_id": workflow_id, "trigger": "schedule", "idempotency_key": key, **changes}
    response = http.post(EXECUTIONS, json=body, headers=headers)
    found: dict[str, Any] = response.json()
    return response.status_code, found


@pytest.mark.parametrize("trigger", Trigger)
@pytest.mark.parametrize("state", STATES)
def test_every_way_to_start_a_run_asks_the_same_gate(
    http: TestClient, engine: sa.Engine, state: str, trigger: Trigger
) -> None:
    code = STATES[state][1]
    status, said = ask(http, state, trigger=trigger)
    if code is None:
        assert (status, said["verdict"], said["code"]) == (201, "admitted", None)
    else:
        assert (status, said["error_code"], said["message"]) == (409, code, MESSAGES[code])
    (kept,) = rows(engine, tables.admissions)
    assert (kept["workflow_id"], kept["trigger"], kept["code"]) == (state, trigger, code)


def test_a_blacklisted_workflow_is_refused_in_the_words_that_callers_know(http: TestClient) -> None:
    status, said = ask(http, "blacklisted")
    assert status == 409
    assert said["error_code"] == "workflow_blacklisted"
    assert said["message"] == "Workflow is blacklisted"
    assert set(said) == {"error_code", "message", "details", "request_id"}


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        pytest.param({"workflow_id": "nobody's"}, 404, "not_found", id="a workflow that nobody knows"),
        pytest.param({"trigger": "manual"}, 409, "idempotency_key_reused", id="a key that was used"),
        pytest.param({"trigger": "moon phase"}, 422, "malformed", id="no such trigger"),
        pytest.param({"idempotency_key": ""}, 422, "malformed", id="an empty key"),
        pytest.param({"idempotency_key": "k" * 129}, 422, "malformed", id="a key that is too long"),
        pytest.param({"idempotency_key": "\x00"}, 422, "malformed", id="a key that can't be stored"),
        pytest.param({"workflow_id": "w" * 20_000}, 413, "body_too_large", id="a body that is too large"),
    ],
)
def test_what_can_not_be_answered_is_said(http: TestClient, asked: dict[str, str], status: int, code: str) -> None:
    assert ask(http)[0] == 201
    found, said = ask(http, **asked)
    assert (found, said["error_code"]) == (status, code)


def test_the_same_key_gets_the_same_answer(http: TestClient, engine: sa.Engine) -> None:
    first = ask(http)
    with engine.begin() as connection:
        blacklist(connection, "live")
    assert ask(http) == first
    assert ask(http, key="k2")[1]["error_code"] == "workflow_blacklisted"
    found = http.get(f"{EXECUTIONS}/{first[1]['execution_id']}", headers=service(["t1"]))
    assert (found.status_code, found.json()) == (200, first[1])


def test_a_refused_run_is_found_by_its_caller(http: TestClient, engine: sa.Engine) -> None:
    ask(http, "paused")
    (kept,) = rows(engine, tables.admissions)
    found = http.get(f"{EXECUTIONS}/{kept['execution_id']}", headers=service()).json()
    assert (found["verdict"], found["code"]) == ("refused", "automation_paused")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        pytest.param({}, 401, "unauthenticated", id="nobody"),
        pytest.param(bearer("wrk_api_live_x"), 401, "unauthenticated", id="a customer's API key"),
        pytest.param(bearer("no token"), 401, "unauthenticated", id="no token at all"),
        pytest.param(bearer(token("admin")), 403, "forbidden", id="a tenant's admin"),
        pytest.param(bearer(staff_token("platform_admin")), 403, "forbidden", id="a platform admin"),
        pytest.param(service(["t2"]), 404, "not_found", id="another tenant's service"),
        pytest.param(service(["t1"]), 201, None, id="the tenant's service"),
        pytest.param(service(["t1", "t2"]), 201, None, id="a service of both"),
    ],
)
def test_services_of_the_tenant_alone_may_ask(
    http: TestClient, headers: dict[str, str], status: int, code: str | None
) -> None:
    for _ in range(2):  # remembered or not
        found, said = ask(http, headers=headers or {"X-Nothing": "1"})
        assert (found, said.get("error_code")) == (status, code)


def test_checking_admits_nothing_and_answers_by_the_same_rules(http: TestClient, engine: sa.Engine) -> None:
    def check(workflow_id: str) -> tuple[int, dict[str, Any]]:
        found = http.get(f"{EXECUTIONS}/check", params={"workflow_id": workflow_id}, headers=service(["t1"]))
        return found.status_code, found.json()

    for state, (_, code) in STATES.items():
        message = None if code is None else MESSAGES[code]
        wanted = {"workflow_id": state, "may_start": code is None, "code": code, "message": message}
        assert check(state) == (200, wanted)
    assert check("wf2")[0] == check("nobody's")[0] == 404
    assert rows(engine, tables.admissions) == []


def test_hundreds_at_once_share_transactions_and_each_gets_its_own_answer(http: TestClient, engine: sa.Engine) -> None:
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda number: ask(http, key=f"k{number % 200}"), range(400)))
    assert {status for status, _ in found} == {201}
    assert len({said["execution_id"] for _, said in found}) == 200
    assert len(rows(engine, tables.admissions)) == 200


class TestHanging:
    """A service says that an execution hangs."""

    def report(self, http: TestClient, execution: str = "e1", **changes: Any) -> tuple[int, dict[str, Any]]:
        headers = changes.pop("headers", None) or service()
        body = {"workflow_id": "live", **changes}
        response = http.post(f"{EXECUTIONS}/{execution}/stuck", json=body, headers=headers)
        found: dict[str, Any] = response.json()
        return response.status_code, found

    def test_it_enters_the_stream_as_an_event_with_an_id_of_its_own(self, http: TestClient, log: Log) -> None:
        moment = datetime.now(UTC) - timedelta(minutes=1)
        status, said = self.report(http, occurred_at=moment.isoformat())
        assert self.report(http)[1] == said
        assert self.report(http, "e2")[1] != said
        key, value = log.records[0]
        event = json.loads(value)
        assert (status, key, event.pop("event_id")) == (202, b"live", said["event_id"])
        assert datetime.fromisoformat(event.pop("occurred_at")) == moment
        assert event == {
            "status": "timed_out",
            "tenant_id": "t1",
            "workflow_id": "live",
            "automation_version_id": "v live",
            "execution_id": "e1",
        }

    def test_a_time_that_is_to_come_is_not_believed(self, http: TestClient, log: Log) -> None:
        later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        status, said = self.report(http, occurred_at=later)
        assert (status, said["error_code"], log.records) == (422, "future_timestamp", [])

    def test_the_workflow_must_be_its_own(self, http: TestClient, log: Log) -> None:
        assert self.report(http, headers=service(["t2"]))[0] == 404
        assert self.report(http, workflow_id="nobody's")[0] == 404
        assert log.records == []

    def test_without_the_log_it_is_to_be_sent_again(self, http: TestClient, log: Log) -> None:
        log.is_away = True
        status, said = self.report(http)
        assert (status, said["error_code"]) == (503, "kafka_away")


NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"


def test_without_postgres_nothing_is_admitted_and_redis_can_say_no(engine: sa.Engine, redis_url: str, log: Log) -> None:
    given_states(engine)
    store = BlacklistStore(engine, redis_url)
    store.start()
    try:
        with gate(sa.create_engine(NOWHERE), log, blacklist=store) as http:
            status, said = ask(http, "blacklisted", headers=service(["t1"]))
            assert (status, said["error_code"]) == (409, "workflow_blacklisted")
            status, said = ask(http, "live", headers=service(["t1"]))
            assert (status, said["error_code"]) == (503, "admission_unavailable")
    finally:
        store.close()


def test_with_redis_and_postgres_away_nothing_is_admitted(log: Log) -> None:
    nowhere = sa.create_engine(NOWHERE)
    store = BlacklistStore(nowhere, "redis://127.0.0.1:1/0")
    with gate(nowhere, log, blacklist=store) as http:
        for headers in (service(["t1"]), service()):
            response = http.post(
                EXECUTIONS,
                json={"workflow_id": "live", "trigger": "api", "idempotency_key": "k1"},
                headers=headers,
            )
            assert (response.status_code, response.json()["error_code"]) == (503, "admission_unavailable")
            assert response.headers["Retry-After"]
        checked = http.get(f"{EXECUTIONS}/check", params={"workflow_id": "live"}, headers=service(["t1"]))
        assert checked.status_code == 503
    store.close()


@pytest.mark.parametrize("who", ["service", "member", "nobody"])
def test_no_request_gets_an_answer_that_is_not_documented(engine: sa.Engine, log: Log, who: str) -> None:
    given_states(engine)
    url = engine.url.render_as_string(hide_password=False)
    app = executions_app(url, log.publish)
    schema = schemathesis.openapi.from_asgi("/v1/executions/openapi.json", app, config=CONFIG)
    headers = {"service": service(), "member": bearer(token("admin")), "nobody": {}}[who]
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=15,
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


def test_codes_are_the_lifecycles(http: TestClient) -> None:
    document = http.get("/v1/executions/openapi.json").json()
    assert document["components"]["schemas"]["RefusalCode"]["enum"] == [code.value for code in RefusalCode]


@pytest.mark.parametrize(("who", "code"), [("nobody", 401), ("a bad token", 401), ("a person", 403)])
def test_a_body_that_is_none_is_told_only_to_services(engine: sa.Engine, who: str, code: int) -> None:
    headers = {"nobody": {}, "a bad token": bearer("none"), "a person": bearer(token("viewer"))}
    json_body = {"Content-Type": "application/json"}
    with gate(engine, Log()) as http:
        refused = http.post("/v1/executions", content=b"{", headers={**json_body, **headers[who]})
        told = http.post("/v1/executions", content=b"{", headers={**json_body, **service()})
    assert refused.status_code == code
    assert told.status_code == 422
