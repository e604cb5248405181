"""`breakwater log`: the event that it sends, the wait for the ledger, every fault (50.8)."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from confluent_kafka import Consumer

from cli.embedded.kafka import MockKafka
from dataflows.decode import decode
from dataflows.events import RunEvent
from lifecycle import tables
from tests.lifecycle.given import given_world, rows
from tests.lifecycle.ledger_given import entry, spend

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(engine: sa.Engine, database_url: str, mock_kafka: MockKafka) -> Start:
    """Starts the command for tenant t1."""
    given_world(engine)
    mock_kafka.create_topic("run_events", 1)

    def started(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "cli", "log", "--tenant", "t1", *arguments],
            env={
                **os.environ,
                "BREAKWATER_POSTGRES__URL": database_url,
                "BREAKWATER_KAFKA__BOOTSTRAP_SERVERS": mock_kafka.bootstrap_servers,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return started


def sent(mock_kafka: MockKafka) -> RunEvent:
    """The event that arrives at the broker."""
    consumer = Consumer(
        {"bootstrap.servers": mock_kafka.bootstrap_servers, "group.id": "test", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["run_events"])
    try:
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        event = decode(message.value() or b"")
    finally:
        consumer.close()
    assert isinstance(event, RunEvent)
    return event


def judge(engine: sa.Engine, event: RunEvent, **more: Any) -> None:
    """Write to the ledger what the monitor says of an event."""
    names = ("event_id", "execution_id", "automation_version_id", "retry_count", "has_idempotency_key", "risk_flags")
    said = {name: getattr(event, name) for name in names if getattr(event, name) is not None}
    told = {"scenario": "binder", "job_type": "OTHER", **said, **more}
    spend(engine, [entry(event.occurred_at, event.credits_total or 0, **told)])


def test_a_run_is_logged_by_options(start: Start, engine: sa.Engine, mock_kafka: MockKafka) -> None:
    process = start(
        *("--run-id", "RUN-1", "--scenario", "binder", "--credits", "2480", "--timestamp", "2026-03-02T12:00:00Z"),
        *("--retry-count", "6", "--no-has-idempotency-key", "--risk-flag", "pii_exposure", "--print-json"),
    )
    event = sent(mock_kafka)
    assert (event.tenant_id, event.execution_id, event.scenario_id) == ("t1", "RUN-1", "binder")
    assert (event.credits_total, event.retry_count, event.has_idempotency_key) == (2480, 6, False)
    assert (event.risk_flags, event.occurred_at, event.status) == (["pii_exposure"], AT, "success")
    judge(engine, event, severity="SEV1", misconfig_score=7, misconfig_likelihood="High", variance_multiplier=7.75)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    told = json.loads(out)
    assert (told["severity"], told["variance_multiplier"], told["misconfig_score"]) == ("SEV1", 7.75, 7)
    assert (told["baseline_credits"], told["baseline_source"], told["case_id"]) == (100.0, "learned", None)
    assert records(engine) == [("log", "by_hand", "operator", "done", 1, None)]


def test_a_run_is_logged_as_a_record(start: Start, engine: sa.Engine, mock_kafka: MockKafka) -> None:
    process = start("--json", "-")
    assert process.stdin is not None
    process.stdin.write(json.dumps({"Run_ID": "RUN-2", "Scenario_ID": "binder", "Credits_Total": 10.5}))
    process.stdin.close()
    process.stdin = None
    event = sent(mock_kafka)
    assert (event.execution_id, event.credits_total) == ("RUN-2", 10.5)
    judge(engine, event)
    out, _ = process.communicate(timeout=60)
    assert json.loads(out)["severity"] == "SEV4"


#: What the ledger has of a run that `--run-id RUN-1 --scenario b --credits 5` brought.
KNOWN = {"execution_id": "RUN-1", "scenario": "b", "automation_version_id": "scenario:b", "job_type": "OTHER"}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(["--credits", "99"], id="other credits"),
        pytest.param(["--credits", "5", "--risk-flag", "pii_exposure"], id="a flag"),
        pytest.param(["--credits", "5", "--retry-count", "9"], id="retries"),
        pytest.param(["--credits", "5", "--status", "failure"], id="another end"),
    ],
)
def test_a_run_that_the_ledger_has_otherwise_is_told_of(
    start: Start, engine: sa.Engine, mock_kafka: MockKafka, other: list[str]
) -> None:
    spend(engine, [entry(AT, 5, **KNOWN)])
    process = start("--run-id", "RUN-1", "--scenario", "b", "--timestamp", "2026-03-02T12:00:00Z", *other)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out, "keeps it" in errors) == (1, "", True)


def test_a_run_that_was_logged_before_is_told_of_again(start: Start, engine: sa.Engine, mock_kafka: MockKafka) -> None:
    spend(engine, [entry(AT, 5, **KNOWN, severity="SEV3")])
    process = start("--run-id", "RUN-1", "--scenario", "b", "--credits", "5")
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out.splitlines()[0]) == (0, "Severity: SEV3")


def test_a_run_that_nobody_judges_in_time_is_told_of(start: Start, engine: sa.Engine, mock_kafka: MockKafka) -> None:
    run = ("--run-id", "RUN-1", "--scenario", "binder", "--credits", "5")
    process = start(*run, "--time-out", "500ms", "--by", "ada")
    assert sent(mock_kafka).execution_id == "RUN-1"
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert errors == "breakwater: the event was sent, but not judged in time; see whether the monitor runs\n"
    assert records(engine) == [("log", "by_hand", "ada", "failed", None, "TimeoutError")]


def records(engine: sa.Engine) -> list[tuple[Any, ...]]:
    """What job records say."""
    found = rows(engine, tables.credit_job_runs)
    assert all(one["ended_at"] >= one["started_at"] for one in found)
    return [tuple(one[name] for name in ("job", "origin", "asked_by", "outcome", "made", "error")) for one in found]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(
            ["--run-id", "x/../../evil", "--credits", "abc", "--status", "Bogus", "--job-type", "Nope"],
            ["run_id", "credits_total", "status", "job_type"],
            id="every bad field",
        ),
        pytest.param(["--run-id", "R", "--scenario", "b", "--credits", "NaN"], ["credits_total"], id="not a number"),
        pytest.param(["--run-id", "R", "--scenario", "b", "--credits", "Infinity"], ["credits_total"], id="no end"),
        pytest.param(
            ["--run-id", "R", "--scenario", "b", "--credits", "1", "--retry-count", "1e999999999"],
            ["retry_count"],
            id="a count of a billion digits",
        ),
        pytest.param(["--run-id", "R", "--scenario", "b", "--credits", "-1"], ["credits_total"], id="less than none"),
        pytest.param(["--credits", "5"], ["run_id", "scenario_id"], id="of which run and scenario"),
        pytest.param(["--run-id", "R", "--scenario", "b"], ["credits_total"], id="how much"),
        pytest.param(["--json", "no/such/file"], ["no/such/file"], id="a file that is not there"),
        pytest.param(["--time-out", "61s", "--credits", "5"], ["--time-out"], id="longer than a minute"),
        pytest.param(["--json", "-", "--credits", "5"], ["credits_total"], id="a record and options"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_sent(
    start: Start, engine: sa.Engine, arguments: list[str], named: list[str]
) -> None:
    out, errors = (process := start(*arguments)).communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert [name for name in named if name not in errors] == []
    assert records(engine) == []
