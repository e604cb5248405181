"""Run events from files: each file is a partition, read to its end (spec 80.1, `--source file:PATH`)."""

from collections.abc import Callable
from pathlib import Path

import msgspec
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from dataflows.engine.delivery import Item, Router
from dataflows.engine.key_groups import Stamped
from dataflows.engine.watermarks import Watermark
from dataflows.intake import Intake, Taken
from dataflows.registry import Registry
from dataflows.sources.lines import LineReader, Oversized, open_events
from dataflows.sources.stop import StopRequest
from dataflows.times import NEVER

#: Chunks of a file that are handed on together: more of them make fewer items for the same events.
CHUNKS = 8


class FilePosition(msgspec.Struct, array_like=True, frozen=True):
    """How far a file was read; what recovery keeps of it."""

    offset: int = 0
    arrival: int = 0
    watermark: int = NEVER
    highest: int = NEVER
    #: The file's end was reached and told to the groups.
    ended: bool = False


class FilePartition(StatefulSourcePartition[Item, bytes]):
    """One file."""

    def __init__(
        self,
        path: Path,
        name: str,
        registry: Registry,
        allowed_lateness: int,
        stop: StopRequest,
        position: FilePosition,
    ) -> None:
        self._file = open_events(path)
        self._file.seek(position.offset)
        self._reader = LineReader(self._file, position.offset)
        self._watermark = Watermark(allowed_lateness, position.watermark, position.highest)
        self._intake = Intake(name, -1, registry, self._watermark, arrival=position.arrival)
        self._router = Router(name)
        self._stop = stop
        self._ended = position.ended

    def next_batch(self) -> list[Item]:
        """Some chunks of the file; after the last one, the end of time."""
        if self._stop.requested:
            raise StopIteration
        events: list[Stamped] = []
        items: list[Item] = []
        for _ in range(CHUNKS):
            part = self._reader.read()
            if part is None:
                break
            self._ended = False
            if isinstance(part, Oversized):
                items.append(self._intake.too_large(part))
                continue
            taken: Taken = self._intake.take(part.lines, part.offset_of)
            items += taken.dead_letters
            events += taken.events
        else:
            return items + self._router.route(events, self._watermark.value, tick=False)
        if self._ended:
            raise StopIteration
        self._ended = True
        self._watermark.finish()
        return [*items, *self._router.route(events, self._watermark.value, tick=True)]

    def snapshot(self) -> bytes:
        """The position after the last line handed on."""
        position = FilePosition(
            self._reader.offset,
            self._intake.arrival,
            self._watermark.value,
            self._watermark.highest,
            self._ended,
        )
        return msgspec.msgpack.encode(position)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FileSource(FixedPartitionedSource[Item, bytes]):
    """A file of run events, or a folder of them: `*.ndjson`, `*.ndjson.gz`.

    Each file of a folder is a partition, as of a topic: all events of a workflow must be in one of them, and the
    files are read side by side. Where they are not, `breakwater_workflows_moved_total` counts.
    """

    def __init__(self, path: Path, registry: Callable[[], Registry], allowed_lateness: int, stop: StopRequest) -> None:
        """`allowed_lateness` in microseconds. `FileNotFoundError` when there is nothing to read."""
        files = [path]
        if path.is_dir():
            files = sorted([*path.glob("*.ndjson"), *path.glob("*.ndjson.gz")])
        self._files = {file.name: file for file in files}
        if not self._files or not all(file.is_file() for file in self._files.values()):
            raise FileNotFoundError(f"{path}: no such file, and no folder with *.ndjson files")
        self._registry = registry
        self._lateness = allowed_lateness
        self._stop = stop

    def list_parts(self) -> list[str]:
        """One partition a file."""
        return list(self._files)

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> FilePartition:  # noqa: ARG002
        """Open a file where it was left."""
        position = FilePosition() if resume_state is None else msgspec.msgpack.decode(resume_state, type=FilePosition)
        return FilePartition(self._files[for_part], for_part, self._registry(), self._lateness, self._stop, position)
