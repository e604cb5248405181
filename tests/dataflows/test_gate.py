"""`breakwater gate` against Apache Kafka: every request is answered once, whatever dies (40.5)."""

import json
import random
import signal
from collections import Counter
from dataclasses import replace
from datetime import datetime

import pytest
import sqlalchemy as sa

from cli.embedded.apache_kafka import ApacheKafka
from dataflows.decode import decode
from dataflows.events import RunEvent
from lifecycle import tables
from lifecycle.admission.admissions import execution_id_of
from lifecycle.admission.predicate import ERROR_CODES
from lifecycle.kinds import Trigger
from tests.dataflows.gate_given import GateTopics, a_gate, keys_of, run_request, start_gate
from tests.dataflows.kafka_given import wait_for
from tests.lifecycle.admission_given import STATES, ask_one, blacklist, given_states, request
from tests.lifecycle.given import rows

PARTITIONS = 3


@pytest.fixture
def topics(apache_kafka: ApacheKafka, engine: sa.Engine) -> GateTopics:
    """Topics, and a workflow in every state."""
    given_states(engine)
    return GateTopics(apache_kafka, PARTITIONS)


def test_every_way_to_start_a_run_is_answered_by_the_state_of_its_workflow(
    topics: GateTopics, engine: sa.Engine, database_url: str
) -> None:
    ways = [(state, trigger) for state in STATES for trigger in Trigger]
    topics.ask(*(run_request(state, f"{state} {trigger}", trigger=trigger) for state, trigger in ways))
    with a_gate(topics, database_url):
        wait_for("all answers", lambda: len(rows(engine, tables.admissions)) == len(ways))
        wait_for("what is written", lambda: len(topics.jobs()) + len(topics.refusals()) == len(ways))
    jobs, refusals = topics.jobs(), topics.refusals()
    assert {(job["workflow_id"], job["trigger"]) for job in jobs} == {("live", trigger) for trigger in Trigger}
    told = {(event["workflow_id"], event["execution_id"]): event["error_code"] for event in refusals}
    assert told == {
        (state, execution_id_of("t1", f"{state} {trigger}")): ERROR_CODES[code]
        for state, trigger in ways
        if (code := STATES[state][1]) is not None
    }
    assert {(row["workflow_id"], row["trigger"], row["code"]) for row in rows(engine, tables.admissions)} == {
        (state, trigger, STATES[state][1]) for state, trigger in ways
    }
    for event in refusals:
        read = decode(json.dumps(event).encode())
        assert isinstance(read, RunEvent)
        assert (read.status, read.automation_version_id) == ("failure", f"v {read.workflow_id}")


def test_what_can_not_be_answered_is_a_dead_letter_and_stops_nothing(
    topics: GateTopics, engine: sa.Engine, database_url: str
) -> None:
    unusable = [
        b"no JSON",
        json.dumps(run_request("nobody's")).encode(),
        json.dumps(run_request("wf2")).encode(),
        json.dumps(run_request("live", "k\x00")).encode(),
        json.dumps(run_request("live", "used", trigger="manual")).encode(),
    ]
    ask_one(engine, request("live", "used"))
    topics.ask(*unusable, run_request("live", "good"), partition=1)
    with a_gate(topics, database_url):
        assert keys_of(topics.wait_for_jobs(1)) == ["good"]
    assert sorted(topics.letters()) == sorted(unusable)


def test_a_key_that_was_used_is_answered_once_whichever_way_it_came(
    topics: GateTopics, engine: sa.Engine, database_url: str
) -> None:
    over_http = ask_one(engine, request("live", "http"))
    topics.ask(run_request("live", "http"), run_request("live", "twice"), run_request("live", "twice"))
    with a_gate(topics, database_url):
        topics.wait_for_jobs(1)
        topics.ask(run_request("live", "twice"), run_request("live", "last"))
        jobs = topics.wait_for_jobs(2)
    assert keys_of(jobs) == ["twice", "last"]
    streamed = ask_one(engine, request("live", "twice"))
    assert (streamed.execution_id, streamed.decided_at) == (
        jobs[0]["execution_id"],
        datetime.fromisoformat(jobs[0]["admitted_at"]),
    )
    assert ask_one(engine, request("live", "http")) == over_http


