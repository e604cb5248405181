"""The credit ledger: each run once, chained by hash, never overwritten (50.1)."""

import hashlib
import itertools
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.embedded.postgres import EmbeddedPostgres
from dataflows.credit_runs import BaselineSource, CreditAction, CreditRun, Likelihood, RiskFlag, Severity
from dataflows.decode import decode
from dataflows.events import JobType, RunEvent, RunStatus
from lifecycle import tables
from lifecycle.credits.entry import LedgerEntry
from lifecycle.credits.ledger import Recorded, append, read_chain, tenants_in_ledger, verify
from lifecycle.migrate import migrate
from sinks.ledger import LedgerSink, entry_of, is_record_of
from sinks.store_away import Retry, StoreAwayError
from tests.dataflows.credits_given import Line, encoded, ended, replayed

_numbers = itertools.count()
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def run(number: int = 1, tenant: str = "t1", **more: Any) -> CreditRun:
    """A run of the scenario `binder`, with whatever else is said of it."""
    fields: dict[str, Any] = {
        "tenant_id": tenant,
        "workflow_id": "wf1",
        "execution_id": f"x{number}",
        "event_id": f"e{number}",
        "automation_version_id": "v1",
        "occurred_at": NOON + timedelta(minutes=number),
        "status": RunStatus.SUCCESS,
        "scenario": "binder",
        "scenario_id": "binder",
        "scenario_name": None,
        "job_type": JobType.BINDER_EXPORT,
        "credits_total": Decimal("2480.50"),
        "credits_in": Decimal(1800),
        "credits_out": None,
        "model": "m",
        "input_tokens": 220000,
        "output_tokens": None,
        "retry_count": 0,
        "has_idempotency_key": True,
        "has_max_items_config": None,
        "is_batch_job": None,
        "is_backfill": False,
        "prompt_version": None,
        "deployment_timestamp": None,
        "input_item_count": None,
        "artifacts_link": None,
        "profile": "default",
        "policy_version": 1,
        "baseline_credits": Decimal(320),
        "baseline_source": BaselineSource.APPROVED,
        "variance_multiplier": 7.751,
        "severity": Severity.SEV1,
        "misconfig_likelihood": Likelihood.HIGH,
        "misconfig_score": 7,
        "legit_score": 0,
        "risk_flags": [RiskFlag.RETRY_LOOP, RiskFlag.UNBOUNDED_ITERATOR],
        "risk_summary": "Variance: 7.75× | Misconfig likelihood: High",
        "actions": [CreditAction.CREATE_CASE],
    }
    return CreditRun(**{**fields, **more})


class DeadLetters(list[tuple[str, str]]):
    """Keeps `(cause of refusal, execution id)`."""

    def __call__(self, refused: CreditRun, code: str) -> None:
        self.append((code, refused.execution_id))


@pytest.fixture
def dead_letters() -> DeadLetters:
    return DeadLetters()


@pytest.fixture
def ledger(engine: sa.Engine, dead_letters: DeadLetters) -> LedgerSink:
    return LedgerSink(engine, dead_letters)


def chain(engine: sa.Engine, tenant: str = "t1") -> list[tuple[LedgerEntry, str]]:
    with engine.connect() as connection:
        return list(read_chain(connection, tenant))


def broken(engine: sa.Engine, tenant: str = "t1") -> tuple[int, str] | None:
    """Where a chain does not hold, and how."""
    with engine.connect() as connection:
        found = verify(connection, tenant)
    return None if found is None else (found.seq, found.what)


def test_a_run_is_kept_with_all_that_was_said_of_it(engine: sa.Engine, ledger: LedgerSink) -> None:
    said = run(deployment_timestamp=NOON, input_item_count=2**70, model="a\tb\\c\nd\r\\N", risk_flags=[])
    assert ledger.write([said]) == [Recorded.WRITTEN]
    ((entry, _),) = chain(engine)
    kept = {name: getattr(entry, name) for name in CreditRun.__struct_fields__}
    assert kept == {name: getattr(said, name) for name in CreditRun.__struct_fields__}


