"""What the demo runs: embedded servers, and the monitor, the worker and the API as processes of their own.

All of it ends with the demo, however that ends. Everything that is written lies in one folder.
"""

import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import sqlalchemy as sa

from cli.demo import cast
from cli.demo.seed import seed_cast
from cli.demo.settings import CREDITS, environment, settings_of, write_command
from cli.embedded.kafka import MockKafka
from cli.embedded.platform import EmbeddedPlatform
from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.process import Child, free_port, is_listening
from cli.embedded.redis import EmbeddedRedis
from cli.embedded.smtp import ReceivedMail, SmtpSink
from config.settings import Kafka
from lifecycle.migrate import migrate
from lifecycle.platform import WorkflowState
from lifecycle.statuses import Status

DATABASE = "breakwater"
PREFERRED_PORT = 8080
PARTITIONS = 4
#: Two minutes are right for clients, and long for somebody who watches; so are fifteen until an incident is over.
CLIENT_MAIL_DELAY, QUIET_AFTER = timedelta(seconds=8), timedelta(seconds=15)
_SETTINGS = {
    "OPS_EMAIL": "ops@breakwater.example",
    "SMTP__SENDER": "breakwater@breakwater.example",
    "GUARD__CLIENT_MAIL_DELAY": f"{CLIENT_MAIL_DELAY.seconds}s",
    "GUARD__QUIET_AFTER": f"{QUIET_AFTER.seconds}s",
}
#: Together with the servers' own time, less than the five seconds after which an audience gets uneasy.
_PATIENCE = timedelta(seconds=3)


@dataclass(frozen=True)
class Stack:
    """Where everything is."""

    database_url: str
    bootstrap_servers: str
    #: Of API and console.
    public_url: str
    #: `breakwater` with the settings of all this.
    command: Path
    #: Signs the demo's tokens; another one each time.
    development_key: str = field(repr=False)
    platform: EmbeddedPlatform
    #: Of the API, with what operations watches; and of the monitor.
    metrics_url: str
    monitor_metrics_url: str
    #: The monitor, the worker and the API.
    processes: tuple[Child, ...]

    @property
    def console_url(self) -> str:
        """The console's first page."""
        return f"{self.public_url}/console"

    def fallen(self) -> Child | None:
        """A process that has ended though it should not have."""
        return next((child for child in self.processes if child.exit_code() is not None), None)


