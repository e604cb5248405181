"""The blacklist as Redis holds it: who is on it, of which version, and as of when that was so in Postgres.

`confirmed_at` is a time of Redis's own clock, from before Postgres was asked. So whoever reads the copy learns an age
that can only be too great, however slow anybody was in between. A relay writes; it holds a lease, and a relay whose
lease has gone can't write any more.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import redis
import sqlalchemy as sa

from lifecycle.breaker.redis_client import prefix_of

#: (tenant id, workflow id).
Key = tuple[str, str]

_MILLISECOND = timedelta(milliseconds=1)

_NOW = "local t = redis.call('TIME'); local now = t[1] * 1000 + math.floor(t[2] / 1000); "

# KEYS: the lease. ARGV: who asks, for how long in ms.
_LEAD = (
    _NOW
    + """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return -1 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return now
"""
)

# KEYS: the lease. ARGV: who gives it back.
_RESIGN = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"

# KEYS: the lease, the copy. ARGV: who writes, confirmed_at, the version before (empty: everything follows), the version
# now, how many are new, the new ones, the gone ones; the channel, the message.
_WRITE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
if ARGV[3] == '' then
    redis.call('DEL', KEYS[2])
elseif redis.call('HGET', KEYS[2], 'version') ~= ARGV[3] then
    return 0
end
local added = tonumber(ARGV[5])
for i = 6, #ARGV - 2 do
    if i < 6 + added then redis.call('HSET', KEYS[2], ARGV[i], 1) else redis.call('HDEL', KEYS[2], ARGV[i]) end
end
redis.call('HSET', KEYS[2], 'version', ARGV[4], 'confirmed_at', ARGV[2])
if ARGV[3] ~= ARGV[4] then redis.call('PUBLISH', ARGV[#ARGV - 1], ARGV[#ARGV]) end
return 1
"""

# KEYS: the copy. Version and age in ms, nothing when there is no copy.
_STAMP = (
    _NOW
    + """
local stamp = redis.call('HMGET', KEYS[1], 'version', 'confirmed_at')
if not stamp[1] then return {} end
local found = {tonumber(stamp[1]), now - tonumber(stamp[2])}
"""
)
_READ_STAMP = _STAMP + "return found"

# The same, and everyone on the list, with the names of the two facts among them.
_LOAD = _STAMP + "found[3] = redis.call('HKEYS', KEYS[1]) return found"

# ARGV: one workflow. The same, and whether it is on the list.
_ASK = _STAMP + "found[3] = redis.call('HEXISTS', KEYS[1], ARGV[1]) return found"

#: What no member's name is: those are JSON lists.
_FACTS = frozenset(("version", "confirmed_at"))


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which blacklist the copy is, and how long ago Postgres said so, at most."""

    version: int
    age: timedelta


@dataclass(frozen=True, slots=True)
class Change:
    """From one version to the next; `before` None: everything has to be read anew."""

    before: int | None
    after: int
    added: frozenset[Key]
    removed: frozenset[Key]


class LostLeaseError(Exception):
    """Another relay writes now."""


class SharedCopy:
    """Reads and writes the copy. Every method is one round trip, and raises `redis.RedisError` without an answer."""

    def __init__(self, client: redis.Redis, engine: sa.Engine) -> None:
        """`engine` names the database whose blacklist it is."""
        prefix = f"{{{prefix_of(engine)}:blacklist}}"
        self.channel = f"{prefix}:changes"
        # One key for all of it: a Redis that is short of memory drops whole keys, and half a copy would admit.
        self._lease, self._copy = f"{prefix}:relay", f"{prefix}:copy"
        self._lead = client.register_script(_LEAD)
        self._resign = client.register_script(_RESIGN)
        self._write = client.register_script(_WRITE)
        self._read_stamp = client.register_script(_READ_STAMP)
        self._load = client.register_script(_LOAD)
        self._ask = client.register_script(_ASK)

    def lead(self, relay: str, lease: timedelta) -> int | None:
        """Take or renew the lease; Redis's time in milliseconds, None while another relay has it."""
        now = int(_answer(self._lead(keys=[self._lease], args=[relay, lease // _MILLISECOND])))
        return None if now < 0 else now

    def resign(self, relay: str) -> None:
        """Give the lease back, if it is still one's own."""
        self._resign(keys=[self._lease], args=[relay])

    def write(self, relay: str, confirmed_at: int, change: Change) -> bool:
        """Write a change, and tell of it; False when the copy is not of the version before.

        One that changes nothing only says that the version still held at `confirmed_at`. `LostLeaseError` when
        another relay leads.
        """
        done = _answer(
            self._write(
                keys=[self._lease, self._copy],
                args=[
                    relay,
                    confirmed_at,
                    "" if change.before is None else change.before,
                    change.after,
                    len(change.added),
                    *map(_encode, change.added),
                    *map(_encode, change.removed),
                    self.channel,
                    _encode_change(change),
                ],
            )
        )
        if int(done) < 0:
            raise LostLeaseError
        return int(done) == 1

    def stamp(self) -> Stamp | None:
        """What the copy is; None when there is none."""
        found = _answer(self._read_stamp(keys=[self._copy]))
        return _stamp(found) if found else None

    def load(self) -> tuple[Stamp, frozenset[Key]] | None:
        """The whole copy."""
        found = _answer(self._load(keys=[self._copy]))
        return (_stamp(found), frozenset(_decode(one) for one in found[2] if one not in _FACTS)) if found else None

    def ask(self, key: Key) -> tuple[Stamp, bool] | None:
        """Whether one workflow is on it."""
        found = _answer(self._ask(keys=[self._copy], args=[_encode(key)]))
        return (_stamp(found), bool(found[2])) if found else None


def decode_change(message: str) -> Change:
    """What was told on the channel."""
    before, after, added, removed = json.loads(message)
    return Change(before, after, _keys(added), _keys(removed))


def _encode_change(change: Change) -> str:
    # Who reads everything anew needs no names.
    named = change.before is not None
    return json.dumps(
        [change.before, change.after, sorted(change.added) if named else [], sorted(change.removed) if named else []]
    )


def _keys(pairs: Iterable[list[str]]) -> frozenset[Key]:
    return frozenset((tenant, workflow) for tenant, workflow in pairs)


def _encode(key: Key) -> str:
    return json.dumps(key)


def _decode(text: str) -> Key:
    tenant, workflow = json.loads(text)
    return tenant, workflow


def _stamp(found: list[Any]) -> Stamp:
    return Stamp(int(found[0]), int(found[1]) * _MILLISECOND)


def _answer(answer: Any) -> Any:
    """The client's types allow for an awaitable, which this client never gives."""
    return answer