def test_each_row_names_the_one_before_it_and_can_be_checked_by_anybody(engine: sa.Engine, ledger: LedgerSink) -> None:
    ledger.write([run(1), run(2, tenant="t2"), run(3)])
    ledger.write([run(4)])
    rows = chain(engine)
    assert [(entry.seq, entry.execution_id) for entry, _ in rows] == [(1, "x1"), (2, "x3"), (3, "x4")]
    assert [entry.previous_sha256 for entry, _ in rows] == [None, *(sha256 for _, sha256 in rows[:-1])]
    for entry, sha256 in rows:
        plain = json.loads(msgspec.json.encode(entry))
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == sha256
    assert broken(engine) is None
    with engine.connect() as connection:
        assert tenants_in_ledger(connection) == ["t1", "t2"]


def test_the_same_record_again_changes_nothing_and_another_one_is_refused(
    engine: sa.Engine, ledger: LedgerSink, dead_letters: DeadLetters
) -> None:
    ledger.write([run(1), run(2)])
    before = chain(engine)
    again = [run(2), run(1, credits_total=Decimal("2480.5")), run(1, credits_total=Decimal(9)), run(3), run(3)]
    assert ledger.write(again) == [
        Recorded.DUPLICATE,
        Recorded.DUPLICATE,
        Recorded.CONFLICT,
        Recorded.WRITTEN,
        Recorded.DUPLICATE,
    ]
    assert dead_letters == [("conflicting_run", "x1")]
    after = chain(engine)
    assert after[:2] == before
    assert [entry.execution_id for entry, _ in after] == ["x1", "x2", "x3"]
    assert broken(engine) is None


def test_repeats_are_never_looked_for_in_the_whole_ledger(engine: sa.Engine) -> None:
    scans = sa.text("SELECT seq_scan, idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'credit_runs'")
    with engine.connect() as connection:
        for number in range(12):
            append(connection, [entry_of(run(number)), entry_of(run(number + 1))])
            ((whole, by_index),) = connection.execute(scans)
            assert (whole, by_index > 0) == (0, True)
            connection.commit()


GOLDEN = [
    "4bd28fc01fb56c4b04a46e7536e76de689e188566f28bc7dc4bc81d7d2bc38e4",
    "70d777e9d798d12e15c877862b16a5f74379b25cc10261d0f02f246de34d96ff",
]


@pytest.mark.parametrize(
    ("said", "becomes"),
    [
        pytest.param(
            {"profile": "sintraprime", "policy_version": 2, "baseline_credits": None, "severity": Severity.SEV4}
            | {"baseline_source": BaselineSource.NONE, "variance_multiplier": 0.0, "actions": [], "misconfig_score": 3}
            | {"misconfig_likelihood": Likelihood.MEDIUM, "risk_flags": [RiskFlag.RETRY_LOOP], "risk_summary": ""},
            Recorded.DUPLICATE,
            id="judged by other policies, by a monitor that knew less",
        ),
        pytest.param(
            {"event_id": "e9", "occurred_at": NOON + timedelta(days=2)}, Recorded.DUPLICATE, id="sent again, by new ids"
        ),
        pytest.param({"risk_flags": [RiskFlag.PII_EXPOSURE]}, Recorded.CONFLICT, id="now with personal data"),
        pytest.param({"status": RunStatus.FAILURE}, Recorded.CONFLICT, id="now failed"),
        pytest.param({"retry_count": None}, Recorded.CONFLICT, id="now without a number of retries"),
        pytest.param({"automation_version_id": "v2"}, Recorded.CONFLICT, id="now of another version"),
    ],
)
def test_the_same_record_is_what_its_sender_said_and_not_how_it_was_judged(
    engine: sa.Engine, ledger: LedgerSink, dead_letters: DeadLetters, said: dict[str, Any], becomes: Recorded
) -> None:
    ledger.write([run(1)])
    before = chain(engine)
    assert ledger.write([run(1, **said)]) == [becomes]
    assert dead_letters == ([("conflicting_run", "x1")] if becomes is Recorded.CONFLICT else [])
    assert chain(engine) == before


