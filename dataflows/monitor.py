"""The flow: run events in, decisions out. Reads like the picture in the README.

    source ─┬─> key groups ──> decisions ──> sink
            └─> dead letters ─────────────> their sink
"""

from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.operators import KeyedStream
from bytewax.outputs import Sink

from dataflows.dead_letters import DeadLetter
from dataflows.engine.delivery import Item
from dataflows.engine.group_logic import Build


def build_flow(source: Source[Item], groups: Build, decisions_to: Sink, dead_letters_to: Sink) -> Dataflow:
    """Wire the monitor. Step ids are part of the recovery store: renaming one orphans its state.

    `decisions_to` takes `(key group, Decision)`, `dead_letters_to` takes `(position, DeadLetter)`.
    """
    flow = Dataflow("monitor")
    read = op.input("events", flow, source)
    sorted_out = op.branch("usable", read, lambda item: not isinstance(item, DeadLetter))
    deliveries: KeyedStream = sorted_out.trues  # type: ignore[assignment]  # what is no dead letter has a key
    decisions = op.stateful_batch("detect", deliveries, groups)
    op.output("decisions", decisions, decisions_to)
    dead = op.map("position", sorted_out.falses, lambda item: (f"{item.position.offset}", item))
    op.output("dead_letters", dead, dead_letters_to)
    return flow
