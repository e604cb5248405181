"""The services sink under the engine: what a restart replays is applied once."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, run_main

from dataflows.decisions import Decision
from lifecycle import tables
from lifecycle.options import LifecycleOptions
from sinks.bytewax_adaptor import Committed, Writer
from sinks.services import ServicesSink
from tests.lifecycle.given import content, given_world, rows
from tests.sinks.given import history


def never(*_: object) -> None:
    """No decision of these tests is unusable."""
    raise AssertionError


@pytest.mark.parametrize("batch", [pytest.param(size, id=f"batches of {size}") for size in (1, 3, 100)])
def test_a_flow_that_dies_and_resumes_leaves_what_an_undisturbed_one_leaves(
    engine: sa.Engine, database_url: str, tmp_path: Path, batch: int
) -> None:
    given_world(engine)

    def make() -> Writer[Decision]:
        sink = ServicesSink(sa.create_engine(database_url), LifecycleOptions(), never)
        return sink.apply, sink.close

    keyed = [("000", said) for said in history()]
    source = TestingSource([*keyed[:7], TestingSource.ABORT(), *keyed[7:]], batch_size=batch)
    flow = Dataflow("decisions")
    op.output(
        "services",
        op.input("history", flow, source),
        Committed(make),
    )
    init_db_dir(tmp_path, 1)
    recovery = RecoveryConfig(str(tmp_path))
    run_main(flow, recovery_config=recovery)
    run_main(flow, recovery_config=recovery)
    assert {d["decision_id"] for d in rows(engine, tables.decisions)} == {said.decision_id for said in history()}
    after_crash = content(engine)
    fresh = Dataflow("again")
    op.output(
        "services",
        op.input("history", fresh, TestingSource(keyed)),
        Committed(make),
    )
    run_main(fresh)
    assert content(engine) == after_crash