@pytest.mark.parametrize("place", [0, 50, 99], ids=["first", "in the middle", "last"])
def test_a_repeat_is_found_wherever_it_stands_in_a_large_batch(
    engine: sa.Engine, ledger: LedgerSink, dead_letters: DeadLetters, place: int
) -> None:
    others = [run(number, tenant=f"t{number % 2}") for number in range(10, 110)]
    ledger.write([others[place], run(1)])
    wrong = run(1, credits_total=Decimal(9))
    expected = [Recorded.DUPLICATE if number == place else Recorded.WRITTEN for number in range(100)]
    assert ledger.write([*others, wrong]) == [*expected, Recorded.CONFLICT]
    assert dead_letters == [("conflicting_run", "x1")]
    assert len(chain(engine, "t0")) + len(chain(engine, "t1")) == 101
    assert broken(engine, "t0") is None
    assert broken(engine, "t1") is None


def test_the_canonical_form_does_not_change_with_the_program(engine: sa.Engine, ledger: LedgerSink) -> None:
    """The hashes of chains that exist."""
    ledger.write([run(1), run(2, model='a\tb\\c\nd\r\\N "e" \x01é\u2028', input_item_count=2**70, actions=[])])
    assert [sha256 for _, sha256 in chain(engine)] == GOLDEN


TEXTS = {
    "a tab, a line's end and a backslash": "a\tb\\c\nd\r\\N",
    "quotes": '"a" "" \'b\'',
    "a backslash before a quote": '\\"a\\"',
    "what stands for the end of data": "a\n\\.\nb",
    "what stands for null": "null",
    "commas and braces": "{a,b},[c]",
    "other control characters": "\x01\x1f\x7f\u2028",
    "nothing": "",
    "blanks around": "  a ",
    "beyond the basic plane": "é \N{PILE OF POO}",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_any_text_is_kept_as_it_is(engine: sa.Engine, ledger: LedgerSink, text: str) -> None:
    assert ledger.write([run(1), run(2, scenario_name=text, prompt_version=text), run(3)]) == [Recorded.WRITTEN] * 3
    said = [(entry.scenario_name, entry.prompt_version, entry.model) for entry, _ in chain(engine)]
    assert said == [(None, None, "m"), (text, text, "m"), (None, None, "m")]
    assert broken(engine) is None
    assert ledger.write([run(2, scenario_name=text, prompt_version=text)]) == [Recorded.DUPLICATE]


def test_a_nul_is_written_as_a_replacement_character(engine: sa.Engine, ledger: LedgerSink) -> None:
    said = run(model="a\x00b")
    assert ledger.write([said]) == [Recorded.WRITTEN]
    assert chain(engine)[0][0].model == "a\N{REPLACEMENT CHARACTER}b"
    assert ledger.write([said]) == [Recorded.DUPLICATE]


def test_an_infinite_multiplier_is_kept(engine: sa.Engine, ledger: LedgerSink) -> None:
    assert ledger.write([run(variance_multiplier=float("inf"))]) == [Recorded.WRITTEN]
    assert chain(engine)[0][0].variance_multiplier == float("inf")
    assert broken(engine) is None


def test_the_same_execution_id_is_another_run_in_another_workflow_or_tenant(
    engine: sa.Engine, ledger: LedgerSink
) -> None:
    others = [run(1), run(1, workflow_id="wf2"), run(1, tenant="t2")]
    assert ledger.write(others) == [Recorded.WRITTEN] * 3
    assert broken(engine) is None
    assert broken(engine, "t2") is None


@pytest.mark.parametrize("together", [25, 60], ids=["small batches", "batches that are tried whole"])
def test_many_writers_of_the_same_runs_leave_one_chain_without_gaps(
    engine: sa.Engine, database_url: str, together: int
) -> None:
    runs = [run(number, tenant=f"t{number % 3}") for number in range(120)]
    counted: list[Recorded] = []
    begin = threading.Barrier(8)

    def write(place: int) -> None:
        own = LedgerSink(sa.create_engine(database_url), DeadLetters())
        begin.wait(20)
        turned = runs[place * 7 :] + runs[: place * 7]
        for first in range(0, len(turned), together):
            counted.extend(own.write(turned[first : first + together]))
        own.close()

    threads = [threading.Thread(target=write, args=[place]) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counted.count(Recorded.WRITTEN) == 120
    assert counted.count(Recorded.DUPLICATE) == 7 * 120
    for tenant in ("t0", "t1", "t2"):
        assert [entry.seq for entry, _ in chain(engine, tenant)] == list(range(1, 41))
        assert broken(engine, tenant) is None


CHANGED = "the row is not what it was"
PUT_IN = """
INSERT INTO credit_runs
SELECT (jsonb_populate_record(r, '{"seq": 5, "execution_id": "x9"}')).* FROM credit_runs r WHERE seq = 4
"""
TAMPERING = {
    "a number is changed": ("UPDATE credit_runs SET credits_total = 1 WHERE seq = 2", 2, CHANGED),
    "a word is changed": ("UPDATE credit_runs SET severity = 'SEV4' WHERE seq = 3", 3, CHANGED),
    "a row is taken out": ("DELETE FROM credit_runs WHERE seq = 2", 2, "a row is missing"),
    "the last row is taken out": ("DELETE FROM credit_runs WHERE seq = 4", 4, "the chain ends at row 3"),
    "the end is moved to a row, and keeps its hash": (
        "UPDATE credit_ledger_heads SET seq = 3; DELETE FROM credit_runs WHERE seq = 4",
        3,
        "the row is another one than the chain's end names",
    ),
    "a row is put in": (PUT_IN, 5, "the row before it is another one"),
}


@pytest.mark.parametrize(("statement", "seq", "what"), TAMPERING.values(), ids=TAMPERING.keys())
def test_whatever_is_done_to_the_table_is_found(
    engine: sa.Engine, ledger: LedgerSink, statement: str, seq: int, what: str
) -> None:
    ledger.write([run(number) for number in range(4)])
    with engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))  # triggers sleep
        assert connection.execute(sa.text(statement)).rowcount == 1
    place = broken(engine)
    assert place is not None
    assert place[0] == seq
    assert place[1].startswith(what)


