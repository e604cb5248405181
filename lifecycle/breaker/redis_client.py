"""How the breaker reaches Redis: an answer soon or none, since there is always another place to ask."""

import hashlib
from datetime import timedelta

import redis
import sqlalchemy as sa
from redis.backoff import NoBackoff
from redis.retry import Retry

#: Redis answers within a millisecond; what takes so long is as good as away.
ANSWER = timedelta(milliseconds=250)

#: For so long it is not asked again when it did not answer: each question would wait for it.
AWAY = timedelta(seconds=1)


def connect(url: str, *, answer: timedelta = ANSWER) -> redis.Redis:
    """A client that tries once; contacts nothing yet. It raises `redis.RedisError` when there is no answer in time."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=answer.total_seconds(),
        socket_connect_timeout=answer.total_seconds(),
        retry=Retry(NoBackoff(), 0),
    )


def prefix_of(engine: sa.Engine) -> str:
    """What names of keys and channels begin with: another database's facts are never taken for this one's.

    Channels are shared by all databases of a Redis, so its number would not tell them apart.
    """
    url = engine.url
    named = f"{url.host}:{url.port}/{url.database}"
    return f"breakwater:{hashlib.sha256(named.encode()).hexdigest()[:12]}"
