"""Measure the whole way of paid runs: read from a file, judged, and written to the credit ledger by `breakwater run`.

`python -m benchmarks.ledger_stream [--runs 200000]` starts a PostgreSQL server of its own and runs the monitor three
times: with files as sinks, with services, and with services and a new recovery store, which says all again. An empty
file tells what a start takes; it is taken off.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from benchmarks.ledger import START, Meter, per_run
from cli.embedded.postgres import EmbeddedPostgres
from lifecycle.migrate import migrate
from lifecycle.seed import Document, seed

TENANTS, WORKFLOWS = 50, 2_000


def paid(number: int) -> dict[str, Any]:
    """The event of a run that ended well, of one of the workflows in turn."""
    workflow = number % WORKFLOWS
    return {
        "event_id": f"event-{number}", "tenant_id": f"tenant-{workflow % TENANTS}", "status": "success",
        "workflow_id": f"workflow-{workflow}", "automation_version_id": f"version-{workflow}",
        "execution_id": f"execution-{number}",
        "occurred_at": (START + number * timedelta(milliseconds=50)).isoformat(),
        "scenario_id": f"scenario-{workflow % 1009}", "scenario_name": f"Scenario {workflow % 1009}",
        "job_type": "ANALYSIS", "credits_total": 100 + number * 7919 % 9, "credits_in": 60.5, "model": "large-4",
        "input_tokens": number % 90_000, "output_tokens": number % 7_000, "retry_count": 0,
        "has_idempotency_key": True, "has_max_items_config": True, "prompt_version": "p7",
    }  # fmt: skip


def fill(engine: sa.Engine) -> None:
    """Make the registry that the events are of: each workflow with a live version."""
    of = [
        (f"workflow-{one}", f"version-{one}", f"automation-{one}", f"tenant-{one % TENANTS}")
        for one in range(WORKFLOWS)
    ]
    world: Document = {
        "tenants": [{"id": tenant, "name": tenant} for tenant in sorted({tenant for *_, tenant in of})],
        "automations": [{"id": automation, "tenant_id": tenant, "name": "a"} for _, _, automation, tenant in of],
        "automation_versions": [
            {"id": version, "tenant_id": tenant, "automation_id": automation, "version": 1, "status": "Live"}
            for _, version, automation, tenant in of
        ],
        "workflows": [{"workflow_id": workflow, "tenant_id": tenant, "name": "w"} for workflow, _, _, tenant in of],
        "workflow_bindings": [
            {"tenant_id": tenant, "automation_version_id": version, "wrk_workflow_id": workflow, "status": "active"}
            for workflow, version, _, tenant in of
        ],
    }
    with engine.begin() as connection:
        seed(connection, world)


def processor_time() -> float:
    """Seconds that processes which we started, and which have ended, have worked."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(folder: Path, url: str, events: Path, options: Iterable[str | Path]) -> None:
    """Run the monitor over a file."""
    subprocess.run(
        [sys.executable, "-m", "cli", "run", "--source", f"file:{events}", *options],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "BREAKWATER_POSTGRES__URL": url,
            "BREAKWATER_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        },
        check=True,
        capture_output=True,
    )


def main() -> None:
    """Write events, run over them, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200_000)
    runs: int = parser.parse_args().runs
    with TemporaryDirectory() as place, EmbeddedPostgres() as postgres:
        folder = Path(place)
        nothing, events = folder / "nothing.ndjson", folder / "events.ndjson"
        nothing.touch()
        with events.open("w") as file:
            file.writelines(f"{json.dumps(paid(number))}\n" for number in range(runs))
        postgres.create_database("ledger")
        url = postgres.url("ledger")
        migrate(url)
        engine = sa.create_engine(url)
        fill(engine)
        meter = Meter(engine, processor_time)
        ways: dict[str, list[str | Path]] = {
            "files": ["--sink", f"file:{folder / 'decisions'}", "--credit-runs", folder / "runs.ndjson"],
            "services": ["--sink", "services"],
            "services again": ["--sink", "services"],
        }
        for way, options in ways.items():
            begun = meter.read()
            run(folder, url, nothing, [*options, "--recovery", folder / f"{way}, nothing"])
            started = meter.read()
            run(folder, url, events, [*options, "--recovery", folder / way])
            start = (begin - end for begin, end in zip(begun, started, strict=True))
            ended = [end + less for end, less in zip(meter.read(), start, strict=True)]
            print(json.dumps({"sink": way, **per_run(runs, started, ended)}), flush=True)
        with engine.connect() as connection:
            of_ledger = sa.text("SELECT count(*), count(*) / count(DISTINCT recorded_at) FROM credit_runs")
            rows, together = connection.execute(of_ledger).one()
        engine.dispose()
    print(json.dumps({"rows": rows, "rows_a_transaction": together}))


if __name__ == "__main__":
    main()
