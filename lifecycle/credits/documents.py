"""JSON documents that people keep: written whole or not at all, numbers as they are, with a hash beside them."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder(decimal_format="number")


def to_json(value: Any) -> bytes:
    """A document's bytes: two spaces of indentation, a line's end at the end; decimals as numbers with all digits."""
    return msgspec.json.format(_encoder.encode(value), indent=2) + b"\n"


def sha256_hex(content: bytes) -> str:
    """What stands in the `.sha256` beside a document."""
    return hashlib.sha256(content).hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Put a file in a place: readers see the old one or the new one, also after a crash. `OSError` leaves the old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
