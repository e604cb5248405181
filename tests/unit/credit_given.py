"""Runs with a cost, for tests of how it is judged."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from config.credit_profiles import load_profile
from dataflows.detectors.credit_classification import NO_MEMORY, Classification, ScenarioMemory, classify
from dataflows.events import RunEvent, RunStatus

T0 = datetime(2026, 1, 23, 10, 30, tzinfo=UTC)


def a_run(**more: Any) -> RunEvent:
    """A run that ended well; `more` are fields of the wire model."""
    fields: dict[str, Any] = {
        "event_id": "e1",
        "status": RunStatus.SUCCESS,
        "occurred_at": T0,
        "tenant_id": "t_acme",
        "automation_version_id": "v1",
        "workflow_id": "wf1",
        "execution_id": "x1",
    }
    return RunEvent(**(fields | more))


def judged(
    credits_total: float | str,
    baseline: float | str | None,
    profile: str = "default",
    *,
    memory: ScenarioMemory = NO_MEMORY,
    cap: int | None = None,
    **run: Any,
) -> Classification:
    """How a run of that cost is judged."""
    return classify(
        a_run(**run),
        Decimal(str(credits_total)),
        None if baseline is None else Decimal(str(baseline)),
        load_profile(profile),
        memory=memory,
        absolute_cap=None if cap is None else Decimal(cap),
    )
