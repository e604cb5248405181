"""Run events from files: each file is a lane, read to its end (spec 80.1, `--source file:PATH`)."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from dataflows.engine.host import Host, Item
from dataflows.intake import Intake
from dataflows.registry import Registry
from dataflows.sources.lines import LineReader, Oversized, open_events
from dataflows.sources.stop import StopRequest
from dataflows.times import AT_ONCE

#: Chunks of a file for which the engine is asked once.
CHUNKS = 8


class FilePosition(msgspec.Struct, array_like=True, frozen=True):
    """How far a file was read; what recovery keeps of it."""

    offset: int = 0
    #: The file's end was reached, and what was due by then was decided.
    ended: bool = False


class FilePartition(StatefulSourcePartition[Item, bytes]):
    """One file."""

    def __init__(self, path: Path, name: str, registry: Registry, stop: StopRequest, host: Host) -> None:
        position = FilePosition()
        if host.position is not None:
            position = msgspec.msgpack.decode(host.position, type=FilePosition)
        self._file = open_events(path)
        self._file.seek(position.offset)
        self._reader = LineReader(self._file, position.offset)
        self._host = host
        self._intake = Intake(name, -1, registry)
        self._stop = stop
        self._ended = position.ended

    def next_batch(self) -> list[Item]:
        """What some chunks of the file came to; after the last one, the end of time."""
        if self._stop.requested:
            raise StopIteration
        items: list[Item] = []
        for _ in range(CHUNKS):
            part = self._reader.read()
            if part is None:
                return items + self._finish()
            self._ended = False
            if isinstance(part, Oversized):
                items.append(self._intake.too_large(part))
            else:
                taken = self._intake.take(part.lines, part.offset_of, text=part.text)
                items += taken.dead_letters
                items += self._host.judge(taken.events, taken.times)
                items += [taken.contradicts(index) for index in self._host.lane.take_conflicts()]
        return items + self._host.report()

    def _finish(self) -> list[Item]:
        """Decide what is due by the end of the file; the second time there is nothing more to say."""
        if self._ended:
            raise StopIteration
        self._ended = True
        return self._host.finish()

    def next_awake(self) -> datetime:
        """At once."""
        return AT_ONCE

    def snapshot(self) -> bytes:
        """The position after the last line handed on, and the lane."""
        return self._host.snapshot(msgspec.msgpack.encode(FilePosition(self._reader.offset, self._ended)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FileSource(FixedPartitionedSource[Item, bytes]):
    """A file of run events, or a folder of them: `*.ndjson`, `*.ndjson.gz`.

    Each file of a folder is a lane, as a partition of a topic is: all events of a workflow must be in one of them.
    The files are read side by side.
    """

    def __init__(
        self,
        path: Path,
        registry: Callable[[], Registry],
        new_host: Callable[[str, bytes | None], Host],
        stop: StopRequest,
    ) -> None:
        """`new_host` gets a lane's name and snapshot. `FileNotFoundError` when there is nothing to read."""
        files = [path]
        if path.is_dir():
            files = sorted([*path.glob("*.ndjson"), *path.glob("*.ndjson.gz")])
        self._files = {file.name: file for file in files}
        if not self._files or not all(file.is_file() for file in self._files.values()):
            raise FileNotFoundError(f"{path}: no such file, and no folder with *.ndjson files")
        self._registry = registry
        self._new_host = new_host
        self._stop = stop

    def list_parts(self) -> list[str]:
        """One partition a file."""
        return list(self._files)

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> FilePartition:  # noqa: ARG002
        """Open a file where it was left."""
        host = self._new_host(for_part, resume_state)
        return FilePartition(self._files[for_part], for_part, self._registry(), self._stop, host)
