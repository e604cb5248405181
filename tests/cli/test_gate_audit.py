"""`breakwater gate-audit`: reads what starts, and counts what should not have."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx2
import sqlalchemy as sa

from cli.embedded.apache_kafka import ApacheKafka
from cli.embedded.process import free_port
from lifecycle import tables
from lifecycle.breaker.half_open import HalfOpenPolicy, begin_cool_down
from tests.dataflows.apache_given import Topics
from tests.dataflows.kafka_given import environment, wait_for
from tests.given import Line, beat, ended, started
from tests.lifecycle.admission_given import ask_one, given_states, request
from tests.lifecycle.given import rows


@contextmanager
def an_audit(database_url: str, topics: Topics) -> Iterator[int]:
    """The command, and the port of its metrics; it ends well when it is asked to."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "gate-audit", "--metrics-port", str(port)],
        env={
            **os.environ,
            "BREAKWATER_POSTGRES__URL": database_url,
            **environment(topics.settings),
            "BREAKWATER_GATE__GROUP": f"gate.{topics.settings.events_topic}",
        },
    )
    try:
        yield port
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def leaks(port: int) -> dict[str, float]:
    """What `/metrics` shows, by kind; nothing while it does not answer."""
    try:
        page = httpx2.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx2.TransportError:
        return {}
    found = re.findall(r'^breakwater_enforcement_leaks_total\{kind="(\w+)"\} (\S+)$', page, re.MULTILINE)
    return {kind: float(value) for kind, value in found}


def test_the_end_of_a_probe_releases_its_workflow(
    engine: sa.Engine, database_url: str, apache_kafka: ApacheKafka
) -> None:
    given_states(engine)
    with engine.begin() as connection:
        begin_cool_down(
            connection,
            tenant_id="t1",
            workflow_id="blacklisted",
            blacklist_id=str(rows(engine, tables.workflow_blacklist)[0]["id"]),
            policy=HalfOpenPolicy(after=timedelta(minutes=30), lease_for=timedelta(hours=1)),
            now=datetime.now(UTC) - timedelta(hours=1),
        )
    probe = ask_one(engine, request("blacklisted"))
    assert probe.probe
    topics = Topics(apache_kafka, 1)
    whose = {"workflow_id": "blacklisted", "automation_version_id": "v blacklisted"}
    events: list[Line | bytes] = [
        started(0, probe.execution_id, **whose),
        ended(1, "another", **whose),
        ended(1, probe.execution_id, **whose),
    ]
    topics.write(events)
    with an_audit(database_url, topics):
        wait_for("the release", lambda: not rows(engine, tables.workflow_blacklist, removed_at=None))
    assert rows(engine, tables.workflow_blacklist)[0]["removal_source"] == "policy"
    assert len(rows(engine, tables.outbox_events, type="workflow_released")) == 1


def test_what_starts_without_an_admission_is_counted_and_kept_once(
    engine: sa.Engine, database_url: str, apache_kafka: ApacheKafka
) -> None:
    given_states(engine)
    admitted = ask_one(engine, request("live"))
    topics = Topics(apache_kafka, 2)
    events = [
        b"no event",
        started(0, admitted.execution_id, workflow_id="live", automation_version_id="v live"),
        started(0, "unasked", workflow_id="live", automation_version_id="v live"),
        beat(1, "unasked", workflow_id="live", automation_version_id="v live"),
        ended(2, "not seen to start", workflow_id="live", automation_version_id="v live"),
        started(0, "foreign", workflow_id="wf2", automation_version_id="v2"),
    ]
    topics.write(events)
    with an_audit(database_url, topics) as port:
        wait_for("the leak", lambda: leaks(port) == {"without_admission": 1, "after_block": 0})
    assert [row["execution_id"] for row in rows(engine, tables.enforcement_leaks)] == ["unasked"]
    with an_audit(database_url, topics) as port:
        wait_for("metrics", lambda: leaks(port))
        topics.write([started(9, "another", workflow_id="live")])
        wait_for("the new leak alone", lambda: leaks(port) == {"without_admission": 1, "after_block": 0})
