"""Each request of the credit webhook leaves a job record: start, end, outcome, tries (50.8)."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from cli.embedded.kafka import MockKafka
from lifecycle import tables
from lifecycle.credits.job_records import WebhookTry, forget_webhooks, record_webhook
from lifecycle.kinds import JobOutcome
from lifecycle.options import LifecycleOptions
from tests.interop.interop_given import SENDER, Server, a_server, encoded
from tests.lifecycle.given import row, rows

RECORD = {"run_id": "RUN-1", "scenario_id": "BINDER_EXPORT_v2", "status": "Success", "credits_total": 2480}


@pytest.fixture
def server(database_url: str, mock_kafka: MockKafka) -> Iterator[Server]:
    with a_server(database_url, mock_kafka, delivery_timeout="3s") as made:
        yield made


def record(engine: sa.Engine) -> Mapping[str, Any]:
    """The only record, as it must be whatever became of it."""
    kept = row(engine, tables.credit_job_runs)
    assert (kept["job"], kept["origin"], kept["asked_by"]) == ("log", "webhook", SENDER)
    assert kept["started_at"] <= kept["ended_at"]
    assert kept["leased_until"] - kept["started_at"] == timedelta(seconds=60)
    return kept


def test_what_was_taken_in(server: Server, engine: sa.Engine) -> None:
    body = encoded([RECORD, {**RECORD, "run_id": "RUN-2"}])
    for _ in range(2):  # the same again is no other job
        assert server.post("/v1/runs", body).status_code == 202
    kept = record(engine)
    assert (kept["outcome"], kept["tries"], kept["made"], kept["error"]) == ("done", 1, 2, None)
    assert rows(engine, tables.notifications) == []


def test_what_is_refused_is_told_of_once_a_day(server: Server, engine: sa.Engine) -> None:
    for credits_total in (-1, "much"):
        assert server.post("/v1/runs", encoded({**RECORD, "credits_total": credits_total})).status_code == 422
    kept = rows(engine, tables.credit_job_runs)
    assert [(one["outcome"], one["made"], one["error"]) for one in kept] == [("failed", 0, "invalid_field")] * 2
    notices = rows(engine, tables.notifications)
    assert sorted(one["channel"] for one in notices) == ["email", "in_app"]
    assert "Runs that “make” sent were not taken in (invalid_field)." in notices[0]["body"]


def test_the_third_try_that_kafka_does_not_take_is_the_last_that_is_waited_for(
    server: Server, engine: sa.Engine, mock_kafka: MockKafka
) -> None:
    body, seen = encoded(RECORD), []
    mock_kafka.take_down()
    for _ in range(3):
        assert server.post("/v1/runs", body).status_code == 503
        kept = record(engine)
        seen.append((kept["outcome"], kept["tries"], len(rows(engine, tables.notifications))))
    assert seen == [("retry", 1, 0), ("retry", 2, 0), ("failed", 3, 2)]
    assert kept["error"] == "NotAcknowledgedError"
    mock_kafka.bring_up()
    assert server.post("/v1/runs", body).status_code == 202
    kept = record(engine)
    assert (kept["outcome"], kept["tries"], kept["made"], kept["error"]) == ("done", 4, 1, None)


def test_other_inputs_leave_none(server: Server, engine: sa.Engine) -> None:
    assert server.post("/v1/run-events", b"{}").status_code == 422
    assert rows(engine, tables.credit_job_runs) == []


def test_old_records_are_forgotten(engine: sa.Engine) -> None:
    now = datetime.now(UTC)
    for days in (29, 31):
        tried = WebhookTry(
            sender=SENDER, request_key=str(days), received_at=now - timedelta(days=days), made=1, error=None
        )
        with engine.begin() as connection:
            assert record_webhook(connection, tried, options=LifecycleOptions()) is JobOutcome.DONE
    assert forget_webhooks(engine) == 1
    assert record(engine)["request_key"] == "29"
