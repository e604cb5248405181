"""Show lines as they come: on a terminal with colours and a line of totals below, elsewhere as plain text."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from cli.demo.narration import Line, Tone, clock

_WORD_WIDTH = 10


class Screen:
    """May be used from several threads."""

    def __init__(self) -> None:
        self._console = Console(soft_wrap=True, highlight=False)
        self._status: Status | None = None
        self._lock = threading.Lock()

    def say(self, text: str, style: str = "") -> None:
        """Print a line."""
        with self._lock:
            if self._console.is_terminal:
                self._console.print(escape(text), style=style)
            else:
                print(text, flush=True)

    def show(self, line: Line) -> None:
        """Print what happened, and when, and where to read more below it."""
        time = clock(datetime.now(UTC))
        self.say(f"{time}  {line.word:<{_WORD_WIDTH}} {line.text}", line.tone.value)
        if line.more is not None:
            self.say(f"{'':{len(time)}}  {'':{_WORD_WIDTH}} {line.more}", Tone.QUIET.value)

    def set_footer(self, text: str) -> None:
        """Write over the line at the bottom; nothing where there is none."""
        if self._status is not None:
            self._status.update(escape(text))

    @contextmanager
    def footer(self) -> Iterator[None]:
        """Have a line at the bottom meanwhile, on a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status("") as self._status:
            yield
        self._status = None