@contextmanager
def running(
    folder: Path,
    port: int | None,
    on_mail: Callable[[ReceivedMail], None],
    say: Callable[[str], None],
    check: Callable[[], None],
) -> Iterator[Stack]:
    """Start all of it, with a fresh database, recovery store and log; `say` is told what is being done.

    `port` is the console's; None takes 8080, or a free one where that is taken. `check` is called between the steps
    and while they wait; what it raises ends what was started. Raises what the servers raise when they don't start:
    `ChildError`, `AlreadyRunningError`. Call it in the main thread.
    """

    def up(is_up: bool) -> bool:
        check()
        return is_up

    with ExitStack() as stack:
        say("Starting PostgreSQL, Redis, a mail server, a Kafka broker and the automation platform, all embedded")
        postgres = stack.enter_context(EmbeddedPostgres(folder / "postgres", fast=True))
        check()
        for leftover in ("recovery", "mails", "logs", CREDITS):
            shutil.rmtree(folder / leftover, ignore_errors=True)
            (folder / leftover).mkdir()
        redis = stack.enter_context(EmbeddedRedis())
        check()
        smtp = stack.enter_context(SmtpSink(folder / "mails", on_mail))
        kafka = stack.enter_context(MockKafka())
        _make_topics(kafka)
        platform = stack.enter_context(EmbeddedPlatform())
        for workflow in cast.WORKFLOWS:
            is_live = workflow.status is Status.LIVE
            platform.workflows[workflow.workflow_id] = WorkflowState.ACTIVE if is_live else WorkflowState.INACTIVE
        say(f"Migrating a fresh database and filling in {len(cast.CUSTOMERS)} customers with their automations")
        database_url = _fresh_database(postgres)
        check()
        say("Starting the monitor, the worker and the API")
        console_port = claim_console_port(stack) if port is None else port
        metrics_port = free_port()
        public_url = f"http://127.0.0.1:{console_port}"
        development_key = secrets.token_urlsafe(48)
        settings = settings_of(
            folder,
            {
                **_SETTINGS,
                "POSTGRES__URL": database_url,
                "REDIS__URL": redis.url(),
                "KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
                "SMTP__HOST": smtp.host,
                "SMTP__PORT": str(smtp.port),
                "PLATFORM__URL": platform.url,
                "HTTP__PUBLIC_URL": public_url,
                "AUTH__DEVELOPMENT_KEY": development_key,
            },
        )
        command = write_command(folder, settings)
        recovery = (folder / "recovery").absolute()
        monitor = ["run", "--source", "kafka", "--sink", "services", "--recovery", str(recovery)]
        commands = {
            "monitor": [*monitor, "--metrics-port", str(metrics_port)],
            "worker": ["worker"],
            "api": ["api", "--port", str(console_port), "--without-sign-in"],
        }
        processes = {
            name: _start(stack, words, folder / "logs" / f"{name}.log", settings, folder)
            for name, words in commands.items()
        }
        stack.callback(_stop_together, tuple(processes.values()))
        processes["monitor"].wait_until(lambda: up(is_listening(metrics_port)))
        processes["api"].wait_until(lambda: up(_answers(f"{public_url}/readyz")))
        yield Stack(
            database_url=database_url,
            bootstrap_servers=kafka.bootstrap_servers,
            public_url=public_url,
            command=command,
            development_key=development_key,
            platform=platform,
            metrics_url=f"{public_url}/metrics",
            monitor_metrics_url=f"http://127.0.0.1:{metrics_port}/metrics",
            processes=tuple(processes.values()),
        )


def _make_topics(kafka: MockKafka) -> None:
    names = Kafka()
    co_partitioned = (names.events_topic, names.control_topic)
    for setting, name in names:
        if setting.endswith("_topic"):
            kafka.create_topic(name, PARTITIONS if name in co_partitioned else 1)


def _fresh_database(postgres: EmbeddedPostgres) -> str:
    postgres.drop_database(DATABASE)
    postgres.create_database(DATABASE)
    url = postgres.url(DATABASE)
    migrate(url)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        seed_cast(engine)
    finally:
        engine.dispose()
    return url


def claim_console_port(stack: ExitStack) -> int:
    """8080 if no other demo has it, or will have it in a moment, and nobody else listens there; else a free one.

    The claim is the UDP port of that number, until the stack ends: the API listens seconds after this was asked.
    """
    claim = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    try:
        claim.bind(("127.0.0.1", PREFERRED_PORT))
    except OSError:
        return free_port()
    return free_port() if is_listening(PREFERRED_PORT) else PREFERRED_PORT


def _start(stack: ExitStack, words: Sequence[str], log: Path, settings: Mapping[str, str], folder: Path) -> Child:
    return stack.enter_context(
        Child(
            [sys.executable, "-m", "cli", *words],
            log=log,
            environment=environment(settings),
            folder=folder,
            # With the demo its servers die; whoever still waits for an answer of theirs would never end politely.
            death_signal=signal.SIGKILL,
        )
    )


def _stop_together(processes: Sequence[Child]) -> None:
    """Tell all to end, then wait: not one after the other."""
    for process in processes:
        process.signal()
    give_up = time.monotonic() + _PATIENCE.total_seconds()
    for process in processes:
        process.wait(timedelta(seconds=max(0.0, give_up - time.monotonic())))


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=1) as response:  # noqa: S310  (our own address)
            return bool(response.status == 200)
    except (URLError, TimeoutError, ConnectionError):
        return False
