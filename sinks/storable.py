"""Credit incidents as Postgres can hold them: it has no NUL in texts, and senders choose some of theirs (60.1)."""

from typing import Any

import msgspec

from dataflows.decisions import Decision, DecisionKind, encode_decision

_NUL = b"\\u0000"


def storable(decision: Decision) -> Decision:
    """A credit incident with replacement characters for NULs, as the ledger writes its run; any other as it is.

    Were it refused for a NUL, a sender could have what its runs cost told to nobody by the name of a scenario.
    """
    if decision.kind is not DecisionKind.CREDIT_INCIDENT or _NUL not in encode_decision(decision):
        return decision
    return msgspec.convert(_without_nul(msgspec.to_builtins(decision)), Decision)


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, list):
        return [_without_nul(one) for one in value]
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(one) for name, one in value.items()}
    return value
