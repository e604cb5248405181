"""The flow: run events in, decisions out. Reads like the picture in the README.

source with its lanes ─┬─> decisions ─────────────────────────────┬─> sink
                       ├─> reports ─> silence of the stream ──────┤
                       ├─> runs with credits ─> what is too much ─┤
                       │                                          └─> ledger
                       └─> dead letters ─> their sink

Each lane judges its events where they are read, so no event flows (docs/decisions/0007).
"""

from collections.abc import Callable
from typing import Any, TypeGuard

from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.outputs import Sink

from dataflows.credit_runs import CreditRun
from dataflows.dead_letters import DeadLetter
from dataflows.decisions import Decision
from dataflows.detectors.silence import StreamSilence
from dataflows.engine.credit_logic import CreditLogic, Said, to_parts
from dataflows.engine.credit_records import CreditReport
from dataflows.engine.host import Item
from dataflows.engine.stream_logic import StreamReport, stream_logic

SecondStage = Callable[[bytes | None], CreditLogic]

#: Where dead letters go, unless their sink needs another name.
DEAD_LETTERS_STEP = "dead_letters"


def build_flow(
    source: Source[Item],
    silence: StreamSilence | None,
    decisions_to: Sink[Any],
    dead_letters_to: Sink[Any],
    dead_letters_step: str = DEAD_LETTERS_STEP,
    *,
    second_stage: SecondStage | None = None,
    credit_runs_to: Sink[Any] | None = None,
) -> Dataflow:
    """Wire the monitor. Step ids are part of the recovery store: renaming one orphans its state.

    `silence` is the whole stream's switch, None where it is off.

    `decisions_to` takes `(decision id, Decision)`, `dead_letters_to` takes `(offset, DeadLetter)`. A sink with
    parts needs a step of its own: the recovery store takes none back that another sink had under the same name.
    `second_stage` judges what runs cost, and nobody does without it; `credit_runs_to` takes
    `(execution id of the first, [CreditRun, ...])`.
    """
    flow = Dataflow("monitor")
    read = op.input("events", flow, source)
    parted = op.branch("decided", read, _is_decision)
    others = op.branch("reported", parted.falses, _is_report)
    decided = op.map("id", parted.trues, _by_id)
    if silence is not None:
        reports = op.map("stream", others.trues, _to_one_place)
        silences = op.stateful_batch("silence", reports, stream_logic(silence))
        decided = op.merge("all", decided, op.map("silence_id", silences, _by_id_alone))
    charged = op.branch("charged", others.falses, _is_credit_report)
    if second_stage is not None:
        parts = op.flat_map("credit_parts", charged.trues, to_parts)
        judged = op.map("credit_part", op.stateful_batch("credits", parts, second_stage), _without_part)
        incidents = op.branch("credits_decided", judged, _is_incident)
        decided = op.merge("all_with_credits", decided, op.map("incident_id", incidents.trues, _by_id))
        if credit_runs_to is not None:
            op.output("credit_runs", op.map("execution_id", incidents.falses, _by_execution), credit_runs_to)
    op.output("decisions", decided, decisions_to)
    op.output(dead_letters_step, op.map("offset", charged.falses, _by_offset), dead_letters_to)
    return flow


def _is_decision(item: Item) -> TypeGuard[Decision]:
    return isinstance(item, Decision)


def _by_id(decision: Decision) -> tuple[str, Decision]:
    return decision.decision_id, decision


def _is_report(item: Item) -> TypeGuard[StreamReport]:
    return isinstance(item, StreamReport)


def _to_one_place(report: StreamReport) -> tuple[str, StreamReport]:
    return "stream", report


def _by_id_alone(keyed: tuple[str, Decision]) -> tuple[str, Decision]:
    return _by_id(keyed[1])


def _is_credit_report(item: Item) -> TypeGuard[CreditReport]:
    return isinstance(item, CreditReport)


def _without_part(keyed: tuple[str, Said]) -> Said:
    return keyed[1]


def _is_incident(said: Said) -> TypeGuard[Decision]:
    return isinstance(said, Decision)


def _by_execution(said: Said) -> tuple[str, list[CreditRun]]:
    assert isinstance(said, list)
    return said[0].execution_id, said


def _by_offset(item: Item) -> tuple[str, DeadLetter]:
    assert isinstance(item, DeadLetter)
    return str(item.position.offset), item
