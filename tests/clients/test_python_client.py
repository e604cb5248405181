"""`clients/python` against `breakwater api`, and against whatever may stand between the two."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from breakwater_client import (
    AsyncClient,
    Client,
    Fallback,
    KeyReusedError,
    MalformedRequestError,
    NotLetInError,
    Options,
    Trigger,
    UnavailableError,
    UnknownWorkflowError,
    Verdict,
)

from cli.embedded.kafka import MockKafka
from config.settings import Kafka
from lifecycle import kinds, tables
from tests.api.executions_given import service
from tests.api.v1_given import AUTH
from tests.interop.interop_given import read_topic
from tests.lifecycle.admission_given import STATES, blacklist, given_states
from tests.lifecycle.given import rows
from tests.lifecycle.http_server import Answer, PostServer

TOKEN = service()["Authorization"].removeprefix("Bearer ")
PATIENT = Options(timeout=timedelta(seconds=20), deadline=timedelta(seconds=60))
#: Tries as often as it may, without waiting long.
QUICK = Options(
    timeout=timedelta(seconds=20),
    deadline=timedelta(seconds=60),
    first_pause=timedelta(milliseconds=1),
    longest_pause=timedelta(milliseconds=1),
)


@pytest.fixture
def url(engine: sa.Engine, database_url: str, redis_url: str, mock_kafka: MockKafka) -> Iterator[str]:
    """`breakwater api`, and a workflow in every state."""
    given_states(engine)
    mock_kafka.create_topic("run_events", 2)
    with an_api(database_url, redis_url, mock_kafka) as (address, _):
        yield address


@contextmanager
def an_api(
    database_url: str, redis_url: str, kafka: MockKafka, port: int = 0
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    assert AUTH.development_key is not None
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "api", "--only-ingest", "--port", str(port)],
        env={
            **os.environ,
            "BREAKWATER_POSTGRES__URL": database_url,
            "BREAKWATER_REDIS__URL": redis_url,
            "BREAKWATER_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "BREAKWATER_AUTH__DEVELOPMENT_KEY": AUTH.development_key.get_secret_value(),
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("ingest: ").strip(), process
    finally:
        process.terminate()
        process.communicate(timeout=30)


Admit = Callable[..., Verdict]


def by_thread(url: str, options: Options = PATIENT, token: str = TOKEN) -> Admit:
    """`admit` of the client for threads."""

    def admit(*arguments: str, **more: str) -> Verdict:
        with Client(url, token, options) as client:
            return client.admit(*arguments, **more)

    return admit


def by_loop(url: str, options: Options = PATIENT, token: str = TOKEN) -> Admit:
    """`admit` of the client for event loops."""

    def admit(*arguments: str, **more: str) -> Verdict:
        async def ask() -> Verdict:
            async with AsyncClient(url, token, options) as client:
                return await client.admit(*arguments, **more)

        return asyncio.run(ask())

    return admit


BOTH = pytest.mark.parametrize("client", [pytest.param(by_thread, id="thread"), pytest.param(by_loop, id="loop")])


@BOTH
def test_verdicts_are_the_gates(url: str, engine: sa.Engine, client: Callable[..., Admit]) -> None:
    admit = client(url)
    for state, (_, code) in STATES.items():
        verdict = admit(state, Trigger.SCHEDULE, f"key of {state}")
        assert (verdict.may_start, verdict.code) == (code is None, code)
        assert not verdict.is_fallback
    (kept,) = rows(engine, tables.admissions, workflow_id="live")
    first = admit("live", "schedule", "key of live")
    assert (first.execution_id, first.automation_version_id, first.decided_at) == (
        kept["execution_id"],
        "v live",
        kept["decided_at"],
    )
    with engine.begin() as connection:
        blacklist(connection, "live")
    assert admit("live", "schedule", "key of live") == first
    assert admit("live", "schedule", "another").message == "Workflow is blacklisted"


@BOTH
def test_mistakes_are_raised_whatever_the_fallback(url: str, client: Callable[..., Admit]) -> None:
    for fallback in Fallback:
        options = Options(timeout=PATIENT.timeout, deadline=PATIENT.deadline, fallback=fallback)
        admit = client(url, options)
        admit("live", "schedule", "k1")
        with pytest.raises(KeyReusedError):
            admit("live", "manual", "k1")
        with pytest.raises(UnknownWorkflowError):
            admit("nobody's", "schedule", "k2")
        with pytest.raises(MalformedRequestError):
            admit("live", "schedule", "")
        with pytest.raises(NotLetInError):
            client(url, options, "no token")("live", "schedule", "k3")


def test_checks_and_reports(url: str, mock_kafka: MockKafka, database_url: str, engine: sa.Engine) -> None:
    async def ask_both() -> None:
        with Client(url, lambda: TOKEN, PATIENT) as threads:
            async with AsyncClient(url, lambda: TOKEN, PATIENT) as loop:
                for state, (_, code) in STATES.items():
                    found = threads.check(state)
                    assert (found.may_start, found.code) == (code is None, code)
                    assert await loop.check(state) == found
                event_id = threads.report_stuck("live", "an execution/7?")
                assert await loop.report_stuck("live", "an execution/7?") == event_id

    asyncio.run(ask_both())
    assert rows(engine, tables.admissions) == []

    first, second = read_topic(Kafka(bootstrap_servers=mock_kafka.bootstrap_servers), "run_events", 2)
    for message in (first, second):
        assert b'"execution_id":"an execution/7?"' in (message.value() or b"")


@BOTH
def test_a_gate_that_dies_and_comes_back_gives_the_same_verdict(
    engine: sa.Engine, database_url: str, redis_url: str, mock_kafka: MockKafka, client: Callable[..., Admit]
) -> None:
    given_states(engine)
    with an_api(database_url, redis_url, mock_kafka) as (url, process):
        admit = client(url)
        first = admit("live", "api", "k1")
        process.kill()
        process.wait()
    with an_api(database_url, redis_url, mock_kafka, int(url.rpartition(":")[2])):
        assert admit("live", "api", "k1") == first


def nowhere() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@BOTH
def test_without_a_gate_the_fallback_decides(client: Callable[..., Admit]) -> None:
    def admit(fallback: Fallback) -> Verdict:
        options = Options(timeout=timedelta(milliseconds=300), deadline=timedelta(milliseconds=300), fallback=fallback)
        return client(nowhere(), options)("live", "api", "k1")

    closed, opened = admit(Fallback.CLOSED), admit(Fallback.OPEN)
    assert (closed.may_start, closed.is_fallback, closed.execution_id) == (False, True, None)
    assert (opened.may_start, opened.is_fallback, opened.execution_id) == (True, True, None)
    with pytest.raises(UnavailableError):
        admit(Fallback.RAISE)


ADMITTED = Answer(
    201,
    body=b'{"execution_id": "e1", "automation_version_id": null, "probe": true, "decided_at": "2026-03-02T08:00:00Z"}',
)


@BOTH
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_it_asks_again_with_the_same_key(client: Callable[..., Admit], status: int) -> None:
    with PostServer(Answer(status), Answer(status, body=b'{"error_code": "busy"}'), ADMITTED) as server:
        verdict = client(server.url.removesuffix("/hook"), QUICK)("live", "api", "k1")
        assert (verdict.may_start, verdict.execution_id, verdict.probe) == (True, "e1", True)
        assert [post.json["idempotency_key"] for post in server.posts] == ["k1"] * 3


def test_who_is_asked_to_wait_longer_than_it_can_gives_up_at_once() -> None:
    with PostServer(Answer(503, {"retry-after": "3600"}, b'{"error_code": "admission_unavailable"}')) as server:
        verdict = by_thread(server.url.removesuffix("/hook"))("live", "api", "k1")
        assert (verdict.may_start, verdict.is_fallback, verdict.code) == (False, True, "admission_unavailable")
        assert len(server.posts) == 1


def test_an_open_fallback_remembers_what_was_refused() -> None:
    refused = Answer(409, body=b'{"error_code": "workflow_blacklisted", "message": "Workflow is blacklisted"}')
    away = Answer(503, {"retry-after": "3600"}, b"{}")
    options = Options(timeout=PATIENT.timeout, deadline=PATIENT.deadline, fallback=Fallback.OPEN)
    with (
        PostServer(refused, away, away, ADMITTED, away) as server,
        Client(server.url.removesuffix("/hook"), TOKEN, options) as client,
    ):
        said = [client.admit(workflow, "api", f"k{n}") for n, workflow in enumerate(["w", "w", "x", "w", "w"])]
    assert [(one.may_start, one.is_fallback) for one in said] == [
        (False, False),
        (False, True),
        (True, True),
        (True, False),
        (True, True),
    ]
    assert said[1].code == "workflow_blacklisted"


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"timeout": timedelta(0)}, id="no time for a try"),
        pytest.param({"timeout": timedelta(seconds=9)}, id="a try that outlasts all tries"),
        pytest.param({"first_pause": timedelta(0)}, id="no pause"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, timedelta]) -> None:
    with pytest.raises(ValueError):
        Options(**options)


def test_its_words_are_the_gates() -> None:
    assert [one.value for one in Trigger] == [one.value for one in kinds.Trigger]


def test_its_page_names_every_option_and_its_example_runs_as_it_stands() -> None:
    page = (Path(__file__).parents[2] / "clients/python/README.md").read_text()
    assert all(f"`{name}`" in page for name in Options.__dataclass_fields__)
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    compile(example, "README.md", "exec")
