"""Decisions and dead letters to a file, one JSON object a line."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from bytewax.outputs import DynamicSink, FixedPartitionedSink, StatefulSinkPartition, StatelessSinkPartition

from dataflows.credit_runs import CreditRun, encode_credit_runs
from dataflows.dead_letters import DeadLetter, encode_dead_letter
from dataflows.decisions import Decision, encode_decision

X = TypeVar("X")

#: What the recovery store keeps of a file: its path and its size.
FileEnd = tuple[str, int]

_BLOCK = 64 * 1024


class LinePartition(StatefulSinkPartition[X, FileEnd], Generic[X]):
    """The end of a file. After a restart it is cut back to where the recovery store says, so what is written
    again stands there once; without a store it is appended to, after its last whole line.
    """

    def __init__(self, path: Path, encode: Callable[[X], bytes], resume_at: int | None) -> None:
        self._path = str(path.resolve())
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+")
        self._encode = encode
        size = self._file.tell()
        # A file that is shorter than that was changed by somebody; a hole of zeros would not mend it.
        self._file.truncate(_end_of_lines(self._file, size) if resume_at is None else min(resume_at, size))
        self._file.seek(0, os.SEEK_END)

    def write_batch(self, values: list[X]) -> None:
        """Append; durable against the end of this process."""
        self._file.write(b"".join([self._encode(value) + b"\n" for value in values]))
        self._file.flush()

    def snapshot(self) -> FileEnd:
        """The size of the file, durable against the end of the machine."""
        os.fsync(self._file.fileno())
        return self._path, self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _end_of_lines(file: BinaryIO, size: int) -> int:
    """Where the last whole line ends: a process may have been killed in the middle of one."""
    end = size
    while end > 0:
        begin = max(0, end - _BLOCK)
        file.seek(begin)
        at = file.read(end - begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0


class LineSink(FixedPartitionedSink[X, FileEnd], Generic[X]):
    """One file; whatever the number of processes, one of them writes it."""

    def __init__(self, path: Path, encode: Callable[[X], bytes]) -> None:
        self._path = path
        self._encode = encode

    def list_parts(self) -> list[str]:
        """The one file. Its name stays the same, since a recovery store takes no part back that it doesn't know."""
        return ["file"]

    def part_fn(self, item_key: str) -> int:  # noqa: ARG002  (the engine's signature)
        """Everything goes there."""
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: FileEnd | None) -> LinePartition[X]:  # noqa: ARG002
        """Open the file; another one than before is not cut back to where that one was."""
        is_same = resume_state is not None and resume_state[0] == str(self._path.resolve())
        return LinePartition(self._path, self._encode, resume_state[1] if resume_state and is_same else None)


class _Nowhere(StatelessSinkPartition[object]):
    def write_batch(self, items: list[object]) -> None:
        pass


class NoSink(DynamicSink[object]):
    """Takes everything, keeps nothing: for dead letters that nobody asked for."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Nowhere:  # noqa: ARG002
        """One for each worker."""
        return _Nowhere()


def decision_sink(path: Path) -> LineSink[Decision]:
    """Decisions as lines."""
    return LineSink(path, encode_decision)


def credit_run_sink(path: Path) -> LineSink[list[CreditRun]]:
    """Records of runs with credits as lines; they come some at a time."""
    return LineSink(path, encode_credit_runs)


def dead_letter_sink(path: Path) -> LineSink[DeadLetter]:
    """Dead letters as lines."""
    return LineSink(path, lambda dead_letter: encode_dead_letter(dead_letter, datetime.now(UTC)))
