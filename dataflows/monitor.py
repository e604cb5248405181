"""The flow: run events in, decisions out. Reads like the picture in the README.

source ─┬─> key groups ──> decisions ──> sink
        └─> dead letters ─────────────> their sink
"""

from typing import Any, TypeGuard

from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.outputs import Sink

from dataflows.dead_letters import DeadLetter
from dataflows.engine.delivery import Delivery, Item
from dataflows.engine.group_logic import Build


def build_flow(source: Source[Item], groups: Build, decisions_to: Sink[Any], dead_letters_to: Sink[Any]) -> Dataflow:
    """Wire the monitor. Step ids are part of the recovery store: renaming one orphans its state.

    `decisions_to` takes `(key group, Decision)`, `dead_letters_to` takes `(offset, DeadLetter)`.
    """
    flow = Dataflow("monitor")
    read = op.input("events", flow, source)
    parted = op.branch("usable", read, _is_delivery)
    decisions = op.stateful_batch("detect", parted.trues, groups)
    op.output("decisions", decisions, decisions_to)
    op.output("dead_letters", op.map("offset", parted.falses, _keyed), dead_letters_to)
    return flow


def _is_delivery(item: Item) -> TypeGuard[tuple[str, Delivery]]:
    return not isinstance(item, DeadLetter)


def _keyed(item: Item) -> tuple[str, DeadLetter]:
    assert isinstance(item, DeadLetter)
    return str(item.position.offset), item
