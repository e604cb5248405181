"""The flow: run events in, decisions out. Reads like the picture in the README.

source with its lanes ─┬─> decisions ────> sink
                       └─> dead letters ─> their sink

Each lane judges its events where they are read, so nothing but decisions and dead letters flows (docs/decisions/0007).
"""

from typing import Any, TypeGuard

from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.outputs import Sink

from dataflows.dead_letters import DeadLetter
from dataflows.decisions import Decision
from dataflows.engine.host import Item


def build_flow(source: Source[Item], decisions_to: Sink[Any], dead_letters_to: Sink[Any]) -> Dataflow:
    """Wire the monitor. Step ids are part of the recovery store: renaming one orphans its state.

    `decisions_to` takes `(decision id, Decision)`, `dead_letters_to` takes `(offset, DeadLetter)`.
    """
    flow = Dataflow("monitor")
    read = op.input("events", flow, source)
    parted = op.branch("decided", read, _is_decision)
    op.output("decisions", op.map("id", parted.trues, _by_id), decisions_to)
    op.output("dead_letters", op.map("offset", parted.falses, _by_offset), dead_letters_to)
    return flow


def _is_decision(item: Item) -> TypeGuard[Decision]:
    return isinstance(item, Decision)


def _by_id(decision: Decision) -> tuple[str, Decision]:
    return decision.decision_id, decision


def _by_offset(item: Item) -> tuple[str, DeadLetter]:
    assert isinstance(item, DeadLetter)
    return str(item.position.offset), item
