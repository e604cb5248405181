"""What is watched by the clock: cases that nobody acknowledges, and whether credit monitoring works (50.4, 50.10)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import WORKER
from lifecycle.credits.case_changes import acknowledge_case
from lifecycle.credits.entry import LedgerEntry
from lifecycle.credits.health import CreditHealth, FaultKind, read_credit_health, tell_of_faults
from lifecycle.credits.ledger import append
from lifecycle.credits.response_clocks import escalate_overdue_cases
from lifecycle.kinds import CaseSeverity
from lifecycle.options import LifecycleOptions
from tests.lifecycle.cases_given import OPS, WITH_SLACK, apply, case, incident
from tests.lifecycle.given import given_world, row, rows

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


def escalate(engine: sa.Engine) -> list[CaseSeverity]:
    """Look once, as the worker does."""
    with engine.begin() as connection:
        return escalate_overdue_cases(connection, actor_context=WORKER, options=WITH_SLACK)


def let_time_pass(engine: sa.Engine, passed: timedelta) -> None:
    """Make cases that much older."""
    cases = tables.credit_cases
    with engine.begin() as connection:
        connection.execute(
            sa.update(cases).values(
                acknowledge_by=cases.c.acknowledge_by - passed, raised_at=cases.c.raised_at - passed
            )
        )


@pytest.mark.parametrize(
    ("severity", "minutes", "overdue"),
    [
        pytest.param("SEV0", 14, [], id="a SEV0 within a quarter of an hour"),
        pytest.param("SEV0", 16, [CaseSeverity.SEV0], id="a SEV0 after a quarter of an hour"),
        pytest.param("SEV1", 59, [], id="a SEV1 within an hour"),
        pytest.param("SEV1", 61, [CaseSeverity.SEV1], id="a SEV1 after an hour"),
        pytest.param("SEV2", 60 * 24 * 7, [], id="a SEV2 may wait"),
    ],
)
def test_a_case_that_nobody_acknowledges_in_time_is_overdue(
    engine: sa.Engine, severity: str, minutes: int, overdue: list[CaseSeverity]
) -> None:
    given_world(engine)
    apply(engine, incident(severity))
    let_time_pass(engine, timedelta(minutes=minutes))
    assert escalate(engine) == overdue


def test_on_call_is_told_once(engine: sa.Engine) -> None:
    given_world(engine)
    apply(engine, incident("SEV1"))
    let_time_pass(engine, timedelta(hours=2))
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: escalate(engine), range(4)))
    assert sorted(map(len, found)) == [0, 0, 0, 1]
    notice = row(engine, tables.notifications, template="credit_case_overdue", channel="on_call")
    about = f"{case(engine)['case_id']}: Acme, SEV1 · Credit spike · BINDER_EXPORT"
    assert notice["title"] == f"Nobody has acknowledged {about}"
    operations = [one["metadata"]["operation"] for one in rows(engine, tables.audit_logs, resource_type="credit_case")]
    assert operations.count("escalate") == 1


def test_a_case_that_becomes_graver_is_escalated_again(engine: sa.Engine) -> None:
    given_world(engine)
    apply(engine, incident("SEV1"))
    let_time_pass(engine, timedelta(hours=2))
    escalate(engine)
    apply(engine, incident("SEV0", "RUN-2"))
    assert escalate(engine) == []
    let_time_pass(engine, timedelta(hours=2))
    assert escalate(engine) == [CaseSeverity.SEV0]
    assert len(rows(engine, tables.notifications, template="credit_case_overdue", channel="on_call")) == 2
    # Slack finds the channel of a severity by it.
    in_slack = rows(engine, tables.notifications, template="credit_case_overdue", channel="slack")
    assert sorted(notice["context"]["severity"] for notice in in_slack) == ["SEV0", "SEV1"]


def test_an_acknowledged_case_is_not_overdue(engine: sa.Engine) -> None:
    given_world(engine)
    apply(engine, incident("SEV0"))
    with engine.begin() as connection:
        acknowledge_case(connection, case_id=case(engine)["case_id"], actor_context=OPS)
    let_time_pass(engine, timedelta(hours=2))
    assert escalate(engine) == []


def health(**changes: Any) -> CreditHealth:
    """All is well but for the changes."""
    facts: dict[str, Any] = {
        "now": NOW,
        "last_run_at": NOW - timedelta(minutes=5),
        "newest_baseline_at": NOW - timedelta(days=5),
        "sev0_without_case": 0,
        **changes,
    }
    return CreditHealth(**facts)


@pytest.mark.parametrize(
    ("found", "faults"),
    [
        pytest.param(health(), [], id="all is well"),
        pytest.param(health(last_run_at=None, newest_baseline_at=None), [], id="nothing was ever there"),
        pytest.param(health(last_run_at=NOW - timedelta(hours=24)), [], id="a run a day ago"),
        pytest.param(health(last_run_at=NOW - timedelta(hours=25)), [FaultKind.NO_RUNS], id="no run for a day"),
        pytest.param(health(newest_baseline_at=NOW - timedelta(days=14)), [], id="baselines of two weeks"),
        pytest.param(
            health(newest_baseline_at=NOW - timedelta(days=15)), [FaultKind.OLD_BASELINES], id="older baselines"
        ),
        pytest.param(health(sev0_without_case=1), [FaultKind.SEV0_WITHOUT_CASE], id="a SEV0 without a case"),
    ],
)
def test_what_is_wrong_with_credit_monitoring(found: CreditHealth, faults: list[FaultKind]) -> None:
    assert found.faults == faults


def entry(execution_id: str, severity: str) -> LedgerEntry:
    """A run in the ledger."""
    return LedgerEntry(
        tenant_id="t1",
        workflow_id="wf1",
        execution_id=execution_id,
        event_id=f"event of {execution_id}",
        automation_version_id="v1",
        occurred_at=NOW,
        status="success",
        scenario="BINDER_EXPORT",
        scenario_id="BINDER_EXPORT",
        scenario_name=None,
        job_type="BINDER_EXPORT",
        credits_total=Decimal(2480),
        credits_in=None,
        credits_out=None,
        model=None,
        input_tokens=None,
        output_tokens=None,
        retry_count=None,
        has_idempotency_key=None,
        has_max_items_config=None,
        is_batch_job=None,
        is_backfill=None,
        prompt_version=None,
        deployment_timestamp=None,
        input_item_count=None,
        artifacts_link=None,
        profile="default",
        policy_version=1,
        baseline_credits=Decimal(320),
        baseline_source="learned",
        variance_multiplier=7.75,
        severity=severity,
        misconfig_likelihood="High",
        misconfig_score=7,
        legit_score=0,
        risk_flags=[],
        risk_summary="Variance: 7.75×",
        actions=[],
    )


def given_ledger(engine: sa.Engine, *entries: LedgerEntry, recorded: timedelta) -> None:
    """Runs that were recorded so long ago; the ledger's own trigger would not let their time be changed."""
    with engine.begin() as connection:
        append(connection, entries)
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(sa.update(tables.credit_runs).values(recorded_at=sa.func.now() - recorded))


