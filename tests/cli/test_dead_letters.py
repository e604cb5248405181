"""`breakwater dead-letters`: what stands in the topic is fed in again, once, and counts once however often it is."""

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from cli.embedded.kafka import MockKafka
from config.metrics import EVENTS
from dataflows.dead_letters import DeadLetter, DeadLetterCode, Position, encode_dead_letter
from lifecycle import tables
from lifecycle.dead_letter_replays import count_replayed
from sinks.dead_letter_records import DeadLetterRecorder
from sinks.kafka import DeadLetterTopic
from tests.dataflows.kafka_given import Broker, Clock, Monitor, a_broker, wait_for
from tests.given import denied, encode, run, time

EVENT = encode(run(0, "failure", "x", workflow_id="wf7")).rstrip()
BOUND_BY_VERSION = encode(run(0, "failure", "y", workflow_id=None, automation_version_id="v9")).rstrip()


@pytest.fixture
def broker() -> Iterator[Broker]:
    with a_broker() as one:
        yield one


def murmur2(key: bytes) -> int:
    """Kafka's hash of a key, as its Java clients reckon it, without the sign's bit."""
    mask, factor = 0xFFFFFFFF, 0x5BD1E995
    whole = len(key) // 4 * 4
    value = 0x9747B28C ^ len(key)
    for start in range(0, whole, 4):
        part = int.from_bytes(key[start : start + 4], "little") * factor & mask
        part = (part ^ part >> 24) * factor & mask
        value = (value * factor & mask) ^ part
    if key[whole:]:
        value = (value ^ int.from_bytes(key[whole:], "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return (value ^ value >> 15) & 0x7FFFFFFF


def test_the_hash_is_the_one_of_kafkas_own_tests() -> None:
    assert murmur2(b"21") == -973932308 & 0x7FFFFFFF
    assert murmur2(b"foobar") == -790332482 & 0x7FFFFFFF


def letter(offset: int, raw: bytes = EVENT, code: DeadLetterCode = DeadLetterCode.INVALID_FIELD) -> DeadLetter:
    """A dead letter of partition 1."""
    return DeadLetter(
        position=Position(source="run_events", partition=1, offset=offset),
        code=code,
        explanation="invalid: status",
        raw=raw,
        sha256=hashlib.sha256(raw).hexdigest(),
        size=len(raw),
    )


def keep(broker: Broker, url: str, *letters: DeadLetter) -> None:
    """Write them as the monitor does: to the topic, and a row each."""
    engine = sa.create_engine(url)
    DeadLetterRecorder(DeadLetterTopic(broker.settings).write, engine, lambda: False).write(letters)
    engine.dispose()


def command(broker: Broker | None, url: str, *arguments: str) -> subprocess.Popen[str]:
    """The command as a process."""
    servers = {"BREAKWATER_KAFKA__BOOTSTRAP_SERVERS": broker.settings.bootstrap_servers} if broker else {}
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "dead-letters", *arguments],
        env={**os.environ, "BREAKWATER_POSTGRES__URL": url, **servers},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def say(broker: Broker | None, url: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code, and what it said."""
    process = command(broker, url, *arguments)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def written(broker: Broker, topic: str = "run_events") -> list[Message]:
    """All messages of a topic, partition by partition."""
    reader = Consumer(
        {"bootstrap.servers": broker.settings.bootstrap_servers, "group.id": "reader", "enable.partition.eof": True}
    )
    found: list[Message] = []
    for partition in reader.list_topics(topic, 20).topics[topic].partitions:
        reader.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
        while (message := reader.poll(20)) is not None and message.error() is None:
            found.append(message)
    reader.close()
    return found


def rows(engine: sa.Engine) -> dict[int, tuple[str | None, int | None]]:
    """By offset: who fed it in again, and where it is now."""
    columns = tables.dead_letters.c
    with engine.connect() as connection:
        found = connection.execute(sa.select(columns.offset, columns.replayed_by, columns.replayed_offset))
        return {offset: (by, at) for offset, by, at in found}


def test_what_is_selected_is_fed_in_again_under_its_workflows_key(
    broker: Broker, database_url: str, engine: sa.Engine
) -> None:
    keep(broker, database_url, letter(1), letter(2, BOUND_BY_VERSION), letter(3, b"{", DeadLetterCode.NOT_JSON))
    code, out, err = say(broker, database_url, "replay", "--since", "1h", "--by", "ann")
    assert (code, out, err) == (0, "3 selected: 3 fed in again, 0 were before, 0 are too large\n", "")
    found = {message.value(): (message.key(), message.partition()) for message in written(broker)}
    assert found == {
        EVENT: (b"wf7", murmur2(b"wf7") % 3),
        BOUND_BY_VERSION: (b"v9", murmur2(b"v9") % 3),
        # What names no workflow goes where it came from.
        b"{": (None, 1),
    }
    assert {by for by, _ in rows(engine).values()} == {"ann"}
    with engine.connect() as connection:
        assert count_replayed(connection) == {"invalid_field": 2, "not_json": 1}


def test_a_second_replay_feeds_in_nothing_unless_it_is_told_to(broker: Broker, database_url: str) -> None:
    keep(broker, database_url, letter(1))
    assert say(broker, database_url, "replay", "run_events/1/1")[0] == 0
    _, out, _ = say(broker, database_url, "replay", "run_events/1/1")
    assert out == "1 selected: 0 fed in again, 1 were before, 0 are too large\n"
    _, out, _ = say(broker, database_url, "replay", "run_events/1/1", "--again")
    assert out == "1 selected: 1 fed in again, 0 were before, 0 are too large\n"
    assert len(written(broker)) == 2


def test_what_stands_in_the_topic_twice_is_fed_in_once(broker: Broker, database_url: str) -> None:
    # As after a crash of the monitor before its snapshot.
    keep(broker, database_url, letter(1))
    keep(broker, database_url, letter(1))
    assert len(written(broker, "run_events.dead_letter")) == 2
    assert say(broker, database_url, "replay", "--code", "invalid_field")[0] == 0
    assert len(written(broker)) == 1


@pytest.mark.parametrize(
    ("arguments", "offsets"),
    [
        pytest.param(["run_events/1/2"], {2}, id="a position"),
        pytest.param(["--code", "not_json"], {3}, id="a code"),
        pytest.param(["--source", "run_events"], {1, 2, 3}, id="a source"),
        pytest.param(["--source", "elsewhere"], set(), id="another source"),
        pytest.param(["--since", "2999-01-01T00:00:00Z"], set(), id="none since then"),
    ],
)
def test_a_selection_is_what_all_of_it_says(
    broker: Broker, database_url: str, engine: sa.Engine, arguments: list[str], offsets: set[int]
) -> None:
    keep(broker, database_url, letter(1), letter(2), letter(3, b"{", DeadLetterCode.NOT_JSON))
    _, out, _ = say(broker, database_url, "replay", *arguments, "--dry-run")
    assert out.startswith(f"{len(offsets)} selected: {len(offsets)} would be fed in again")
    assert written(broker) == []
    assert say(broker, database_url, "replay", *arguments)[0] == 0
    assert {offset for offset, (by, _) in rows(engine).items() if by is not None} == offsets


def test_what_retention_or_a_limit_took_is_said(broker: Broker, database_url: str) -> None:
    keep(broker, database_url, letter(1), letter(2), letter(3, b"x" * 99, DeadLetterCode.TOO_LARGE))
    broker.mock.delete_records("run_events.dead_letter", 0, 1)
    code, out, err = say(broker, database_url, "replay", "--since", "1h")
    assert (code, out) == (1, "3 selected: 1 fed in again, 0 were before, 1 are too large\n")
    assert "1 can't be: retention has dropped them" in err


def test_a_message_that_was_cut_is_not_fed_in(broker: Broker, database_url: str) -> None:
    whole = letter(1)
    cut = DeadLetter(
        position=whole.position, code=whole.code, explanation="", raw=EVENT, sha256=whole.sha256, size=len(EVENT) + 1
    )
    keep(broker, database_url, cut)
    code, _, err = say(broker, database_url, "replay", "--since", "1h")
    assert code == 1
    assert "1 can't be: the broker took only the beginning" in err
    assert written(broker) == []


def test_a_crash_before_the_mark_has_no_double_effect(broker: Broker, database_url: str, engine: sa.Engine) -> None:
    keep(broker, database_url, letter(1, encode(denied(0, "x")).rstrip()))
    with engine.begin() as connection:
        # The mark waits for us, and the kill comes first.
        connection.execute(sa.select(tables.dead_letters).with_for_update())
        process = command(broker, database_url, "replay", "--since", "1h")
        wait_for("the message", lambda: written(broker))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
    assert rows(engine) == {1: (None, None)}
    assert say(broker, database_url, "replay", "--since", "1h")[0] == 0
    first, second = written(broker)
    assert first.value() == second.value()
    assert rows(engine)[1][1] == second.offset()
    with Monitor(broker, Clock(time(1)), partition=first.partition() or 0) as monitor:
        before = duplicates()
        monitor.wait_for_events(2)
        assert duplicates() == before + 1


def test_one_that_is_still_bad_is_a_dead_letter_again_and_says_of_which(
    broker: Broker, database_url: str, engine: sa.Engine
) -> None:
    bad = encode(run(0, "no such status", "x", workflow_id="wf7")).rstrip()
    keep(broker, database_url, letter(1, bad))
    assert say(broker, database_url, "replay", "--since", "1h")[0] == 0
    (message,) = written(broker)
    assert message.headers() == [("replay_of", b"run_events/1/1")]
    with Monitor(broker, Clock(datetime.now(UTC)), partition=message.partition() or 0) as monitor:
        monitor.wait_for("the dead letter", lambda: monitor.dead_letters)
        keep(broker, database_url, *monitor.dead_letters)
    code, out, _ = say(None, database_url, "list", "--json")
    first, second = json.loads(out)["dead_letters"]
    assert code == 0
    assert (first["replay_of"], second["replay_of"]) == ("run_events/1/1", None)
    assert second["replayed_offset"] == first["offset"]


def test_a_list_begins_with_the_newest_and_goes_on_from_its_cursor(broker: Broker, database_url: str) -> None:
    keep(broker, database_url, *(letter(offset) for offset in range(5)))
    seen: list[int] = []
    more: list[str] = []
    for _ in range(3):
        _, out, _ = say(None, database_url, "list", "--json", "--limit", "2", *more)
        page = json.loads(out)
        seen += [row["offset"] for row in page["dead_letters"]]
        more = ["--cursor", str(page["next"])]
    assert seen == [4, 3, 2, 1, 0]
    assert page["next"] is None
    _, out, err = say(None, database_url, "list", "--limit", "1")
    assert "run_events/1/4" in out
    assert err.startswith("there are more: --cursor ")
    assert "wf7" not in out


def duplicates() -> float:
    """Events that were passed over because they came before."""
    return EVENTS.labels("duplicate")._value.get()


def given_file(path: Path) -> Path:
    """The file of a monitor that read a file: one that can be fed in again, and one that can't."""
    large = letter(0, b"x" * 99, DeadLetterCode.TOO_LARGE)
    letters = [letter(7), large]
    path.write_bytes(b"".join(encode_dead_letter(one, time(0)) + b"\n" for one in letters))
    return path


def test_a_file_goes_to_stdout(tmp_path: Path) -> None:
    file = given_file(tmp_path / "dead.ndjson")
    code, out, err = say(
        None, "postgresql+psycopg://nobody@127.0.0.1:1/none", "replay", "--file", str(file), "--to", "stdout"
    )
    assert (code, out.encode()) == (0, EVENT + b"\n")
    assert err == "1 fed in again\nbreakwater: 1 can't be: they are too large\n"


def test_a_file_goes_to_kafka(broker: Broker, tmp_path: Path) -> None:
    file = given_file(tmp_path / "dead.ndjson")
    code, out, _ = say(broker, "postgresql+psycopg://nobody@127.0.0.1:1/none", "replay", "--file", str(file))
    assert (code, out) == (0, "1 fed in again\n")
    assert [(message.key(), message.value()) for message in written(broker)] == [(b"wf7", EVENT)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["replay"], "which ones?", id="nothing selected"),
        pytest.param(["replay", "run_events"], "is no position", id="no position"),
        pytest.param(["replay", "--since", "2026-03-02T08:00:00"], "needs its offset", id="a naive time"),
        pytest.param(["list", "--since", "yesterday"], "neither a time nor a duration", id="no time"),
        pytest.param(["list"], "database can't be reached", id="no database"),
    ],
)
def test_a_wrong_use_is_named(arguments: list[str], said: str) -> None:
    code, _, err = say(None, "postgresql+psycopg://nobody:hunter2@127.0.0.1:1/none", *arguments)
    assert code == 2
    assert said in err
    assert "hunter2" not in err


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "dead.ndjson"
    file.write_bytes(base64.b64encode(b"nothing"))
    code, _, err = say(None, "postgresql+psycopg://nobody@127.0.0.1:1/none", "replay", "--file", str(file))
    assert code == 2
    assert "line 1 is no dead letter" in err


def test_without_a_broker_nothing_is_marked(database_url: str, engine: sa.Engine, mock_kafka: MockKafka) -> None:
    with a_broker() as broker:
        keep(broker, database_url, letter(1))
    broker.mock = mock_kafka
    mock_kafka.create_topic("run_events.dead_letter", 1)
    broker.settings = broker.settings.model_copy(update={"bootstrap_servers": mock_kafka.bootstrap_servers})
    assert say(broker, database_url, "replay", "--since", "1h")[0] == 1
    assert rows(engine) == {1: (None, None)}
