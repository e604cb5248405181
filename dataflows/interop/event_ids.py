"""The ids of events whose senders have other ways to name them."""

import hashlib
import json


def event_id_of(*parts: str) -> str:
    """The id of an event that these parts name; the same parts give the same id, others another one.

    SHA-256, in hexadecimal, of the parts as a JSON array without spaces, in which all that is not ASCII is escaped:
    `["/jobs","42"]`. A sender can compute it, and a part can't run into the next one.
    """
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()
