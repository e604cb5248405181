"""`/metrics`, `/healthz` and `/readyz`, with the database and without it."""

import socket
from collections.abc import Mapping

import sqlalchemy as sa
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from dataflows.decisions import DecisionKind as StreamKind
from lifecycle.kinds import DecisionKind
from tests.api.given import blacklisting, browser, decision, given_world, stuck

NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:{port}/nothing"


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def samples(client: TestClient) -> Mapping[tuple[str, tuple[str, ...]], float]:
    """A scrape: name and label values to value."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_scrape_tells_what_operations_watches(engine: sa.Engine, database_url: str) -> None:
    given_world(engine, decision("block"), stuck("exec-1"), stuck("exec-2"), blacklisting())
    with browser(database_url) as client:
        scraped = samples(client)
    assert scraped["breakwater_database_up", ()] == 1
    assert scraped["breakwater_automations_blocked", ()] == 1
    assert scraped["breakwater_workflows_blacklisted", ()] == 1
    assert scraped["breakwater_tasks_open", ("credentials_issue", "high")] == 2
    assert scraped["breakwater_tasks_open", ("blacklist_review", "high")] == 1
    assert scraped["breakwater_tasks_open", ("approval", "low")] == 0
    assert scraped["breakwater_decisions_recorded", ("execution_stuck",)] == 2
    assert scraped["breakwater_decisions_recorded", ("silence",)] == 0
    assert ("breakwater_events_late_total", ()) in scraped, "the process's own counters are there too"


def test_a_scrape_tells_what_waits_in_the_outbox_and_for_how_long(engine: sa.Engine, database_url: str) -> None:
    with browser(database_url) as client:
        empty = samples(client)
        given_world(engine, decision("block"))
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE notifications SET created_at = created_at - interval '2 hours'")
            connection.exec_driver_sql("UPDATE outbox_events SET created_at = created_at - interval '3 hours'")
            waiting = connection.exec_driver_sql(
                "SELECT count(*) FROM notifications WHERE status = 'pending' AND not_before IS NULL"
            ).scalar_one()
        scraped = samples(client)
    for queue in ("notifications", "events"):
        assert empty["breakwater_outbox_waiting", (queue,)] == empty["breakwater_outbox_age_seconds", (queue,)] == 0
    assert scraped["breakwater_outbox_waiting", ("notifications",)] == waiting > 0, "not what is kept back for a while"
    assert scraped["breakwater_outbox_waiting", ("events",)] > 0
    assert 7_200 <= scraped["breakwater_outbox_age_seconds", ("notifications",)] < 10_800
    assert scraped["breakwater_outbox_age_seconds", ("events",)] >= 10_800


def test_a_word_that_is_not_known_gets_no_label_of_its_own(engine: sa.Engine, database_url: str) -> None:
    given_world(engine, decision("block"))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE decisions SET kind = 'from the future'")
    with browser(database_url) as client:
        scraped = samples(client)
    assert scraped["breakwater_decisions_recorded", ("other",)] == 1
    assert len([name for name, _ in scraped if name == "breakwater_decisions_recorded"]) == len(DecisionKind) + 1


def test_a_scrape_without_the_database_gives_what_there_is() -> None:
    with browser(NOWHERE.format(port=closed_port()), name=None) as client:
        scraped = samples(client)
    assert scraped["breakwater_database_up", ()] == 0
    assert ("breakwater_automations_blocked", ()) not in scraped, "unknown is not zero"
    assert ("breakwater_events_late_total", ()) in scraped


def test_ready_when_the_database_is_there_and_migrated(engine: sa.Engine, database_url: str) -> None:
    with browser(database_url, name=None) as client:
        assert client.get("/healthz").json() == {"status": "alive"}
        assert client.get("/readyz").json() == {"status": "ready", "parts": {"database": "ok", "schema": "ok"}}
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'older'")
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "breakwater migrate" in answer.json()["parts"]["schema"]


def test_alive_but_not_ready_without_the_database() -> None:
    with browser(NOWHERE.format(port=closed_port()), name=None) as client:
        assert client.get("/healthz").status_code == 200
        answer = client.get("/readyz")
        missing = client.get("/nothing")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["parts"]["database"] == "does not answer"
    assert (missing.status_code, missing.json()["error"]) == (404, "not_found")


def test_the_lifecycle_knows_every_kind_of_the_stream() -> None:
    assert {kind.value for kind in StreamKind} <= {kind.value for kind in DecisionKind}
