"""Runs that are logged, and baselines that change under a running monitor: all of it as processes (50.3, 50.8)."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cli.embedded.kafka import MockKafka
from config.settings import Kafka
from lifecycle import tables
from tests.dataflows.kafka_given import Broker, environment, wait_for
from tests.dataflows.run_given import a_monitor, end_well
from tests.lifecycle.given import given_world, row, rows

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def kafka(mock_kafka: MockKafka) -> Kafka:
    settings = Broker(mock_kafka).settings
    for topic in (
        settings.events_topic,
        settings.control_topic,
        settings.status_topic,
        settings.credential_topic,
        settings.dead_letter_topic,
    ):
        mock_kafka.create_topic(topic, 2)
    return settings


@pytest.fixture
def breakwater(engine: sa.Engine, database_url: str, kafka: Kafka, tmp_path: Path) -> Command:
    """Runs a command to its end."""
    given_world(engine)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            env=_environment(database_url, kafka, tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def _environment(database_url: str, kafka: Kafka, folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        **environment(kafka),
        "BREAKWATER_POSTGRES__URL": database_url,
        "CREDIT_BASELINES_PATH": str(folder / "baselines.json"),
    }


@contextmanager
def a_worker(environment: dict[str, str]) -> Iterator[None]:
    """The worker, which brings what the database says into the topics."""
    process = subprocess.Popen([sys.executable, "-m", "cli", "worker"], env=environment, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_a_baseline_that_is_approved_reaches_the_monitor_that_runs(
    breakwater: Command, engine: sa.Engine, database_url: str, kafka: Kafka, tmp_path: Path
) -> None:
    def logged(name: str, credits_total: int) -> dict[str, Any]:
        run = ("--run-id", name, "--scenario", "binder", "--credits", str(credits_total))
        done = breakwater("log", "--tenant", "t1", *run, "--print-json")
        assert (done.returncode, done.stderr) == (0, "")
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    with a_monitor(kafka, tmp_path, database=database_url) as monitor:
        first = logged("RUN-1", 100)
        assert (first["severity"], first["baseline_source"], first["risk_flags"]) == ("SEV3", "none", ["no_baseline"])

        document = {
            "version": "1.0.0",
            "baselines": [{"tenant_id": "t1", "scenario_id": "binder", "median_credits": 20}],
        }
        (tmp_path / "approved.json").write_text(json.dumps(document))
        assert breakwater("baselines", "import", str(tmp_path / "approved.json")).returncode == 0
        (tmp_path / "baselines.json").unlink()
        with a_worker(_environment(database_url, kafka, tmp_path)):
            wait_for("the word of the baseline", lambda: row(engine, tables.outbox_events)["published_at"] is not None)
            wait_for("the file of baselines", (tmp_path / "baselines.json").exists)
        exported = json.loads((tmp_path / "baselines.json").read_bytes())
        assert [one["median_credits"] for one in exported["baselines"]] == [20]

        second = logged("RUN-2", 100)
        assert (second["severity"], second["baseline_source"], second["baseline_credits"]) == ("SEV1", "approved", 20)
        assert second["variance_multiplier"] == 5
        assert second["case_id"] == row(engine, tables.credit_cases)["case_id"]
        end_well(monitor)

    assert {one["execution_id"]: one["severity"] for one in rows(engine, tables.credit_runs)} == {
        "RUN-1": "SEV3",
        "RUN-2": "SEV1",
    }
    run = ("--run-id", "RUN-3", "--scenario", "binder", "--credits", "100")
    alone = breakwater("log", "--tenant", "t1", *run, "--time-out", "1s")
    assert (alone.returncode, alone.stdout) == (1, "")
    assert "not judged in time" in alone.stderr
    # It was sent, and the next monitor judges it.
    with a_monitor(kafka, tmp_path, database=database_url) as monitor:
        wait_for("the run", lambda: rows(engine, tables.credit_runs, execution_id="RUN-3"))
        end_well(monitor)
    assert row(engine, tables.credit_runs, execution_id="RUN-3")["baseline_source"] == "approved"
