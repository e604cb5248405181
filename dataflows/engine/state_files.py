"""What recovery keeps of a lane, in files of its own: all state now and then, in between only what has changed.

bytewax's store takes a snapshot as a whole, so a lane that remembers a million ids would be written anew at each
one. Here a snapshot costs what has happened since the last; the store holds the names of the files. Files are never
changed once they are named. (The same idea as incremental checkpoints over an LSM tree, without the tree: a lane is
read back as a whole.)
"""

import fcntl
import os
import secrets
import time
from collections import deque
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from zlib import crc32

import msgspec

#: Snapshots for which a file is kept that newer ones don't name: the engine goes back by one or two at most.
KEPT_FOR = 4

#: Changes may take this many bytes before all state is written again, however little that is.
LEAST = 1 << 20

#: They may be so many times as large as all state: twice as large makes a restart read half as much again, and a busy
#: lane write all of its state half as often.
OUTWEIGH = 2


#: Held by the process that has the lane, for its life.
LOCK = "lock"
LOCK_PATIENCE = timedelta(seconds=10)


class StateFile(msgspec.Struct, array_like=True, frozen=True):
    """A file as the recovery store knows it."""

    name: str
    size: int
    crc32: int


class UnusableStoreError(Exception):
    """The recovery store can't be read; the message says what of it, and why."""


class StateFiles:
    """The files of one lane. For one process at a time."""

    def __init__(self, folder: Path, current: list[StateFile]) -> None:
        """`current` is what the recovery store names; other files in the folder are of epochs that never ended."""
        self.current = current
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = _lock(folder)
        self._unnamed: deque[list[StateFile]] = deque()
        self._next = 1 + max((int(file.name.partition("-")[0]) for file in current), default=0)
        known = {file.name for file in current} | {LOCK}
        for path in folder.iterdir():
            if path.name not in known:
                path.unlink()

    @property
    def wants_everything(self) -> bool:
        """Whether the next file should hold all state: the changes since the last one outweigh it by far."""
        sizes = [file.size for file in self.current]
        return not sizes or sum(sizes[1:]) > max(OUTWEIGH * sizes[0], LEAST)

    def read(self) -> list[bytes]:
        """The contents, oldest first. `UnusableStoreError` when something is missing."""
        contents = []
        for file in self.current:
            path = self._folder / file.name
            try:
                content = path.read_bytes()
            except OSError as error:
                raise UnusableStoreError(f"{path}: {error.strerror}; it is part of the recovery store") from None
            if len(content) != file.size or crc32(content) != file.crc32:
                raise UnusableStoreError(f"{path}: damaged; it is part of the recovery store")
            contents.append(content)
        return contents

    def write(self, pieces: Iterable[bytes | bytearray], *, everything: bool) -> None:
        """Add a file, durable against the end of the machine; with `everything` it replaces those before."""
        name = f"{self._next:08d}-{secrets.token_hex(4)}"
        self._next += 1
        size = checksum = 0
        with (self._folder / name).open("xb") as out:
            for piece in pieces:
                out.write(piece)
                size += len(piece)
                checksum = crc32(piece, checksum)
            out.flush()
            os.fsync(out.fileno())
        file = StateFile(name, size, checksum)
        _sync_folder(self._folder)
        if everything:
            self._unnamed.append(self.current)
            self.current = [file]
        else:
            self._unnamed.append([])
            self.current = [*self.current, file]
        self._forget()

    def _forget(self) -> None:
        while len(self._unnamed) > KEPT_FOR:
            for file in self._unnamed.popleft():
                (self._folder / file.name).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _lock(folder: Path) -> int:
    """Take the lane for this process; `UnusableStoreError` when another one keeps it.

    Two at once would each remove what the other has written and not named yet. One that was killed may take a moment
    to be gone.
    """
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    give_up = time.monotonic() + LOCK_PATIENCE.total_seconds()
    while True:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            if time.monotonic() > give_up:
                os.close(handle)
                raise UnusableStoreError(f"{folder}: another process works with this recovery store") from None
            time.sleep(0.05)
        else:
            return handle
