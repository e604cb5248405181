"""Ids that follow from their cause, so that doing a thing twice names it twice the same."""

import uuid

_NAMESPACE = uuid.UUID("3c1f4b5e-6f0a-5f0e-9d57-3f2b8a6f1c2d")


def stable_id(*parts: str) -> str:
    """The UUIDv5 of the parts. The lengths go in too, so `("a", "bc")` and `("ab", "c")` differ."""
    return str(uuid.uuid5(_NAMESPACE, "|".join(f"{len(part)}:{part}" for part in parts)))
