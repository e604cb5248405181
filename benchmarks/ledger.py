"""Measure how many runs a second the credit ledger takes, hashes, looks up and copies.

`python -m benchmarks.ledger [--runs 300000] [--tenants 50]` starts a PostgreSQL server of its own, with
fsync on, writes through the sink in batches as the stream hands them over, hands some over again, verifies every chain
and exports it. Bar: 30,000 runs/s (spec 90). Of each step it gives runs a second, and the processor time that a run
takes of this process and of the server, which say the same on a busy machine.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from benchmarks.processor_time import parent_of, processor_time
from cli.embedded.postgres import EmbeddedPostgres
from dataflows.credit_runs import BaselineSource, CreditAction, CreditRun, Likelihood, Severity
from dataflows.engine.garbage import settle
from dataflows.events import JobType, RunStatus
from lifecycle.credits.export import ExportFormat, export_rows
from lifecycle.credits.ledger import Recorded, read_chain, tenants_in_ledger, verify
from lifecycle.migrate import migrate
from sinks.ledger import LedgerSink

START = datetime(2026, 3, 2, tzinfo=UTC)


def make_run(number: int, tenants: int) -> CreditRun:
    """A run as a language model's bill has it; scenarios and tenants take turns."""
    tenant, scenario = f"tenant-{number % tenants:03}", f"scenario-{number % 1009}"
    return CreditRun(
        tenant_id=tenant, workflow_id=f"workflow-{number % 1009}", execution_id=f"execution-{number}",
        event_id=f"event-{number}", automation_version_id=f"version-{number % 1009}",
        occurred_at=START + timedelta(milliseconds=number * 3), status=RunStatus.SUCCESS, scenario=scenario,
        scenario_id=scenario, scenario_name=f"Scenario {number % 1009}", job_type=JobType.ANALYSIS,
        credits_total=Decimal(number % 5000) / 10, credits_in=Decimal(number % 3000) / 10, credits_out=None,
        model="large-4",
        input_tokens=number % 90_000, output_tokens=number % 7_000, retry_count=0, has_idempotency_key=True,
        has_max_items_config=True, is_batch_job=None, is_backfill=None, prompt_version="p7", deployment_timestamp=None,
        input_item_count=None,
        artifacts_link=None, profile="default", policy_version=1, baseline_credits=Decimal("240.5"),
        baseline_source=BaselineSource.LEARNED, variance_multiplier=(number % 5000) / 2405, severity=Severity.SEV4,
        misconfig_likelihood=Likelihood.LOW, misconfig_score=0, legit_score=0, risk_flags=[],
        risk_summary="Variance: 1.02× | Misconfig likelihood: Low", actions=[CreditAction.LEDGER_ONLY],
    )  # fmt: skip


def refuse(run: CreditRun, code: str) -> None:
    """Nothing here may be refused."""
    raise AssertionError(code, run.execution_id)


class Meter:
    """Wall time and processor time of steps, ours and the server's."""

    def __init__(self, engine: sa.Engine, ours: Callable[[], float] = time.process_time) -> None:
        with engine.connect() as connection:
            backend: int = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        self._postmaster = parent_of(backend)
        self._ours = ours

    def __call__(self, step: Callable[[], int]) -> dict[str, float]:
        """Do a step that says how many runs it was about."""
        begun = self.read()
        runs = step()
        return per_run(runs, begun, self.read())

    def read(self) -> tuple[float, float, float]:
        """Seconds so far: by the clock, of our processor time, of the server's."""
        return time.perf_counter(), self._ours(), processor_time(self._postmaster)


def per_run(runs: int, begun: Iterable[float], ended: Iterable[float]) -> dict[str, float]:
    """What a step took between two readings."""
    seconds, own, server = (end - begin for begin, end in zip(begun, ended, strict=True))
    return {
        "runs_per_second": round(runs / seconds),
        "own_cpu_us_a_run": round(own / runs * 1e6, 1),
        "server_cpu_us_a_run": round(server / runs * 1e6, 1),
    }


def main() -> None:
    """Write, write again, read back, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300_000)
    parser.add_argument("--tenants", type=int, default=50)
    parser.add_argument("--batch", type=int, default=5_000, help="runs that the stream hands over at once")
    arguments = parser.parse_args()
    batches = [
        [make_run(number, arguments.tenants) for number in range(begin, min(begin + arguments.batch, arguments.runs))]
        for begin in range(0, arguments.runs, arguments.batch)
    ]
    with EmbeddedPostgres() as postgres, TemporaryDirectory() as folder:
        postgres.create_database("ledger")
        migrate(postgres.url("ledger"))
        engine = sa.create_engine(postgres.url("ledger"))
        sink, measure = LedgerSink(engine, refuse), Meter(engine)
        settle()
        report = {
            "written": measure(lambda: sum(sink.write(batch).count(Recorded.WRITTEN) for batch in batches)),
            "repeated": measure(lambda: sum(sink.write(batch).count(Recorded.DUPLICATE) for batch in batches[:10])),
        }
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            tenants = tenants_in_ledger(connection)

            def verify_all() -> int:
                assert not any(verify(connection, tenant) for tenant in tenants)
                return int(arguments.runs)

            def export_all(form: ExportFormat) -> int:
                rows = (row for tenant in tenants for row in read_chain(connection, tenant))
                return export_rows(rows, Path(folder, f"ledger.{form}"), form)

            report["verified"] = measure(verify_all)
            for form in ExportFormat:
                report[f"exported as {form}"] = measure(partial(export_all, form))
        sink.close()
    for step, figures in report.items():
        print(json.dumps({"step": step, **figures}))


if __name__ == "__main__":
    main()
