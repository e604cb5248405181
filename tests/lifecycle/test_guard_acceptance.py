"""A provider fails for 60 % of all runs, and three of 500 tenants have credentials that are really bad (30.6).

Run events go through the real detectors, their decisions through two sinks at once into Postgres, and what the
lifecycle says goes back to the detectors, as over the topics of the stream.
"""

import io
import json
import random
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta

import sqlalchemy as sa

from cli.embedded.smtp import SmtpSink
from config.policies import parse_policies
from config.settings import Smtp
from dataflows.dead_letters import DeadLetter
from dataflows.decisions import Decision
from dataflows.engine.detector_sets import DetectorFactory
from dataflows.registry import TrustingRegistry
from dataflows.replay import Replay
from dataflows.sources.lines import LineReader
from dataflows.times import micros
from lifecycle import tables
from lifecycle.emails import SmtpSender
from lifecycle.guard.incidents import end_incident
from lifecycle.kinds import Channel
from lifecycle.options import LifecycleOptions
from lifecycle.outbox import OutboxEvent
from lifecycle.transitions import STATUS_CHANGED
from sinks.events import to_control_event
from tests.given import CLASSIFIER, Line, denied, encode, ended, failed
from tests.lifecycle.credentials_given import now
from tests.lifecycle.given import row, rows
from tests.lifecycle.guard_given import apply, given_tenants, statuses
from tests.lifecycle.test_guard import OPS_ADMIN
from tests.lifecycle.worker import run_jobs

TENANTS = 500
#: So many use the provider that fails; the others use Gmail.
OF_THE_PROVIDER = 400
BAD = (7, 123, 311)
BAD_VERSIONS = {f"v{number:03}": "Blocked" for number in BAD}
MINUTE = timedelta(minutes=1)
#: The clock, by which the lifecycle speaks, may be so far ahead of the runs.
LATENESS = timedelta(minutes=28)


class Stream:
    """The monitor without its topics: lines in, decisions to two sinks, what the lifecycle says back in."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._decided: list[Decision] = []
        rules = parse_policies({"defaults": {"silence": {"whole_stream": None}}}, allowed_lateness=LATENESS)
        self._replay = Replay(
            DetectorFactory(rules, CLASSIFIER, micros(LATENESS)),
            TrustingRegistry(),
            micros(LATENESS),
            on_decision=self._decided.append,
            on_dead_letter=self._refuse,
        )
        self._heard = 0

    def read(self, lines: Iterable[bytes]) -> list[Decision]:
        """Judge lines; what was decided on them."""
        self._replay.feed("lines", LineReader(io.BytesIO(b"".join(lines))), lambda _offset: None)
        decided = self._decided.copy()
        self._decided.clear()
        return decided

    def act(self, decisions: list[Decision]) -> None:
        """Apply decisions, those of a workflow in their order, as two processes do."""
        halves: list[list[Decision]] = [[], []]
        for decision in decisions:
            halves[int(str(decision.workflow_id)[1:]) % 2].append(decision)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda half: apply(self._engine, half), halves))

    def hear(self) -> list[Decision]:
        """Read what the lifecycle has said since; what is decided because of it."""
        said = [one for one in rows(self._engine, tables.outbox_events) if one["sequence"] > self._heard]
        said.sort(key=lambda one: one["sequence"])
        self._heard = max([self._heard, *(one["sequence"] for one in said)])
        return self.read(
            _status_change(one) if one["type"] == STATUS_CHANGED else json.dumps(one["payload"]).encode() + b"\n"
            for one in said
        )

    def _refuse(self, dead_letter: DeadLetter) -> None:
        raise AssertionError(dead_letter)


def _status_change(row: dict[str, object]) -> bytes:
    facts = {name: row[name] for name in OutboxEvent.__dataclass_fields__}
    value = to_control_event(OutboxEvent(**facts)).value  # type: ignore[arg-type]
    assert isinstance(value, bytes)
    return value + b"\n"


def a_minute(chance: random.Random, begin: datetime, *, outage: bool, bad: bool) -> list[bytes]:
    """One run of every workflow, in event time; some fail for other reasons, a few are refused by accident."""
    lines: list[tuple[datetime, Line]] = []
    for number in range(TENANTS):
        system = "crm" if number < OF_THE_PROVIDER else "mail"
        at = begin + chance.random() * MINUTE
        execution = f"x{number}:{at.timestamp():.6f}"
        ids = {
            "tenant_id": f"t{number:03}",
            "workflow_id": f"w{number:03}",
            "automation_version_id": f"v{number:03}",
            "occurred_at": at.isoformat(),
        }
        luck = chance.random()
        if (bad and number in BAD) or (outage and system == "crm" and luck < 0.6) or luck > 0.99:
            line = denied(0, execution, system, **ids)
        elif luck > 0.97:
            line = failed(0, execution, system, **ids)
        else:
            line = ended(0, execution, **{**ids, "system_key": system})
        lines.append((at, line))
    return [encode(line) for _, line in sorted(lines, key=lambda one: one[0])]


#: One snapshot: an incident that is open, and what a client would see of a false block.
_FALSE = sa.text(
    "SELECT (SELECT count(*) FROM automation_versions WHERE status = 'Blocked'),"
    " (SELECT count(*) FROM notifications WHERE audience = 'client' AND status <> 'cancelled')"
    " WHERE EXISTS (SELECT FROM provider_incidents WHERE closed_at IS NULL)"
)


@contextmanager
def watched(engine: sa.Engine) -> Iterator[list[tuple[int, int]]]:
    """What anybody could see meanwhile, while an incident is open: blocks that stand, clients' notices that do."""
    seen: list[tuple[int, int]] = []
    enough = threading.Event()

    def look() -> None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not enough.wait(0.02):
                seen.extend((found[0], found[1]) for found in connection.execute(_FALSE))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        enough.set()
        watcher.join()