@pytest.mark.parametrize(
    "statement", ["UPDATE credit_runs SET seq = 9", "DELETE FROM credit_runs", "TRUNCATE credit_runs"]
)
def test_the_database_refuses_to_rewrite_it(engine: sa.Engine, ledger: LedgerSink, statement: str) -> None:
    ledger.write([run()])
    with pytest.raises(sa.exc.DBAPIError), engine.begin() as connection:
        connection.execute(sa.text(statement))
    assert len(chain(engine)) == 1


def test_nothing_is_half_written_when_the_transaction_fails(engine: sa.Engine, ledger: LedgerSink) -> None:
    ledger.write([run(1)])
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE credit_runs ADD CONSTRAINT no_bad CHECK (execution_id <> 'x3')"))
    dead = DeadLetters()
    assert LedgerSink(engine, dead).write([run(2), run(3), run(4)]) == [
        Recorded.WRITTEN,
        Recorded.UNSTORABLE,
        Recorded.WRITTEN,
    ]
    assert dead == [("unstorable", "x3")]
    assert [entry.execution_id for entry, _ in chain(engine)] == ["x1", "x2", "x4"]
    assert broken(engine) is None


@pytest.fixture
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server of this test's own, that it may stop."""
    with EmbeddedPostgres() as server:
        yield server


def test_while_postgres_is_away_the_writer_waits_and_loses_nothing(own_server: EmbeddedPostgres) -> None:
    own_server.create_database("ledger")
    migrate(own_server.url("ledger"))
    engine = sa.create_engine(own_server.url("ledger"))
    waits: list[float] = []

    def come_back(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            own_server.restart()

    sink = LedgerSink(engine, DeadLetters(), sleep=come_back, retry=Retry(first_wait=timedelta(milliseconds=1)))
    sink.write([run(1)])
    own_server.kill()
    assert sink.write([run(1), run(2)]) == [Recorded.DUPLICATE, Recorded.WRITTEN]
    assert len(waits) >= 2
    own_server.kill()
    stopped = LedgerSink(engine, DeadLetters(), stopping=lambda: True)
    with pytest.raises(StoreAwayError):
        stopped.write([run(3)])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_can_be_said_of_a_run_comes_back_the_same(
    engine: sa.Engine, ledger: LedgerSink, data: st.DataObject
) -> None:
    text = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)
    amount = st.decimals(min_value=0, max_value=Decimal("1e30"), allow_nan=False, allow_infinity=False)
    tenant = f"t{next(_numbers)}"  # each example has a chain of its own
    runs = [
        run(
            number,
            tenant=tenant,
            credits_total=data.draw(amount),
            baseline_credits=data.draw(st.none() | amount),
            variance_multiplier=data.draw(st.none() | st.floats(0, allow_nan=False, allow_infinity=False)),
            scenario_name=data.draw(text),
            model=data.draw(text),
            occurred_at=data.draw(st.datetimes(datetime(2000, 1, 1), timezones=st.just(UTC))),
            retry_count=data.draw(st.none() | st.integers(0, 10**30)),
            risk_flags=data.draw(st.lists(st.sampled_from(RiskFlag), unique=True)),
        )
        for number in range(3)
    ]
    assert ledger.write(runs) == [Recorded.WRITTEN] * 3
    assert broken(engine, tenant) is None
    assert ledger.write(runs) == [Recorded.DUPLICATE] * 3


