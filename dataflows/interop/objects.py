"""JSON objects of other formats, read no further than they are needed."""

from collections.abc import Mapping
from typing import Any

import msgspec

from dataflows.dead_letters import DeadLetterCode, Unusable

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_skim = msgspec.json.Decoder(msgspec.Raw).decode
_decode_text = msgspec.json.Decoder(str).decode

Fields = dict[str, msgspec.Raw]


def read_object(raw: bytes) -> Fields:
    """The fields of an object, undecoded; a null one is left out, since null is the same as absent.

    `Unusable` when it is no object, no JSON, or not UTF-8.
    """
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise Unusable(DeadLetterCode.NOT_JSON, "not UTF-8") from None
    try:
        try:
            fields = _decode_object(raw)
        except msgspec.ValidationError:
            # What is no object is refused at its first character; the rest may still be no JSON.
            _skim(raw)
            raise Unusable(DeadLetterCode.NOT_AN_OBJECT, "JSON, but no object") from None
    except msgspec.DecodeError:
        raise Unusable(DeadLetterCode.NOT_JSON, "no JSON text") from None
    except RecursionError:
        raise Unusable(DeadLetterCode.NOT_JSON, "nested too deeply") from None
    return {name: value for name, value in fields.items() if bytes(value) != b"null"}


def write_object(fields: Mapping[str, Any]) -> bytes:
    """An object with these fields: read ones as they came, others encoded."""
    return msgspec.json.encode(fields)


def inner_object(fields: Fields, name: str) -> Fields | None:
    """The object that a field holds; None when the field is absent or holds something else."""
    if name not in fields:
        return None
    try:
        return read_object(bytes(fields[name]))
    except Unusable:
        return None


def text_in(fields: Fields, name: str) -> str | None:
    """The text that a field holds; None when the field is absent or holds something else."""
    try:
        return None if name not in fields else _decode_text(fields[name])
    except msgspec.DecodeError:
        return None


class Faults:
    """The faults of one object, so that all of a kind are named, absent fields before bad ones (spec 10)."""

    def __init__(self) -> None:
        self._missing: list[str] = []
        self._invalid: list[str] = []

    def missing(self, name: str) -> None:
        """Note that a field is needed and absent."""
        self._missing.append(name)

    def invalid(self, name: str) -> None:
        """Note that a field holds something that can't be used."""
        self._invalid.append(name)

    def text(self, fields: Fields, name: str, called: str | None = None) -> str:
        """The text of a field that is needed; a fault, and no text, when there is none. `called` is its full name."""
        found = text_in(fields, name)
        if name not in fields:
            self.missing(called or name)
        elif not found:
            self.invalid(called or name)
        return found or ""

    def object(self, fields: Fields, name: str) -> Fields:
        """The object of a field that is needed; a fault, and no fields, when there is none."""
        found = inner_object(fields, name)
        if name not in fields:
            self.missing(name)
        elif found is None:
            self.invalid(name)
        return found or {}

    def raise_first(self) -> None:
        """`Unusable` if there is a fault."""
        if self._missing:
            raise Unusable(DeadLetterCode.MISSING_FIELD, "missing: " + ", ".join(self._missing))
        if self._invalid:
            raise Unusable(DeadLetterCode.INVALID_FIELD, "invalid: " + ", ".join(self._invalid))
