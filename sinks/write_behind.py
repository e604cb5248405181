"""Writing beside the stream: one thread, a bounded queue, and a way to wait until all is written."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

X = TypeVar("X")

#: Items that wait or are being written, and their bytes, when whoever brings more is held back.
MAX_COUNT = 10_000
MAX_BYTES = 16 << 20


class WriteBehind(Generic[X]):
    """Writes what it is given in its order, as much at once as has come meanwhile.

    Memory is bounded by `max_count` and `max_bytes`, and one batch beyond. An error of `write` ends it: `put` and
    `wait` raise it from then on. Whoever keeps a position must `wait` before it is kept, else what waits is lost when
    the process dies.
    """

    def __init__(
        self,
        write: Callable[[Sequence[X]], None],
        size_of: Callable[[X], int],
        *,
        max_count: int = MAX_COUNT,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """`write` is called by a thread of its own, which dies with the process; what it took is durable then."""
        self._write = write
        self._size_of = size_of
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._queue: list[X] = []
        #: Those in the queue and those being written.
        self._count = self._bytes = 0
        self._error: Exception | None = None
        self._is_closed = False
        threading.Thread(target=self._run, name="write-behind", daemon=True).start()

    def put(self, items: Sequence[X]) -> None:
        """Hand over a batch. Blocks while a bound is reached."""
        size = sum(map(self._size_of, items))
        with self._changed:
            self._wait_for(lambda: self._count < self._max_count and self._bytes < self._max_bytes)
            self._queue += items
            self._count += len(items)
            self._bytes += size
            self._changed.notify_all()

    def wait(self) -> None:
        """Block until all that was put is written."""
        with self._changed:
            self._wait_for(lambda: not self._count)

    def close(self) -> None:
        """Let the thread end when the queue is empty; does not wait for it."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _wait_for(self, holds: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self._error is not None or holds())
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._is_closed)
                items, self._queue = self._queue, []
            if not items:
                return
            size = sum(map(self._size_of, items))
            try:
                self._write(items)
            except Exception as error:  # noqa: BLE001  (raised again where somebody listens)
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._count -= len(items)
                self._bytes -= size
                self._changed.notify_all()
