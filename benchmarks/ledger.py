"""Measure how many runs a second the credit ledger takes, hashes, looks up and copies.

`python -m benchmarks.ledger [--runs 300000] [--tenants 50]` starts a PostgreSQL server of its own, with
fsync on, writes through the sink in batches as the stream hands them over, and verifies every chain. Bar: 30,000 runs/s
(spec 90).
"""

import argparse
import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from cli.embedded.postgres import EmbeddedPostgres
from dataflows.credit_runs import BaselineSource, CreditAction, CreditRun, Likelihood, Severity
from dataflows.events import JobType, RunStatus
from lifecycle.credits.ledger import Recorded, tenants_in_ledger, verify
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


def main() -> None:
    """Write, read back, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300_000)
    parser.add_argument("--tenants", type=int, default=50)
    parser.add_argument("--batch", type=int, default=5_000, help="runs that the stream hands over at once")
    arguments = parser.parse_args()
    batches = [
        [make_run(number, arguments.tenants) for number in range(begin, min(begin + arguments.batch, arguments.runs))]
        for begin in range(0, arguments.runs, arguments.batch)
    ]
    with EmbeddedPostgres() as postgres:
        postgres.create_database("ledger")
        migrate(postgres.url("ledger"))
        engine = sa.create_engine(postgres.url("ledger"))
        sink = LedgerSink(engine, refuse)
        begun, worked = time.perf_counter(), time.process_time()
        written = sum(sink.write(batch).count(Recorded.WRITTEN) for batch in batches)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
        begun = time.perf_counter()
        again = sum(sink.write(batch).count(Recorded.DUPLICATE) for batch in batches[:10])
        repeated = time.perf_counter() - begun
        begun = time.perf_counter()
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            breaks = [found for tenant in tenants_in_ledger(connection) if (found := verify(connection, tenant))]
        verified = time.perf_counter() - begun
        engine.dispose()
    report = {
        "runs": written,
        "runs_per_second": round(written / seconds),
        "own_cpu_us_a_run": round(cpu / written * 1e6, 1),
        "repeats_per_second": round(again / repeated),
        "verified_per_second": round(written / verified),
        "breaks": len(breaks),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
