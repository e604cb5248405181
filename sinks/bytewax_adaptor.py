"""The services sink and the ledger as bytewax sees them."""

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Generic, TypeVar

from bytewax.outputs import DynamicSink, StatelessSinkPartition

from config.database import make_engine
from config.settings import Settings
from dataflows.credit_runs import CreditRun
from dataflows.decisions import Decision
from lifecycle.breaker.circuit_breaker import CircuitBreaker
from lifecycle.options import LifecycleOptions
from lifecycle.system_config import SystemConfig
from sinks.ledger import LedgerSink, RunDeadLetterWriter
from sinks.services import DeadLetterWriter, ServicesSink

X = TypeVar("X")

#: What commits all that it is given before it returns, and what gives its connections back.
Writer = tuple[Callable[[Iterable[X]], object], Callable[[], None]]


class _Partition(StatelessSinkPartition[tuple[str, X]], Generic[X]):
    def __init__(self, writer: Writer[X]) -> None:
        self._write, self._close = writer

    def write_batch(self, items: list[tuple[str, X]]) -> None:
        """Returns when all is committed; meaning never depends on where a batch ends."""
        self._write(item for _, item in items)

    def close(self) -> None:
        self._close()


class Committed(DynamicSink[tuple[str, X]], Generic[X]):
    """Hands what comes, without its key, to a sink that commits it.

    Delivery is at least once: after a restart bytewax replays from the last snapshot, and the sink passes over what it
    has had before.
    """

    def __init__(self, make: Callable[[], Writer[X]]) -> None:
        self._make = make

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Partition[X]:  # noqa: ARG002
        """One sink, with connections of its own, for each worker."""
        return _Partition(self._make())


def decision_services(
    settings: Settings,
    dead_letter: Callable[[], DeadLetterWriter],
    stopping: Callable[[], bool] = lambda: False,
) -> Committed[Decision]:
    """The services as the settings describe them; contacts nothing yet. `dead_letter` makes one for each worker."""
    options = LifecycleOptions.of(settings)

    def make() -> Writer[Decision]:
        # One decision at a time needs one connection.
        engine = make_engine(settings.postgres, pool_size=1)
        breaker = CircuitBreaker(engine, settings.redis.url.get_secret_value(), SystemConfig(engine), options)
        sink = ServicesSink(engine, options, dead_letter(), breaker=breaker, stopping=stopping)
        return sink.apply, sink.close

    return Committed(make)


def credit_ledger(
    settings: Settings,
    dead_letter: Callable[[], RunDeadLetterWriter],
    stopping: Callable[[], bool] = lambda: False,
) -> Committed[list[CreditRun]]:
    """The ledger as the settings describe its database; contacts nothing yet. Runs come some at a time."""

    def make() -> Writer[list[CreditRun]]:
        sink = LedgerSink(make_engine(settings.postgres, pool_size=1), dead_letter(), stopping=stopping)
        return lambda parts: sink.write(chain.from_iterable(parts)), sink.close

    return Committed(make)