def deliver(engine: sa.Engine, smtp_server: SmtpSink) -> list[str]:
    """Let the time pass that clients' mails wait, and run the worker; who got mail, of clients."""
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE procrastinate_jobs SET scheduled_at = NULL")
        connection.exec_driver_sql("UPDATE notifications SET not_before = now() WHERE not_before IS NOT NULL")
    sender = SmtpSender(Smtp(host=smtp_server.host, port=smtp_server.port))
    run_jobs(engine, {Channel.EMAIL: sender}, options=LifecycleOptions())
    sender.close()
    return sorted({to for mail in smtp_server.mails for to in mail.recipients if to.endswith(".example")})


def test_an_outage_of_60_percent_blocks_the_three_that_are_bad_and_nobody_else(
    engine: sa.Engine, smtp_server: SmtpSink
) -> None:
    given_tenants(engine, TENANTS)
    chance = random.Random(60)
    stream = Stream(engine)
    begin = now() - 20 * MINUTE

    for minute in range(4):
        stream.act(stream.read(a_minute(chance, begin + minute * MINUTE, outage=False, bad=False)))
    assert statuses(engine) == {}

    with watched(engine) as seen:
        for minute in range(4, 14):
            decided = stream.read(a_minute(chance, begin + minute * MINUTE, outage=True, bad=True))
            if minute < 13:
                stream.act(decided + stream.hear())
    under_way = decided
    assert set(seen) == {(0, 0)}
    assert under_way
    assert statuses(engine) == {}
    incident = row(engine, tables.provider_incidents)
    assert incident["tenant_count"] > OF_THE_PROVIDER / 2
    assert deliver(engine, smtp_server) == []

    with engine.begin() as connection:
        assert end_incident(connection, incident_id=incident["id"], actor_context=OPS_ADMIN)
    stream.act(under_way)
    assert statuses(engine) == {}

    stream.act(stream.hear())
    begin = now() + 2 * MINUTE
    for minute in range(8):
        stream.act(stream.read(a_minute(chance, begin + minute * MINUTE, outage=False, bad=True)) + stream.hear())

    assert statuses(engine) == BAD_VERSIONS
    for block in rows(engine, tables.block_reasons, cleared_at=None):
        assert block["occurred_at"] > begin
    assert [one["id"] for one in rows(engine, tables.provider_incidents)] == [incident["id"]]
    of_the_platform = rows(engine, tables.notifications, template="provider_incident")
    assert sorted(one["channel"] for one in of_the_platform) == ["email", "in_app"]
    assert len(rows(engine, tables.tasks, context_id=incident["id"])) == 1
    assert deliver(engine, smtp_server) == [f"contact@tenant{number:03}.example" for number in BAD]