def test_a_block_counts_for_whatever_is_asked_after_its_commit(
    topics: GateTopics, engine: sa.Engine, database_url: str
) -> None:
    with a_gate(topics, database_url):
        topics.ask(run_request("live", "before"))
        topics.wait_for_jobs(1)
        with engine.begin() as connection:
            blacklist(connection, "live")
        topics.ask(*(run_request("live", f"after{number}") for number in range(20)))
        wait_for("all refusals", lambda: len(topics.refusals()) == 20)
    assert keys_of(topics.jobs()) == ["before"]


def test_killed_again_and_again_it_loses_no_request_and_admits_none_twice(
    topics: GateTopics, engine: sa.Engine, database_url: str
) -> None:
    """It is killed while it works, between its commit to Postgres and the one to Kafka, too."""
    keys = [f"k{number}" for number in range(3_000)]
    lots = random.Random(7)
    rounds = 6
    for number in range(rounds):
        process = start_gate(topics, database_url, "--name", "a", BREAKWATER_GATE__BATCH="60")
        part = keys[number * 500 : (number + 1) * 500]
        topics.ask(*(run_request("live" if lots.random() < 0.8 else "paused", key) for key in part))
        least = _count(engine) + lots.randrange(1, 200)
        wait_for("some answers", lambda least=least: _count(engine) >= least)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with a_gate(topics, database_url, "--name", "a"):
        wait_for("everything", lambda: len(topics.jobs()) + len(topics.refusals()) >= len(keys))
    jobs, refusals = topics.jobs(), topics.refusals()
    counted = Counter([job["execution_id"] for job in jobs] + [event["execution_id"] for event in refusals])
    assert set(counted) == {execution_id_of("t1", key) for key in keys}
    assert set(counted.values()) == {1}
    kept = {row["execution_id"]: row["verdict"] for row in rows(engine, tables.admissions)}
    assert {job["execution_id"] for job in jobs} == {one for one, verdict in kept.items() if verdict == "admitted"}


def _count(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(tables.admissions)).scalar_one()


def test_two_gates_share_the_work_and_one_that_dies_is_replaced(
    topics: GateTopics, engine: sa.Engine, database_url: str
) -> None:
    keys = [f"k{number}" for number in range(600)]
    died = start_gate(topics, database_url)
    with a_gate(topics, database_url):
        for begin in range(0, 600, 100):
            # Spread over all partitions, as of many workflows.
            for partition in range(PARTITIONS):
                part = keys[begin : begin + 100][partition::PARTITIONS]
                topics.ask(*(run_request("live", key) for key in part), partition=partition)
            wait_for("progress", lambda least=begin // 2: _count(engine) >= least)
            if begin == 300:
                died.send_signal(signal.SIGKILL)
                died.communicate()
        jobs = topics.wait_for_jobs(len(keys))
    assert Counter(keys_of(jobs)) == Counter(keys)


def test_while_postgres_is_away_nothing_is_admitted_and_nothing_is_lost(
    topics: GateTopics, engine: sa.Engine, database_url: str
) -> None:
    url = sa.make_url(database_url)
    admin = sa.create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with a_gate(topics, database_url) as process:
        topics.ask(run_request("live", "before"))
        topics.wait_for_jobs(1)
        with admin.connect() as connection:
            connection.exec_driver_sql(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS false')
            connection.execute(
                sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
                {"name": url.database},
            )
            topics.ask(run_request("live", "meanwhile"))
            assert process.stdout is not None
            while "gate_waits" not in (line := process.stdout.readline()):
                assert line
            assert keys_of(topics.jobs()) == ["before"]
            connection.exec_driver_sql(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS true')
        assert keys_of(topics.wait_for_jobs(2)) == ["before", "meanwhile"]


def test_what_was_admitted_and_not_yet_written_when_the_block_came_is_refused(
    topics: GateTopics, engine: sa.Engine, database_url: str
) -> None:
    """The row of a gate that died before it could write: the workflow is blacklisted by the time that it is back."""
    asked = replace(request("live", "k1"), position=f"{topics.settings.requests_topic}/1/0")
    assert ask_one(engine, asked).code is None
    with engine.begin() as connection:
        blacklist(connection, "live")
    topics.ask(run_request("live", "k1"), partition=1)
    with a_gate(topics, database_url):
        wait_for("the refusal", topics.refusals)
    assert topics.jobs() == []
    (kept,) = rows(engine, tables.admissions)
    assert (kept["verdict"], kept["code"]) == ("refused", "workflow_blacklisted")
