"""The monitor with all that it stands on, every process of it killed at random: what a crash test is made of.

Everything is real: PostgreSQL, Redis, an SMTP server, Apache Kafka where its jars are (else the double of its
protocol, which lives in this process and can't be killed). Whatever ends is started again, as a supervisor does.
"""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from random import Random
from types import TracebackType

import sqlalchemy as sa
from confluent_kafka import Producer

from benchmarks.crash_stream import Message, Stream
from cli.embedded.apache_kafka import ApacheKafka, NoKafkaError, find_jars, find_java
from cli.embedded.kafka import MockKafka
from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.process import Child
from cli.embedded.redis import EmbeddedRedis
from cli.embedded.smtp import SmtpSink
from config.settings import Kafka
from lifecycle import tables
from lifecycle.migrate import migrate
from lifecycle.seed import seed

PARTITIONS = 8

_ROOT = Path(__file__).parents[1]
_TOPICS = Kafka()
_TICK = 0.05


class Victim(StrEnum):
    """What may be killed."""

    MONITOR = "monitor"
    WORKER = "worker"
    KAFKA = "kafka"
    POSTGRES = "postgres"
    REDIS = "redis"


class Program:
    """A command of the product that is started again whenever it ends."""

    def __init__(self, name: str, arguments: Sequence[str], environment: dict[str, str], folder: Path) -> None:
        self._command = [sys.executable, "-m", "cli", *arguments]
        self._environment = environment
        self._log = folder / f"{name}.log"
        self._child: Child | None = None
        #: How it ended, by exit code: those that nobody killed too.
        self.ends: Counter[int] = Counter()

    def tend(self) -> None:
        """Start it, if it does not run."""
        if self._child is not None:
            code = self._child.exit_code()
            if code is None:
                return
            self.ends[code] += 1
        self._child = Child(self._command, log=self._log, environment=self._environment)

    def processes(self) -> list[int]:
        """Its process and those that it has started."""
        if self._child is None or self._child.exit_code() is not None:
            return []
        return [self._child.pid, *_children(self._child.pid)]

    def stop(self) -> int:
        """End it in good order; its exit code."""
        return 0 if self._child is None else self._child.stop(timedelta(seconds=30))


