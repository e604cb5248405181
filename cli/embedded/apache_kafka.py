"""A real Apache Kafka of our own, for the tests: one broker that is its own controller, from a folder of jars.

Needs Java 17 and the jars that `.ci/kafka/fetch` fetches. It listens on loopback alone, makes no topic by itself, and
ends with its owner.
"""

import os
import shutil
import signal
import subprocess
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from cli.embedded.places import temporary_folder
from cli.embedded.process import Child, ChildError, free_port

_START_TRIES = 3
_START_PATIENCE = timedelta(seconds=60)
_STOP_PATIENCE = timedelta(seconds=30)

#: A broker of few megabytes that starts soon: the compiler's second stage costs more than it gives in a test.
_JAVA = (
    *("-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData"),
    *("-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"),
)

_BROKER = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "num.network.threads": "2",
    "num.io.threads": "4",
    # Tests write with the times of long ago.
    "log.retention.ms": "-1",
    "log.index.size.max.bytes": str(1 << 20),
    "log.cleaner.dedupe.buffer.size": str(4 << 20),
    # A killed broker is taken in again only when its session has ended.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
}


class NoKafkaError(Exception):
    """There is nothing here to start a broker from; the text says what is missing."""


class Door(NamedTuple):
    """A second way in, for those who have a password, over TLS."""

    user: str
    password: str
    #: A certificate for 127.0.0.1 and its private key (PKCS #8), in one file of PEM.
    certificate: Path


class ApacheKafka:
    """A broker that runs from `start` to `stop`; a context manager does both.

    After `stop` or `kill` it can be started again: on the same port, with the same data.
    """

    def __init__(self, folder: Path | None = None, *, jars: Path | None = None, door: Door | None = None) -> None:
        """`folder` holds the data and is kept, None is a temporary one; `jars` instead of those of `find_jars`."""
        self._door = door
        self._jars = jars
        self._given = folder
        self._folder = folder
        self._cleanup = ExitStack()
        self._child: Child | None = None
        #: `host:port`; empty before the first start.
        self.bootstrap_servers = ""
        #: `host:port` of the door; empty without one.
        self.door_servers = ""

    def __enter__(self) -> "ApacheKafka":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Its process; `ChildError` when it does not run."""
        if self._child is None:
            raise ChildError("the broker does not run")
        return self._child.pid

    def start(self) -> None:
        """Return when the admin API answers: about 5 s with new data, 3 s with old.

        `NoKafkaError` without Java or jars, `ChildError` when it does not start. Call it in the main thread.
        """
        java, jars = find_java(), self._jars or find_jars()
        if self._folder is None:
            self._folder = temporary_folder(None)
            self._cleanup.callback(shutil.rmtree, self._folder, ignore_errors=True)
        folder = self._folder
        for attempt in range(1, _START_TRIES + 1):
            is_new = not (folder / "server.properties").exists()
            if is_new:
                _format(java, jars, folder, self._door)
            servers = _advertised(folder)
            self.bootstrap_servers, self.door_servers = servers["PLAINTEXT"], servers.get("SASL_SSL", "")
            child = Child(
                [java, *_JAVA, "-cp", f"{jars}/*", "kafka.Kafka", folder / "server.properties"],
                log=folder / "server.log",
                environment=_environment(),
            )
            try:
                child.wait_until(self._answers, _START_PATIENCE)
            except BaseException as error:
                # Whoever interrupts its start is rid of it too.
                child.stop()
                # Somebody may have taken a port between our look and the broker's; old data keeps its ports.
                if not isinstance(error, ChildError) or attempt == _START_TRIES or not is_new:
                    raise
                (folder / "server.properties").unlink()
            else:
                self._child = child
                return

    def stop(self) -> None:
        """End it in good order, keep its data; nothing when it does not run."""
        if self._child is not None:
            self._child.stop(_STOP_PATIENCE)
            self._child = None

    def kill(self) -> None:
        """End it at once, as a crash does; nothing when it does not run."""
        if self._child is not None:
            os.kill(self._child.pid, signal.SIGKILL)
            self._child.wait(_STOP_PATIENCE)
            self._child = None

    def close(self) -> None:
        """End it for good and remove what was temporary; a second call does nothing."""
        self.stop()
        self._cleanup.close()
        self._folder = self._given

    def _answers(self) -> bool:
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        try:
            cluster = admin.describe_cluster(request_timeout=1).result()
        except KafkaException:
            return False
        return bool(cluster.nodes)


def find_java() -> str:
    """The `java` of JAVA_HOME, else the one on the PATH; `NoKafkaError` when there is none."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None)
    if found is None:
        raise NoKafkaError("no Java")
    return found


def find_jars() -> Path:
    """`BREAKWATER_KAFKA_JARS`, else where `.ci/kafka/fetch` puts them; `NoKafkaError` when there are none."""
    folder = Path(os.environ.get("BREAKWATER_KAFKA_JARS") or Path(__file__).parents[2] / ".cache/tools/kafka").resolve()
    if not [*folder.glob("kafka_*.jar")]:
        raise NoKafkaError("no jars of Apache Kafka: .ci/kafka/fetch fetches them")
    return folder


def _format(java: str, jars: Path, folder: Path, door: Door | None) -> None:
    """Make the data of a new cluster, with ports that are free now."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    if data.exists():
        shutil.rmtree(data)
    broker, controller = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    settings = {
        **_BROKER,
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        "controller.quorum.bootstrap.servers": controller,
        "log.dirs": str(data),
    }
    if door is not None:
        settings |= _door_settings(door, settings)
    # Under its name only once the data is there, so that an interrupted start leaves nothing that looks like data.
    unfinished = folder / "server.properties.unfinished"
    unfinished.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    made = subprocess.run(  # noqa: S603  (no shell, no words from outside)
        [
            *(java, *_JAVA, "-cp", f"{jars}/*", "kafka.tools.StorageTool", "format", "--standalone"),
            *("--cluster-id", "breakwater-of-a-test--", "--config", unfinished),
        ],
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise ChildError(f"the data could not be formatted (code {made.returncode})\n{made.stdout}{made.stderr}")
    unfinished.rename(folder / "server.properties")


def _door_settings(door: Door, settings: dict[str, str]) -> dict[str, str]:
    listener = f",SASL_SSL://127.0.0.1:{free_port()}"
    login = "org.apache.kafka.common.security.plain.PlainLoginModule"
    return {
        "listeners": settings["listeners"] + listener,
        "advertised.listeners": settings["advertised.listeners"] + listener,
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL",
        "listener.name.sasl_ssl.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": f'{login} required user_{door.user}="{door.password}";',
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(door.certificate.resolve()),
    }


def _advertised(folder: Path) -> dict[str, str]:
    """`host:port` by the listener's name."""
    lines = (folder / "server.properties").read_text().splitlines()
    listeners = dict(line.split("=", 1) for line in lines)["advertised.listeners"]
    return dict(listener.split("://") for listener in listeners.split(","))


def _environment() -> dict[str, str]:
    """Nothing of ours: a CLASSPATH or JAVA_TOOL_OPTIONS of the user must not reach the broker."""
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
