"""The blacklist in this process, kept as Redis has it (spec 40.3).

A change is told and taken in at once. Whether nothing was missed is asked for every `BEAT`: the copy may be used for
`MAX_AGE` after the moment at which Postgres said last that this version holds, by a clock that no pause stops.
"""

import threading
import time
from dataclasses import dataclass
from datetime import timedelta

import redis
import structlog

from lifecycle.breaker.shared_copy import Change, Key, SharedCopy, Stamp, decode_change

#: How often the copy is compared.
BEAT = timedelta(milliseconds=150)

#: A change is seen everywhere within a second (spec 40.3).
MAX_AGE = timedelta(milliseconds=950)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Copy:
    """Who is on the blacklist, as of one version."""

    version: int
    members: frozenset[Key]


def after(copy: Copy, change: Change) -> Copy | None:
    """The copy with a change in it; None when it has to be read anew. One that it has already changes nothing."""
    if change.before is None:
        return None
    if change.after <= copy.version:
        return copy
    if change.before != copy.version:
        return None
    return Copy(change.after, copy.members - change.removed | change.added)


class BlacklistFollower(threading.Thread):
    """Keeps the copy. It dies with the process."""

    def __init__(self, client: redis.Redis, shared: SharedCopy) -> None:
        super().__init__(name="blacklist-follower", daemon=True)
        self._client = client
        self._shared = shared
        self._ending = threading.Event()
        self._is_away = False
        self._copy: Copy | None = None
        #: Until when the copy may be used, of the monotonic clock.
        self._fresh_until = 0.0

    def answer(self, key: Key) -> bool | None:
        """Whether a workflow is on the list; None when this process does not know for sure. Below 1 µs."""
        copy = self._copy
        if copy is None or time.monotonic() >= self._fresh_until:
            return None
        return key in copy.members

    def close(self) -> None:
        """Follow no longer: the copy is of no use any more."""
        self._ending.set()
        self._fresh_until = 0.0

    def run(self) -> None:
        """Follow, again and again."""
        while not self._ending.is_set():
            try:
                self._follow()
            except redis.RedisError as error:
                if not self._is_away:
                    _log.warning("blacklist_copy_unconfirmed", error=type(error).__name__)
                self._is_away = True
                self._ending.wait(BEAT.total_seconds())
        self._fresh_until = 0.0

    def _follow(self) -> None:
        with self._client.pubsub(ignore_subscribe_messages=True) as told:  # type: ignore[no-untyped-call]
            told.subscribe(self._shared.channel)
            compared = 0.0
            while not self._ending.is_set():
                now = time.monotonic()
                if now >= compared:
                    self._compare()
                    compared = now + BEAT.total_seconds()
                # After an answer, so that a paused Redis is noticed by the question and not by silence.
                message = told.get_message(timeout=max(0.0, compared - time.monotonic()))
                if message is not None and self._copy is not None:
                    self._copy = after(self._copy, decode_change(message["data"]))
                    if self._copy is None:
                        compared = 0.0

    def _compare(self) -> None:
        asked = time.monotonic()
        copy, stamp = self._copy, self._shared.stamp()
        if copy is None or (stamp is not None and stamp.version != copy.version):
            loaded = self._shared.load()
            if loaded is None:
                return
            stamp, members = loaded
            copy = Copy(stamp.version, members)
        if stamp is not None and is_current(stamp):
            # The copy first: what is fresh must be this one.
            self._copy = copy
            self._fresh_until = asked + (MAX_AGE - stamp.age).total_seconds()
            self._is_away = False


def is_current(stamp: Stamp) -> bool:
    """Whether Postgres said so a moment ago. A negative age is a clock that was set back: nobody knows then."""
    return timedelta(0) <= stamp.age < MAX_AGE
