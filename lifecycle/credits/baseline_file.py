"""The file of the baselines in force, for `detect --baselines` and for other programs (50.3)."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import sqlalchemy as sa

from lifecycle.credits.approved_baselines import Baseline, list_baselines
from lifecycle.credits.documents import to_json, write_atomically

VERSION = "1.0.0"


class ExportedBaseline(msgspec.Struct, kw_only=True, frozen=True):
    """One scenario's."""

    tenant_id: str
    scenario_id: str
    median_credits: Decimal
    calculated_at: datetime
    sample_size: int
    last_updated: datetime | None
    job_type: str | None


class Export(msgspec.Struct, kw_only=True, frozen=True):
    """The whole file."""

    version: str
    updated_at: datetime | None
    baselines: list[ExportedBaseline]


def exported(baselines: Sequence[Baseline]) -> Export:
    """The file's content; `updated_at` is when the newest came into force, so the same baselines give the same file."""
    return Export(
        version=VERSION,
        updated_at=max((one.effective_at for one in baselines if one.effective_at is not None), default=None),
        baselines=[
            ExportedBaseline(
                tenant_id=one.tenant_id,
                scenario_id=one.scenario,
                median_credits=one.median_credits,
                calculated_at=one.calculated_at,
                sample_size=one.sample_size,
                last_updated=one.effective_at,
                job_type=one.job_type,
            )
            for one in baselines
        ],
    )


def export_baselines(connection: sa.Connection, path: Path) -> int:
    """Write the file anew; how many there are in it. `OSError` leaves the old one.

    For a transaction of its own, which nothing was read in yet: it waits for changes under way, and makes others wait
    until it ends, so that of two files the newer one is written later.
    """
    # The one lock that a transaction with a snapshot may take before that.
    connection.execute(sa.text("LOCK TABLE credit_baselines IN SHARE MODE"))
    baselines = list_baselines(connection)
    write_atomically(path, to_json(exported(baselines)))
    return len(baselines)
