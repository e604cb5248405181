"""`breakwater gate-audit`: does every run that starts have an admission (40.5)? And how do probes end (40.2)?"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from threading import Event
from typing import Annotated

import sqlalchemy as sa
import structlog
import typer
from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from config.database import make_engine
from config.kafka_client import client_settings
from config.logs import configure_logs
from config.metrics import ENFORCEMENT_LEAKS
from config.settings import Settings, load_settings
from dataflows.dead_letters import Unusable
from dataflows.decode import decode
from dataflows.events import RunEvent, RunStatus
from dataflows.sources.stop import StopRequest
from lifecycle.admission.leaks import Start, record_leaks
from lifecycle.breaker.probe_results import End, settle_probes
from lifecycle.kinds import LeakKind
from lifecycle.options import LifecycleOptions
from sinks.faults import Fault, classify

#: Messages taken at once, and executions that are remembered to have been looked at.
BATCH = 2_000
REMEMBERED = 200_000

_POLL = 0.5
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
_LIVES = (RunStatus.STARTED, RunStatus.RUNNING)
_ENDS = (RunStatus.SUCCESS, RunStatus.FAILURE, RunStatus.CANCELLED, RunStatus.TIMED_OUT)

_log = structlog.get_logger(__name__)


def gate_audit(
    metrics_port: Annotated[int | None, typer.Option(help="Serve /metrics on this port.")] = None,
) -> None:
    """Count runs that started without an admission, and hear how probes of half-open breakers end; SIGTERM ends it.

    For platforms where all runs ask the gate.
    """
    settings = load_settings()
    configure_logs(settings.log_format)
    stop = StopRequest()
    stop.listen()
    for kind in LeakKind:
        ENFORCEMENT_LEAKS.labels(kind.value)
    if metrics_port is not None:
        from prometheus_client import start_http_server

        start_http_server(metrics_port, addr=settings.http.host)
    GateAudit(settings, lambda: stop.requested).run()


class GateAudit:
    """Reads run events, looks for the admission of each execution, once, and settles probes. For one thread."""

    def __init__(self, settings: Settings, stopping: Callable[[], bool]) -> None:
        """Contacts nothing yet."""
        self._stopping = stopping
        self._topic = settings.kafka.events_topic
        self._options = LifecycleOptions.of(settings)
        self._engine = make_engine(settings.postgres, pool_size=1)
        self._known: OrderedDict[tuple[str, str | None, str], None] = OrderedDict()
        self._consumer = Consumer(
            {
                **client_settings(settings.kafka),
                "group.id": f"{settings.gate.group}-audit",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "topic.metadata.refresh.interval.ms": 10_000,
            }
        )

    def run(self) -> None:
        """Go on until asked to stop. `KafkaException` on an error that does not pass."""
        self._consumer.subscribe([self._topic])
        try:
            while not self._stopping():
                messages = [one for one in self._consumer.consume(BATCH, _POLL) if _is_message(one)]
                if messages and self._look(*self._fresh(messages)):
                    self._commit()
        finally:
            self._consumer.close()
            self._engine.dispose()

    def _commit(self) -> None:
        try:
            self._consumer.commit(asynchronous=False)
        except KafkaException as error:
            # Somebody else reads on from before: what was found is found again, and is counted once.
            _log.warning("kafka_commit_failed", error=error.args[0].name())

    def _fresh(self, messages: Iterable[Message]) -> tuple[list[Start], list[End]]:
        """The first signs of life among these, and all ends."""
        starts, ends = [], []
        for message in messages:
            try:
                event = decode(message.value() or b"")
            except Unusable:
                continue  # the monitor makes a dead letter of it
            if not isinstance(event, RunEvent) or event.execution_id is None:
                continue
            ids = (event.tenant_id, event.workflow_id, event.execution_id)
            if any("\x00" in one for one in ids if one is not None):
                continue
            if event.status in _ENDS:
                ends.append(End(*ids, event.status is RunStatus.SUCCESS))
            if ids in self._known or event.status not in _LIVES:
                continue
            self._known[ids] = None
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            starts.append(Start(*ids[:2], event.automation_version_id, ids[2], event.occurred_at))
        return starts, ends

    def _look(self, starts: Sequence[Start], ends: Sequence[End]) -> bool:
        """Count leaks and settle probes, once the database answers; False when asked to end before."""
        wait = _FIRST_WAIT
        while starts or ends:
            try:
                with self._engine.begin() as connection:
                    found = record_leaks(connection, starts) if starts else []
                    settle_probes(connection, ends, options=self._options)
            except sa.exc.SQLAlchemyError as error:
                if classify(error) not in (Fault.AWAY, Fault.CONFLICT):
                    raise
                if wait == _FIRST_WAIT:
                    _log.warning("gate_audit_waits", error=type(error).__qualname__)
            else:
                for kind in found:
                    ENFORCEMENT_LEAKS.labels(kind.value).inc()
                if found:
                    _log.error("gate_leaked", runs=len(found))
                return True
            if self._stopping():
                return False
            Event().wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
        return True


def _is_message(message: Message) -> bool:
    error = message.error()
    if error is None:
        return True
    if error.fatal() or error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED):
        raise KafkaException(error)
    _log.warning("kafka_error", error=error.name())
    return False
