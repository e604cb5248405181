"""Charges come out in their order, however they are put in and taken."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from dataflows.engine.charge_queue import ChargeQueue
from dataflows.engine.credit_records import Charge
from dataflows.events import BaselineChange, BaselinesUpdated

EVENT = BaselinesUpdated(
    tenant_id="t_acme",
    occurred_at=datetime(2026, 1, 5, tzinfo=UTC),
    baselines=[BaselineChange(scenario_id="s1", median_credits=1.0)],
)

batches = st.lists(st.tuples(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ab"))), st.integers(0, 12)))


def _key(charge: Charge) -> tuple[object, ...]:
    return charge[:-1]


@given(batches)
def test_each_take_gives_what_is_due_in_order_and_leaves_the_rest(
    steps: list[tuple[list[tuple[int, str]], int]],
) -> None:
    queue, model, arrival = ChargeQueue(), list[Charge](), 0
    for charges, before in steps:
        made: list[Charge] = []
        for due, workflow_id in charges:
            made.append((due, due, True, workflow_id, "lane", arrival, EVENT))
            arrival += 1
        queue.put(made)
        model += made
        expected = sorted((one for one in model if one[0] < before), key=_key)
        assert queue.take(before) == expected
        model = [one for one in model if one[0] >= before]
        assert len(queue) == len(model)
        assert sorted(queue, key=_key) == sorted(model, key=_key)
    assert queue.take(None) == sorted(model, key=_key)
    assert len(queue) == 0
