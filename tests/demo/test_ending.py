"""When the demo is asked to end: interrupted while it starts, at the end of a round later."""

import os
import signal
from collections.abc import Iterator

import pytest

from cli.demo.ending import Ending, StopAsked

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS, ids=["Ctrl-C", "SIGTERM", "SIGHUP"])
def test_what_waits_is_interrupted(number: signal.Signals) -> None:
    ending = Ending()
    with pytest.raises(StopAsked):
        os.kill(os.getpid(), number)
    assert ending.is_asked


@pytest.mark.parametrize("number", NUMBERS, ids=["Ctrl-C", "SIGTERM", "SIGHUP"])
def test_whoever_looks_often_is_not_interrupted(number: signal.Signals) -> None:
    ending = Ending()
    ending.only_note()
    assert not ending.is_asked
    os.kill(os.getpid(), number)
    assert ending.is_asked


def test_a_second_time_does_not_cut_off_what_the_first_one_has_begun() -> None:
    ending = Ending()
    with pytest.raises(StopAsked):
        os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    assert ending.is_asked
