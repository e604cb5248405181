"""When the demo is asked to end: nothing is interrupted, and it is known at the next look."""

import os
import signal
from collections.abc import Iterator

import pytest

from cli.demo.ending import Ending, StopAskedError

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS, ids=["Ctrl-C", "SIGTERM", "SIGHUP"])
def test_a_signal_is_noted_until_somebody_looks(number: signal.Signals) -> None:
    ending = Ending()
    ending.check()
    os.kill(os.getpid(), number)
    assert ending.is_asked
    with pytest.raises(StopAskedError):
        ending.check()


def test_a_second_time_does_not_cut_off_what_the_first_one_has_begun() -> None:
    ending = Ending()
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    assert ending.is_asked
