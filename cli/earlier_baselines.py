"""The approved baselines up to now, for a monitor that starts in the middle of the stream (50.3, decision 13)."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec
import sqlalchemy as sa

from cli.database import read_patiently
from dataflows.events import BaselineChange, BaselinesUpdated, JobType
from lifecycle.credits.approved_baselines import Baseline, list_baselines_since

#: Those that ended before are not asked for: the stream is read at most so far back.
WINDOW = timedelta(days=30)

#: What a recovery store calls them.
KEPT = "baselines.json"


def earlier_baselines(
    engine: sa.Engine, stopping: Callable[[], bool], recovery: Path | None = None
) -> list[BaselinesUpdated]:
    """What the control topic has told of baselines in force in the last 30 days, or would have.

    A recovery store keeps what it began with: each start, and each process of a cluster, has the same. Waits for the
    database, and has none when asked to stop meanwhile.
    """
    if recovery is None:
        return _read(engine, stopping)
    kept = recovery / KEPT
    if not kept.exists():
        told = _read(engine, stopping)
        if stopping():
            return told
        _keep_first(kept, msgspec.json.encode(told))
    return _decode(kept.read_bytes())


def _read(engine: sa.Engine, stopping: Callable[[], bool]) -> list[BaselinesUpdated]:
    return read_patiently(
        engine,
        stopping,
        lambda connection: [_told(one) for one in list_baselines_since(connection, WINDOW)],
        "baselines_unread",
    )


def _told(one: Baseline) -> BaselinesUpdated:
    assert one.effective_at is not None  # those alone were asked for
    return BaselinesUpdated(
        tenant_id=one.tenant_id,
        occurred_at=one.effective_at,
        baselines=[
            BaselineChange(
                scenario_id=one.scenario,
                median_credits=float(one.median_credits),
                job_type=None if one.job_type is None else JobType(one.job_type),
            )
        ],
    )


def _keep_first(path: Path, content: bytes) -> None:
    """Write a file whole, unless another process has."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, path)
        except FileExistsError:
            return


_decode = msgspec.json.Decoder(list[BaselinesUpdated]).decode
