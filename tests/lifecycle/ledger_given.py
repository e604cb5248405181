"""Runs in the ledger, as the monitor writes them."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

import sqlalchemy as sa

from lifecycle.credits.entry import LedgerEntry
from lifecycle.credits.ledger import append

_numbers = count(1)


def entry(at: datetime, credits_total: float | str, **more: Any) -> LedgerEntry:
    """A healthy run of tenant `t1`'s scenario `export`, with whatever else is said of it."""
    number = next(_numbers)
    scenario = more.get("scenario", "export")
    fields: dict[str, Any] = dict.fromkeys(LedgerEntry.__struct_fields__)
    fields |= {
        "actions": ["ledger_only"],
        "automation_version_id": "v1",
        "baseline_credits": Decimal(100),
        "baseline_source": "learned",
        "credits_total": Decimal(str(credits_total)),
        "event_id": f"e{number}",
        "execution_id": f"x{number}",
        "job_type": "ANALYSIS",
        "legit_score": 0,
        "misconfig_likelihood": "Low",
        "misconfig_score": 0,
        "occurred_at": at,
        "policy_version": 1,
        "profile": "default",
        "risk_flags": [],
        "risk_summary": "Variance: 1.00× | Misconfig likelihood: Low",
        "scenario": scenario,
        "scenario_id": scenario,
        "seq": 0,
        "severity": "SEV4",
        "status": "success",
        "tenant_id": "t1",
        "variance_multiplier": float(credits_total) / 100,
        "workflow_id": "wf1",
    }
    return LedgerEntry(**{**fields, **more})


def spend(engine: sa.Engine, entries: Iterable[LedgerEntry]) -> None:
    """Write runs to the ledger."""
    with engine.begin() as connection:
        append(connection, list(entries))
