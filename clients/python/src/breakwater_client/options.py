"""How a client behaves; everything has a default that is right in production."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, StrEnum


class Trigger(StrEnum):
    """What wants to start a run."""

    SCHEDULE = "schedule"
    WEBHOOK = "webhook"
    API = "api"
    MANUAL = "manual"


class Fallback(Enum):
    """What the verdict is when the gate can't be asked."""

    CLOSED = "closed"  #: the run does not start
    OPEN = "open"  #: it starts, unless the gate has said less than `remember` ago that it may not
    RAISE = "raise"  #: `UnavailableError`, for a caller that decides by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Times and fallbacks. `ValueError` for numbers that make no sense."""

    #: For one try.
    timeout: timedelta = timedelta(seconds=1)
    #: For a question with all its tries; nobody waits longer than this.
    deadline: timedelta = timedelta(seconds=5)
    #: Before the second try; doubled before each later one, up to `longest_pause`, and drawn by lot below that.
    first_pause: timedelta = timedelta(milliseconds=100)
    longest_pause: timedelta = timedelta(seconds=1)
    fallback: Fallback = Fallback.CLOSED
    #: For how long a refusal is remembered, for `Fallback.OPEN` alone; an answer of the gate is always newer.
    remember: timedelta = timedelta(minutes=10)

    def __post_init__(self) -> None:
        if not timedelta(0) < self.timeout <= self.deadline:
            raise ValueError("timeout: more than nothing, and no longer than the deadline")
        if not timedelta(0) < self.first_pause <= self.longest_pause:
            raise ValueError("first_pause: more than nothing, and no longer than the longest")
