"""Ids that follow from their cause, so that doing a thing twice names it twice the same."""

import uuid
from hashlib import sha1

_NAMESPACE = uuid.UUID("3c1f4b5e-6f0a-5f0e-9d57-3f2b8a6f1c2d").bytes


def stable_id(*parts: str) -> str:
    """The UUIDv5 of the parts. The lengths go in too, so `("a", "bc")` and `("ab", "c")` differ."""
    name = "|".join([f"{len(part)}:{part}" for part in parts])
    # `uuid.uuid5` without the objects in between: the gate makes 20,000 of these a second.
    digest = bytearray(sha1(_NAMESPACE + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
