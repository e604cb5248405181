"""From failures to a block, to a credential that works, to an unblock, to the next failures: the whole way (30.4).

The monitor is a process; its unblock comes back to it by the outbox and the topic of control events.
"""

from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from cli.embedded.kafka import MockKafka
from lifecycle import tables
from lifecycle.kinds import CredentialStatus
from sinks.events import EventPublisher
from tests.dataflows.kafka_given import Broker, wait_for
from tests.dataflows.run_given import a_monitor, end_well
from tests.given import Line, denied
from tests.lifecycle.credentials_given import given_credentials, now, report
from tests.lifecycle.given import rows, version
from tests.lifecycle.worker import OPTIONS, run_jobs

IDS = {"tenant_id": "t1", "workflow_id": "wf1", "automation_version_id": "v1"}


def refused_runs(name: str, *, seconds_ago: int = 0, system: str = "crm", count: int = 3) -> list[Line]:
    """Runs of `wf1` that a system refused, one after the other."""
    begin = now() - timedelta(seconds=seconds_ago)
    return [
        denied(0, f"{name}{n}", system, **{**IDS, "occurred_at": (begin + timedelta(milliseconds=n)).isoformat()})
        for n in range(count)
    ]


def decisions(engine: sa.Engine) -> list[tuple[str, list[str]]]:
    """Reason and evidence of each block that was decided."""
    evidence = rows(engine, tables.decision_evidence)
    return [
        (one["reason_code"], [e["event_id"] for e in evidence if e["decision_id"] == one["decision_id"]])
        for one in sorted(rows(engine, tables.decisions, kind="block_for_credentials"), key=lambda d: d["occurred_at"])
    ]


def test_after_an_unblock_the_monitor_judges_afresh(
    engine: sa.Engine, database_url: str, mock_kafka: MockKafka, tmp_path: Path
) -> None:
    for topic in ("run_events", "monitor_control", "automation_status_changed", "run_events.dead_letter"):
        mock_kafka.create_topic(topic, 1)
    broker = Broker(mock_kafka)
    publisher = EventPublisher(broker.settings)
    given_credentials(engine)

    with a_monitor(broker.settings, tmp_path, database=database_url) as monitor:
        broker.write(refused_runs("a"), partition=0)
        wait_for("the block", lambda: version(engine)["status"] == "Blocked")
        first = version(engine)["block_episode_id"]
        run_jobs(engine, {}, publish=publisher)

        with engine.begin() as connection:  # the block is for one system only
            connection.execute(sa.delete(tables.automation_version_credentials).where(
                tables.automation_version_credentials.c.credential_id == "c2"
            ))  # fmt: skip
        assert report(engine, "c1").unblocked == ("v1",)
        run_jobs(engine, {}, publish=publisher)

        # Runs begun before the unblock count for nothing; two new ones are too few.
        broker.write([*refused_runs("old", seconds_ago=120, count=5), *refused_runs("b", count=2)], partition=0)
        broker.write(refused_runs("c", count=1), partition=0)
        wait_for("the second block", lambda: version(engine)["status"] == "Blocked")
        again = version(engine)
        assert (again["blocked_from_status"], again["blocked_reason"]) == (
            "Live",
            "The credentials for Salesforce are invalid or have expired.",
        )
        assert again["block_episode_id"] != first
        assert decisions(engine) == [
            ("consecutive_failures", ["a0", "a1", "a2"]),
            ("consecutive_failures", ["b0", "b1", "c0"]),
        ]

        # An integration monitor's word stops it at once.
        report(engine, "c1")
        assert version(engine)["status"] == "Live"
        run_jobs(engine, {}, publish=publisher)
        report(engine, "c1", CredentialStatus.REVOKED, event_id="lost", options=OPTIONS)
        run_jobs(engine, {}, publish=publisher)
        wait_for("the third block", lambda: version(engine)["status"] == "Blocked")
        assert [reason for reason, _ in decisions(engine)][2:] == ["integration_monitor"]
        end_well(monitor)

    changes = rows(engine, tables.automation_versions_status_history, automation_version_id="v1")
    path = [one["to_status"] for one in sorted(changes, key=lambda one: one["changed_at"])]
    assert path == ["Live", "Blocked", "Live", "Blocked", "Live", "Blocked"]
    assert len({one["episode_id"] for one in rows(engine, tables.block_reasons)}) == 3
