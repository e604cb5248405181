"""Lines of a file of any size, in bounded memory."""

import gzip
import hashlib
import sys
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from dataflows.dead_letters import MAX_KEPT_BYTES
from dataflows.events import MAX_MESSAGE_BYTES

#: Small enough that no line inside one chunk can be too large, so that whole chunks are decoded at once.
CHUNK = 96 * 1024

_GZIP_MAGIC = b"\x1f\x8b"


class Oversized(NamedTuple):
    """A line that is too large to be a message; `kept` is its beginning."""

    offset: int
    kept: bytes
    size: int
    sha256: str


class Lines(NamedTuple):
    """Lines without their ends, and the byte offset of the first."""

    offset: int
    lines: list[bytes]
    #: What they were parted from; may go on with the beginning of the next one.
    text: bytes

    def offset_of(self, index: int) -> int:
        """The byte offset of one of the lines."""
        return self.offset + sum(len(line) + 1 for line in self.lines[:index])


class _Packed(gzip.GzipFile):
    """A packed file that closes the file it reads from, too; damage of any kind is an `OSError`."""

    def __init__(self, raw: BinaryIO) -> None:
        super().__init__(fileobj=raw)
        self._raw = raw

    def read(self, size: int | None = -1) -> bytes:
        try:
            return super().read(size)
        except (EOFError, zlib.error):
            raise gzip.BadGzipFile("damaged, or not all of it is there") from None

    def close(self) -> None:
        super().close()
        self._raw.close()


class LineReader:
    """Reads lines from a byte offset on, a chunk at a time; a last line without an end is a line."""

    def __init__(self, file: BinaryIO, offset: int = 0) -> None:
        """`file` stands at `offset`, the beginning of a line."""
        self._file = file
        self._rest = b""
        #: Read already, and to be looked at next.
        self._ahead = b""
        #: Byte offset of the first line that was not handed out.
        self.offset = offset

    def read(self) -> Lines | Oversized | None:
        """The next lines, at most about `CHUNK` bytes of them; None at the end."""
        while True:
            data = self._next()
            if not data:
                return self._last()
            text = self._rest + data
            lines = text.split(b"\n")
            self._rest = lines.pop()
            if lines:
                return self._lines(lines, text, len(text) - len(self._rest))
            if len(self._rest) > MAX_MESSAGE_BYTES + len(b"\r"):
                return self._oversized()

    def _next(self) -> bytes:
        data, self._ahead = self._ahead, b""
        return data or self._file.read(CHUNK)

    def _last(self) -> Lines | None:
        whole, self._rest = self._rest, b""
        return self._lines([whole], whole, len(whole)) if whole else None

    def _lines(self, lines: list[bytes], text: bytes, size: int) -> Lines:
        part = Lines(self.offset, lines, text)
        self.offset += size
        return part

    def _oversized(self) -> Oversized:
        """Run to the end of an endless line, keeping its beginning only."""
        digest = hashlib.sha256()
        kept, size, data = b"", 0, self._rest
        self._rest = b""
        while data:
            line, end, rest = data.partition(b"\n")
            digest.update(line)
            size += len(line)
            kept += line[: MAX_KEPT_BYTES - len(kept)]
            if end:
                self._ahead = rest
                break
            data = self._next()
        offset = self.offset
        self.offset += size + (1 if data else 0)
        return Oversized(offset, kept, size, digest.hexdigest())


def open_events(path: Path | None) -> BinaryIO:
    """A file of events, unpacked if it is gzip; None is standard input. `OSError` when it can't be read."""
    if path is None:
        return sys.stdin.buffer
    raw = path.open("rb")
    return cast("BinaryIO", _Packed(raw)) if raw.peek(2)[:2] == _GZIP_MAGIC else raw