def test_a_sev0_that_has_no_case_is_told_to_on_call_once_a_day(engine: sa.Engine) -> None:
    given_world(engine)
    apply(engine, incident("SEV0", "RUN-1"))
    runs = [entry("RUN-1", "SEV0"), entry("RUN-2", "SEV0"), entry("RUN-3", "SEV1")]
    given_ledger(engine, *runs, recorded=timedelta(hours=1))
    with engine.begin() as connection:
        found = read_credit_health(connection)
        for _ in range(2):
            assert tell_of_faults(connection, found, options=WITH_SLACK) == [FaultKind.SEV0_WITHOUT_CASE]
    notice = row(engine, tables.notifications, template="credit_health", channel="on_call")
    assert "1 run of severity SEV0 is in the ledger and in no case." in notice["body"]


def test_a_sev0_of_a_moment_ago_may_still_get_its_case(engine: sa.Engine) -> None:
    given_world(engine)
    given_ledger(engine, entry("RUN-1", "SEV0"), recorded=timedelta(minutes=1))
    with engine.begin() as connection:
        assert tell_of_faults(connection, read_credit_health(connection), options=LifecycleOptions()) == []


def test_a_day_without_a_run_is_told(engine: sa.Engine) -> None:
    given_world(engine)
    given_ledger(engine, entry("RUN-1", "SEV4"), recorded=timedelta(hours=30))
    with engine.begin() as connection:
        found = read_credit_health(connection)
        assert tell_of_faults(connection, found, options=LifecycleOptions()) == [FaultKind.NO_RUNS]
    assert row(engine, tables.notifications, template="credit_health", channel="email")["severity"] == "warning"