class Stack:
    """All processes, and one stream through them; use it as a context manager."""

    def __init__(
        self,
        folder: Path,
        stream: Stream,
        *,
        processes: int = 1,
        apache: bool | None = None,
        snapshot_interval: str = "500ms",
    ) -> None:
        """`processes` of the monitor; `apache`: whether the broker is Apache Kafka, None where it can be."""
        self._folder = folder
        self._stream = stream
        self._processes = processes
        self._snapshot_interval = snapshot_interval
        self._cleanup = ExitStack()
        self.kafka: ApacheKafka | MockKafka
        self.why_no_apache = "" if apache else why_no_apache() if apache is None else "not wanted"

    def __enter__(self) -> "Stack":
        with ExitStack() as cleanup:
            self.postgres = cleanup.enter_context(EmbeddedPostgres())
            self.redis = cleanup.enter_context(EmbeddedRedis())
            self.smtp = cleanup.enter_context(SmtpSink())
            if self.why_no_apache:
                self.kafka = cleanup.enter_context(MockKafka())
            else:
                self.kafka = cleanup.enter_context(ApacheKafka())
            self.postgres.create_database("breakwater")
            url = self.postgres.url("breakwater")
            migrate(url)
            self.engine = sa.create_engine(url, poolclass=sa.NullPool)
            with self.engine.begin() as connection:
                seed(connection, self._stream.world)
            environment = self._environment(url)
            self._make_topics(environment)
            self.monitor = Program("monitor", self._monitor(), environment, self._folder)
            self.worker = Program("worker", ["worker"], environment, self._folder)
            for program in (self.worker, self.monitor):
                cleanup.callback(program.stop)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def produce(self) -> None:
        """Write the whole stream. It stands there before anything reads it: what is decided hangs on no clock."""
        produce(self.kafka.bootstrap_servers, self._stream.messages)

    def run(self, *, decisions: int, kills: Iterator["Kill"], patience: timedelta) -> None:
        """Start the programs, kill what `kills` says from the first decision on, return when all is done.

        `TimeoutError` when that does not come in time: it says what is missing.
        """
        give_up = time.monotonic() + patience.total_seconds()
        kill = next(kills, None)
        at: float | None = None
        while True:
            for program in (self.monitor, self.worker):
                program.tend()
            if kill is not None and at is None and self._has_decided():
                at = time.monotonic() + kill.after
            if kill is not None and at is not None and time.monotonic() >= at:
                self._kill(kill)
                kill = next(kills, None)
                at = time.monotonic() + (0 if kill is None else kill.after)
            missing = "" if kill is not None else self._missing(decisions)
            if kill is None and not missing:
                return
            if time.monotonic() > give_up:
                raise TimeoutError(f"after {patience}: {missing or 'kills are left'}")
            time.sleep(_TICK)

    def end(self) -> tuple[int, int]:
        """End both programs in good order; their exit codes."""
        return self.monitor.stop(), self.worker.stop()

    def _kill(self, kill: "Kill") -> None:
        match kill.victim:
            case Victim.MONITOR | Victim.WORKER:
                program = self.monitor if kill.victim is Victim.MONITOR else self.worker
                processes = program.processes()
                if processes:
                    os.kill(processes[kill.number % len(processes)], signal.SIGKILL)
            case Victim.POSTGRES:
                self._down(self.postgres.kill, self.postgres.restart, kill.down)
            case Victim.REDIS:
                self._down(self.redis.kill, self.redis.restart, kill.down)
            case Victim.KAFKA:
                assert isinstance(self.kafka, ApacheKafka)
                self._down(self.kafka.kill, self.kafka.start, kill.down)

    def _down(self, kill: Callable[[], None], start: Callable[[], None], seconds: float) -> None:
        kill()
        up_again = time.monotonic() + seconds
        while time.monotonic() < up_again:
            for program in (self.monitor, self.worker):
                program.tend()
            time.sleep(_TICK)
        start()

    def _has_decided(self) -> bool:
        with self.engine.connect() as connection:
            return connection.execute(sa.select(tables.decisions.c.decision_id).limit(1)).first() is not None

    def _missing(self, decisions: int) -> str:
        """What is still to be done; empty when nothing is."""
        waiting: dict[str, sa.Executable] = {
            "decisions": sa.select(decisions - sa.func.count()).select_from(tables.decisions),
            "dead letters": sa.select(self._stream.bad - sa.func.count()).select_from(tables.dead_letters),
            "notices": sa.select(sa.func.count())
            .select_from(tables.notifications)
            .where(tables.notifications.c.status == "pending"),
            "events": sa.select(sa.func.count())
            .select_from(tables.outbox_events)
            .where(tables.outbox_events.c.published_at.is_(None)),
            "jobs": sa.text(
                "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
                " AND queue_name IN ('notifications', 'events')"
            ),
        }
        try:
            with self.engine.connect() as connection:
                counts = {what: connection.execute(query).scalar_one() for what, query in waiting.items()}
        except sa.exc.OperationalError:
            return "the database"
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count > 0)

    def _monitor(self) -> list[str]:
        recovery = ["--recovery", str(self._folder / "recovery"), "--snapshot-interval", self._snapshot_interval]
        return ["run", "--source", "kafka", "--sink", "services", *recovery, "--processes", str(self._processes)]

    def _environment(self, url: str) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(_ROOT),
            "BREAKWATER_POSTGRES__URL": url,
            "BREAKWATER_REDIS__URL": self.redis.url(),
            "BREAKWATER_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            # The whole stream stands in the log before anything begins: no producer has to come back.
            "BREAKWATER_KAFKA__OUTAGE_GRACE": "1s",
            "BREAKWATER_SMTP__HOST": self.smtp.host,
            "BREAKWATER_SMTP__PORT": str(self.smtp.port),
            # What a killed worker held is to be another's soon.
            # The guard counts by the clock, which kills stretch: two runs would hold different decisions.
            "BREAKWATER_GUARD__INCIDENT_TENANTS": "1000000",
            "BREAKWATER_GUARD__BUDGET_FLOOR": "1000000",
            "BREAKWATER_GUARD__CLIENT_MAIL_DELAY": "0s",
            # Each notice is told by itself, so that none waits and all can be compared.
            "BREAKWATER_NOTICES__OF_A_CAUSE": "1000000",
            "BREAKWATER_NOTICES__CREDIT_CASES": "1000000",
            "BREAKWATER_NOTICES__OF_A_TENANT": "1000000",
            "BREAKWATER_WORKER__HEARTBEAT": "500ms",
            "BREAKWATER_WORKER__STALLED_AFTER": "5s",
        }

    def _make_topics(self, environment: dict[str, str]) -> None:
        if isinstance(self.kafka, MockKafka):
            for name in (_TOPICS.events_topic, _TOPICS.control_topic, _TOPICS.status_topic):
                self.kafka.create_topic(name, PARTITIONS)
            for name in (_TOPICS.dead_letter_topic, _TOPICS.decisions_dead_letter_topic):
                self.kafka.create_topic(name, 1)
            return
        command = [sys.executable, "-m", "cli", "init-topics", "--partitions", str(PARTITIONS)]
        with Child(command, log=self._folder / "topics.log", environment=environment) as made:
            code = made.wait(timedelta(seconds=30))
        assert code == 0, (self._folder / "topics.log").read_text()


class Kill:
    """One `kill -9`: of whom, how long after the one before, and for how long a server stays away, in seconds."""

    def __init__(self, victim: Victim, after: float, down: float, number: int) -> None:
        self.victim = victim
        self.after = after
        self.down = down
        #: Which of several processes.
        self.number = number


def draw_kills(count: int, victims: Sequence[Victim], *, longest_pause: float, seed: int) -> list[Kill]:
    """So many, of every victim in turn, each turn in an order of its own; the same for the same seed."""
    random = Random(seed)
    drawn: list[Kill] = []
    while len(drawn) < count:
        for victim in random.sample(list(victims), len(victims)):
            after, down = random.uniform(0.1, longest_pause), random.choice((0.0, random.uniform(0, 1)))
            drawn.append(Kill(victim, after, down, random.randrange(64)))
    return drawn[:count]


def why_no_apache() -> str:
    """Why Apache Kafka can't be started here; empty when it can."""
    try:
        find_java()
        find_jars()
    except NoKafkaError as missing:
        return str(missing)
    return ""


def produce(bootstrap_servers: str, messages: Sequence[Message]) -> None:
    """Write messages, each where its key belongs, and in their order."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "log_level": 2,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "queue.buffering.max.messages": len(messages) + 1,
        }
    )
    for message in messages:
        producer.produce(_TOPICS.events_topic, message.value, message.key)
        producer.poll(0)
    left = producer.flush(30)
    assert left == 0, f"{left} messages were not taken"


def _children(process: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:
        return []
