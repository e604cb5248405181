"""The product's file detectors, as a function over lines."""

import io
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from config.auth_errors import load_auth_errors
from config.policies import parse_policies
from dataflows.decisions import encode_decision
from dataflows.engine.detector_sets import DetectorFactory
from dataflows.registry import Binding, Registry, StaticRegistry, TrustingRegistry
from dataflows.replay import Replay
from dataflows.sources.lines import LineReader
from dataflows.times import NEVER, micros, to_micros
from tests.reference.oracle import Decision
from tests.reference.streams import Stream

LATENESS = timedelta(seconds=60)


class Outcome(NamedTuple):
    """What was decided, in order, and the counts."""

    decisions: list[Decision]
    summary: dict[str, Any]


def is_auth_failure(event: dict[str, Any]) -> bool:
    """The shipped classifier, asked the way the reference asks."""
    return load_auth_errors().is_auth_failure(
        event.get("http_status"), event.get("error_code"), event.get("error_message"), event.get("system_key")
    )


def detectors(policies: dict[str, Any] | None) -> DetectorFactory:
    """The detectors for a policy document."""
    parsed = parse_policies(policies, allowed_lateness=LATENESS)
    return DetectorFactory(parsed, load_auth_errors(), micros(LATENESS))


def registry(rows: list[dict[str, Any]] | None) -> Registry:
    """The registry of a stream."""
    if rows is None:
        return TrustingRegistry()
    return StaticRegistry({row["automation_version_id"]: msgspec.convert(row, Binding) for row in rows})


def replay(stream: Stream, *, lines: Sequence[bytes] | None = None) -> Outcome:
    """Run a stream, or other lines in its stead, through the product."""
    decisions: list[Decision] = []
    product = Replay(
        detectors(stream.policies),
        registry(stream.registry),
        micros(LATENESS),
        on_decision=lambda decision: decisions.append(json.loads(encode_decision(decision))),
        on_dead_letter=lambda _: None,
    )
    text = b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines or stream.lines)
    product.feed("stream", LineReader(io.BytesIO(text)), lambda _: None)
    until = NEVER if stream.until is None else to_micros(msgspec.convert(stream.until, datetime))
    product.finish(until)
    return Outcome(decisions, product.summary())
