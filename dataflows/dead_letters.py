"""What becomes of a message that can't be used: its code, its place, and why, without any of its values."""

import base64
from datetime import datetime
from enum import StrEnum

import msgspec


class DeadLetterCode(StrEnum):
    """Why a message can't be used. When several apply, the first in this order (spec 10)."""

    TOO_LARGE = "too_large"  #: more than 1 MiB
    NOT_JSON = "not_json"  #: no JSON text, or not UTF-8
    NOT_AN_OBJECT = "not_an_object"  #: JSON, but no object
    MISSING_FIELD = "missing_field"  #: a required field is absent or null
    INVALID_FIELD = "invalid_field"  #: a field has the wrong type or a value outside its range
    NAIVE_TIMESTAMP = "naive_timestamp"  #: a time without an offset
    FUTURE_TIMESTAMP = "future_timestamp"  #: ahead of the receiving clock by more than the allowed skew
    TENANT_MISMATCH = "tenant_mismatch"  #: the registry gives the version or workflow to somebody else
    UNKNOWN_AUTOMATION_VERSION = "unknown_automation_version"  #: the registry does not have the version
    CONFLICTING_RUN = "conflicting_run"  #: a second, different record of a run (spec 50.1)


class Unusable(Exception):  # noqa: N818  (it is what the message is, not an error of ours)
    """A message can't be used. Raised by decoding and identity, caught where dead letters are made.

    `explanation` names the field and the rule, never a value: it is shown to operators.
    """

    def __init__(self, code: DeadLetterCode, explanation: str) -> None:
        super().__init__(f"{code.value}: {explanation}")
        self.code = code
        self.explanation = explanation


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where a message was read: `source` is a topic or a file, `partition` -1 for a file.

    `offset` is the Kafka offset, or the byte offset of the line in its file.
    """

    source: str
    partition: int
    offset: int


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that can't be used, with all that is needed to look at it again or to feed it in again."""

    position: Position
    code: DeadLetterCode
    explanation: str
    #: The message as it came. A line beyond `MAX_KEPT_BYTES` keeps its beginning; `size` tells, and the
    #: position says where the whole of it is.
    raw: bytes
    #: Of the whole message, hexadecimal.
    sha256: str
    size: int


#: A file may hold one endless line; memory may not.
MAX_KEPT_BYTES = 4 << 20


def encode_dead_letter(dead_letter: DeadLetter, time: datetime) -> bytes:
    """A dead letter as one JSON object; the raw bytes in Base64, since they may be anything."""
    position = dead_letter.position
    if position.partition < 0:
        place: dict[str, object] = {"file": position.source, "byte_offset": position.offset}
    else:
        place = {"topic": position.source, "partition": position.partition, "offset": position.offset}
    row = {
        "code": dead_letter.code.value,
        "explanation": dead_letter.explanation,
        **place,
        "time": time,
        "size": dead_letter.size,
        "sha256": dead_letter.sha256,
        "raw_base64": base64.b64encode(dead_letter.raw).decode(),
    }
    return msgspec.json.encode(row)
