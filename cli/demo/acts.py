"""Acts: things that somebody does one after the other, each once what went before has come true."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from cli.demo.api_client import Answer
from cli.demo.narration import Line, Tone, api_line


@dataclass(frozen=True)
class Deed:
    """Something that is done once: `pause` after what went before, as soon as `is_due`.

    `do` gives what is to be shown, or None to be asked again.
    """

    text: str
    do: Callable[[], list[Line] | None]
    pause: timedelta = timedelta(0)
    is_due: Callable[[], bool] = lambda: True


class Act:
    """Deeds in their order."""

    def __init__(self, deeds: Iterable[Deed]) -> None:
        """Nothing is done yet; the first one's pause counts from the start of the demo."""
        self._deeds = deque(deeds)
        self._done_at = timedelta(0)

    def go_on(self, since: timedelta) -> list[Line]:
        """Do what is due so long after the start."""
        lines: list[Line] = []
        while self._deeds and since - self._done_at >= self._deeds[0].pause and self._deeds[0].is_due():
            deed = self._deeds[0]
            shown = deed.do()
            if shown is None:
                break
            self._deeds.popleft()
            self._done_at = since
            lines += [Line("·", deed.text, Tone.STORY), *shown]
        return lines


def told(answer: Answer | None, outcome: Callable[[dict[str, Any]], str]) -> list[Line] | None:
    """What the API said: the error's code, or the outcome; None, to ask again, when it said nothing."""
    if answer is None:
        return None
    is_refused = answer.code >= HTTPStatus.BAD_REQUEST
    return [api_line(answer, str(answer.body["error_code"]) if is_refused else outcome(answer.body))]
