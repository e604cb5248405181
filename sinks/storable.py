"""What is said of credits as Postgres can hold it: it has no NUL in texts, and senders choose some of theirs (60.1)."""

from typing import Any

import msgspec

from dataflows.decisions import Decision, DecisionKind, encode_decision

_NUL = b"\\u0000"
_OF_CREDITS = frozenset({DecisionKind.CREDIT_INCIDENT, DecisionKind.SPEND_ANOMALY})


def storable(decision: Decision) -> Decision:
    """One of credits with replacement characters for NULs, as the ledger writes its runs; any other as it is.

    Were it refused for a NUL, a sender could have what its runs cost told to nobody by the name of a scenario or a run.
    """
    if decision.kind not in _OF_CREDITS or _NUL not in encode_decision(decision):
        return decision
    return msgspec.convert(without_nul(msgspec.to_builtins(decision)), Decision)


def without_nul(value: Any) -> Any:
    """The same, however deep, with a replacement character for each NUL."""
    if isinstance(value, str):
        return value.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, list):
        return [without_nul(one) for one in value]
    if isinstance(value, dict):
        return {without_nul(name): without_nul(one) for name, one in value.items()}
    return value