#: Mostly the same, so that there are more repeats than contradictions.
AMOUNTS = st.sampled_from([1, 1, 1, 2])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 30), AMOUNTS), max_size=10)
        | st.lists(st.tuples(st.integers(0, 2000), AMOUNTS), min_size=40, max_size=60),
        max_size=4,
    )
)
def test_the_first_record_of_a_run_stays_however_batches_repeat_and_contradict(
    engine: sa.Engine, ledger: LedgerSink, batches: list[list[tuple[int, int]]]
) -> None:
    tenants = [f"t{next(_numbers)}", f"t{next(_numbers)}"]
    first: dict[int, int] = {}
    for batch in batches:
        expected = [
            Recorded.WRITTEN
            if number not in first and first.setdefault(number, credits_total)
            else Recorded.DUPLICATE
            if first[number] == credits_total
            else Recorded.CONFLICT
            for number, credits_total in batch
        ]
        said = [run(number, tenants[number % 2], credits_total=Decimal(amount)) for number, amount in batch]
        assert ledger.write(said) == expected
    kept = [(entry.execution_id, entry.credits_total) for tenant in tenants for entry, _ in chain(engine, tenant)]
    assert sorted(kept) == sorted((f"x{number}", Decimal(amount)) for number, amount in first.items())
    assert [broken(engine, tenant) for tenant in tenants] == [None, None]


def test_the_fields_of_an_entry_stand_in_the_order_of_their_names() -> None:
    names = LedgerEntry.__struct_fields__
    assert list(names) == sorted(names)
    assert {*names, "sha256", "recorded_at"} == {column.name for column in tables.credit_runs.c}
    assert set(CreditRun.__struct_fields__) == set(names) - {"seq", "previous_sha256"}


BARE = ended(0, "x1", 12.5)
FULL = ended(
    0,
    "x1",
    0.1,
    scenario_name="Binder\x00",
    job_type="BINDER_EXPORT",
    credits_in=0.07,
    credits_out=0,
    model="m",
    input_tokens=220_000,
    output_tokens=1,
    retry_count=6,
    has_idempotency_key=False,
    has_max_items_config=True,
    is_batch_job=False,
    is_backfill=True,
    prompt_version="p2",
    deployment_timestamp="2026-01-05T09:30:00.123456+02:00",
    input_item_count=3,
    risk_flags=["regulatory_data", "pii_exposure"],
    artifacts_link="https://a.example/x",
)


def is_of(sent: Line, judged: Line) -> bool:
    """Whether an event is of the record that the ledger has of another one, by what the monitor says of that."""
    event = decode(encoded([sent]).strip())
    assert isinstance(event, RunEvent)
    (said,) = replayed([judged]).records
    return is_record_of(event, entry_of(said))


@pytest.mark.parametrize("line", [BARE, FULL], ids=["a bare run", "a run with all that can be said"])
def test_an_event_is_of_its_record_whatever_its_id_and_time(line: Line) -> None:
    assert is_of(line | {"event_id": "again", "occurred_at": "2026-01-05T08:01:00Z"}, line)


@pytest.mark.parametrize(
    "other",
    [
        *({name: None} for name in sorted(FULL.keys() - BARE.keys())),
        {"credits_total": 0.2},
        {"status": "failure"},
        {"automation_version_id": "v2"},
        {"scenario_id": "s2"},
        {"risk_flags": ["pii_exposure"]},
    ],
    ids=lambda other: ", ".join(f"{name} {value}" for name, value in other.items()),
)
def test_an_event_that_says_something_else_is_of_another_record(other: Line) -> None:
    assert not is_of(FULL | other, FULL)
