"""What is handed over is written in its order, in bounded memory, and waited for."""

import threading
from collections.abc import Sequence

import pytest

from sinks.write_behind import WriteBehind


class Gate:
    """A store that writes while it is open."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.open = threading.Event()
        self.entered = threading.Event()

    def write(self, items: Sequence[int]) -> None:
        self.entered.set()
        assert self.open.wait(60)
        self.written += items


def test_all_is_written_in_its_order_when_the_wait_ends() -> None:
    gate = Gate()
    gate.open.set()
    behind = WriteBehind(gate.write, lambda _: 1)
    for number in range(0, 300, 3):
        behind.put([number, number + 1, number + 2])
    behind.wait()
    assert gate.written == list(range(300))
    behind.close()


@pytest.mark.parametrize(
    ("max_count", "max_bytes"), [pytest.param(2, 1000, id="their number"), pytest.param(1000, 20, id="their bytes")]
)
def test_whoever_brings_more_than_the_bound_is_held_back(max_count: int, max_bytes: int) -> None:
    gate = Gate()
    behind = WriteBehind(gate.write, lambda _: 10, max_count=max_count, max_bytes=max_bytes)
    behind.put([1])
    assert gate.entered.wait(60)
    behind.put([2])
    third_is_in = threading.Event()

    def put_third() -> None:
        behind.put([3])
        third_is_in.set()

    thread = threading.Thread(target=put_third)
    thread.start()
    # That something does not happen can only be looked at for a while.
    assert not third_is_in.wait(0.2)
    gate.open.set()
    assert third_is_in.wait(60)
    thread.join()
    behind.wait()
    assert gate.written == [1, 2, 3]
    behind.close()


def test_the_error_that_ended_it_is_raised_to_whoever_waits_and_to_whoever_brings_more() -> None:
    def refuse(_: Sequence[int]) -> None:
        raise OSError("no room")

    behind = WriteBehind(refuse, lambda _: 1)
    behind.put([1])
    with pytest.raises(OSError, match="no room"):
        behind.wait()
    with pytest.raises(OSError, match="no room"):
        behind.put([2])
