"""The services sink: all effects of a decision in one transaction, once (60.1, 80.5)."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from cli.embedded.postgres import EmbeddedPostgres
from dataflows.decisions import Decision
from lifecycle import tables
from lifecycle.options import LifecycleOptions
from sinks.services import Outcome, Result, ServicesSink
from sinks.store_away import Retry, StoreAwayError
from tests.lifecycle.given import content, given_world, row, rows, texts, version
from tests.sinks.given import blacklists, blocks, history, recovered, stuck

OPTIONS = LifecycleOptions(ops_email="ops@breakwater.example", public_url="https://bw.example")


class DeadLetters(list[tuple[str, str]]):
    """A writer that keeps `(cause of refusal, decision id)`."""

    def __call__(self, decision: Decision, code: str) -> None:
        self.append((code, decision.decision_id))


def services(engine: sa.Engine, dead_letters: DeadLetters | None = None, **more: Any) -> ServicesSink:
    """A sink on the test's database."""
    return ServicesSink(engine, OPTIONS, DeadLetters() if dead_letters is None else dead_letters, **more)


def metric(name: str, **labels: str) -> float:
    """A counter's value now."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_decision_is_kept_with_its_evidence_and_what_became_of_it(engine: sa.Engine) -> None:
    given_world(engine)
    said = blocks("mail", "crm")
    assert services(engine).apply([said]) == [Result(Outcome.APPLIED, "blocked")]
    kept = row(engine, tables.decisions)
    assert (kept["decision_id"], kept["kind"], kept["outcome"]) == (
        said.decision_id,
        "block_for_credentials",
        "applied",
    )
    assert (kept["occurred_at"], kept["policy_id"], kept["policy_version"]) == (said.occurred_at, "auth_failures", 1)
    assert kept["observed"] == said.observed
    assert kept["detail"] == {"failed_systems": ["crm", "mail"]}
    assert [(e["ordinal"], e["event_id"]) for e in rows(engine, tables.decision_evidence)] == [
        (0, "e1"), (1, "e2"), (2, "e3"),
    ]  # fmt: skip
    assert version(engine)["status"] == "Blocked"


def test_stuck_executions_are_recorded_and_recover(engine: sa.Engine) -> None:
    given_world(engine)
    services(engine).apply([stuck("x1"), stuck("x2"), recovered("x1")])
    assert [(s["execution_id"], s["stuck_at"] is not None, s["recovered_at"] is not None) for s in
            rows(engine, tables.stuck_executions)] == [("x1", True, True), ("x2", True, False)]  # fmt: skip


def test_a_tripped_breaker_blacklists_with_task_audit_and_notice(engine: sa.Engine) -> None:
    given_world(engine)
    runs = [f"x{n:02}" for n in range(25)]
    result = services(engine).apply([blacklists(*runs), blacklists("z1", "z2")])
    assert result == [Result(Outcome.APPLIED, "blacklisted"), Result(Outcome.APPLIED, "already_applied")]
    listed = row(engine, tables.workflow_blacklist)
    assert (listed["workflow_name"], listed["source"], listed["reason"]) == (
        "Nightly invoices",
        "auto",
        "auto:stuck:25",
    )
    assert (listed["threshold"], listed["window_seconds"], listed["execution_ids"]) == (5, 3600, runs[:20])
    task = row(engine, tables.tasks)
    assert (task["kind"], task["context_type"], task["context_id"]) == ("blacklist_review", "workflow", "wf1")
    audit = row(engine, tables.audit_logs)
    assert (audit["action_type"], audit["resource_id"]) == ("blacklist_workflow", "wf1")
    assert {(n["template"], n["channel"], n["audience"], n["severity"], n["link"]) for n in
            rows(engine, tables.notifications)} == {
        ("workflow_blacklisted", "email", "platform_admin", "warning", "https://bw.example/console/blacklist"),
        ("workflow_blacklisted", "in_app", "platform_admin", "warning", "https://bw.example/console/blacklist"),
    }  # fmt: skip
    assert "25 times within 60 minutes" in rows(engine, tables.notifications)[0]["body"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param(blocks(automation_version_id="v7"), "automation_version_not_found", id="unknown version"),
        pytest.param(blocks(tenant_id="t2"), "automation_version_not_found", id="a version of another tenant"),
        pytest.param(
            blocks(automation_version_id=None, workflow_id="wf7"),
            "automation_version_not_found",
            id="no version and an unknown workflow",
        ),
        pytest.param(stuck("x", workflow_id="wf2"), "workflow_not_found", id="stuck: another tenant's workflow"),
        pytest.param(
            stuck("x", tenant_id="t2", workflow_id="wf2"), "automation_version_not_found", id="stuck: its version"
        ),
        pytest.param(recovered("x", workflow_id="wf2"), "workflow_not_found", id="recovered: another tenant's"),
        pytest.param(blacklists("x", workflow_id="wf2"), "workflow_not_found", id="blacklist: another tenant's"),
        pytest.param(blacklists("x", tenant_id="t7"), "automation_version_not_found", id="blacklist: unknown tenant"),
    ],
)  # fmt: skip
def test_what_the_lifecycle_refuses_is_recorded_with_its_reason_and_the_stream_goes_on(
    engine: sa.Engine, said: Decision, reason: str
) -> None:
    given_world(engine)
    before = content(engine)
    assert services(engine).apply([said, said]) == [Result(Outcome.REFUSED, reason), Result(Outcome.DUPLICATE)]
    kept = row(engine, tables.decisions)
    assert (kept["outcome"], kept["outcome_reason"]) == ("refused", reason)
    after = content(engine)
    for name in ("decisions", "decision_evidence"):
        before.pop(name)
        after.pop(name)
    assert after == before


def test_a_block_without_a_version_meets_the_one_that_the_workflow_is_bound_to(engine: sa.Engine) -> None:
    given_world(engine)
    assert services(engine).apply([blocks(automation_version_id=None)]) == [Result(Outcome.APPLIED, "blocked")]
    assert version(engine)["status"] == "Blocked"


def test_a_skipped_block_is_counted_by_status(engine: sa.Engine) -> None:
    given_world(engine)
    with engine.begin() as connection:
        connection.execute(sa.update(tables.automation_versions).values(status="Paused"))
    before = metric("breakwater_block_skipped_total", status="Paused")
    said = blocks()
    assert services(engine).apply([said, said])[0] == Result(Outcome.APPLIED, "skipped")
    assert metric("breakwater_block_skipped_total", status="Paused") == before + 1


def test_one_that_fails_takes_none_of_those_with_it_that_came_together(engine: sa.Engine) -> None:
    given_world(engine)
    dead = DeadLetters()
    broken = stuck("x", detail={})
    came = [stuck("x1"), blocks(), broken, recovered("x1"), stuck("x1"), blacklists("x1")]
    results = services(engine, dead).apply(came)
    assert [result.outcome for result in results] == [
        Outcome.APPLIED,
        Outcome.APPLIED,
        Outcome.DEAD_LETTER,
        Outcome.APPLIED,
        Outcome.DUPLICATE,
        Outcome.APPLIED,
    ]
    assert dead == [("malformed", broken.decision_id)]
    assert len(rows(engine, tables.decisions)) == 4


def test_what_came_together_and_comes_again_changes_nothing(engine: sa.Engine) -> None:
    given_world(engine)
    came = [stuck("x1"), blocks(), stuck("x1"), recovered("x1"), blocks("mail", cause="e9"), blacklists("x1")]
    together = services(engine).apply(came)
    assert [result.outcome for result in together] == [
        *(Outcome.APPLIED, Outcome.APPLIED, Outcome.DUPLICATE),
        *(Outcome.APPLIED, Outcome.APPLIED, Outcome.APPLIED),
    ]
    assert [result.reason for result in together[1:5:3]] == ["blocked", "merged"]
    before = content(engine)
    assert {result.outcome for one in came for result in services(engine).apply([one])} == {Outcome.DUPLICATE}
    assert content(engine) == before


@pytest.mark.parametrize(
    ("said", "code"),
    [
        pytest.param(blocks(reason_code="x", observed={"note": "a\x00b"}), "unstorable", id="NUL in JSON"),
        pytest.param(stuck("x\x00"), "unstorable", id="NUL in an execution id"),
        pytest.param(blocks(decision_id="no uuid"), "unstorable", id="an id that is none"),
        pytest.param(stuck("x" * 129), "unstorable", id="longer than its column"),
        pytest.param(stuck("x", reason_code="\ud800"), "unstorable", id="half a character"),
        pytest.param(blocks(detail={}), "malformed", id="a block without systems"),
        pytest.param(blocks(detail={"failed_systems": []}), "malformed", id="a block of no system"),
        pytest.param(blocks(detail={"failed_systems": [1]}), "malformed", id="a system that is no text"),
        pytest.param(blocks(detail={"failed_systems": [["crm"]]}), "malformed", id="a system that is a list"),
        pytest.param(stuck("x", detail={}), "malformed", id="stuck without execution"),
        pytest.param(blacklists("x", threshold={}), "malformed", id="blacklist without threshold"),
        pytest.param(
            blacklists("x", threshold={"threshold": 1.5, "window_seconds": 60}), "malformed", id="half a threshold"
        ),
    ],
)
def test_what_can_never_be_applied_is_a_dead_letter_and_the_stream_goes_on(
    engine: sa.Engine, said: Decision, code: str
) -> None:
    given_world(engine)
    before = content(engine)
    dead = DeadLetters()
    results = services(engine, dead).apply([said, stuck("good")])
    assert [result.outcome for result in results] == [Outcome.DEAD_LETTER, Outcome.APPLIED]
    assert dead == [(code, said.decision_id)]
    assert [d["decision_id"] for d in rows(engine, tables.decisions)] == [stuck("good").decision_id]
    services(engine).apply([])
    after = content(engine)
    for name in ("decisions", "decision_evidence", "stuck_executions"):
        before.pop(name)
        after.pop(name)
    assert after == before


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("", id="the empty text"),
        pytest.param(" ", id="a space"),
        pytest.param("a\x00b", id="NUL"),
        pytest.param("\ud800", id="half a character"),
        pytest.param("x" * 300, id="longer than a column"),
    ],
)
@pytest.mark.parametrize("others", [(), ("crm", "mail")], ids=["alone", "among others"])
def test_a_system_of_an_odd_key_blocks_like_any_other(engine: sa.Engine, key: str, others: tuple[str, ...]) -> None:
    given_world(engine)
    assert services(engine).apply([blocks(key, *others)]) == [Result(Outcome.APPLIED, "blocked")]
    assert version(engine)["status"] == "Blocked"
    kept = row(engine, tables.decisions)
    assert kept["observed"]["system_key"].startswith("unlisted-")
    assert kept["detail"]["failed_systems"] == sorted([kept["observed"]["system_key"], *others])
    assert row(engine, tables.block_reasons)["failed_systems"] == kept["detail"]["failed_systems"]
    assert len(rows(engine, tables.tasks)) == 1 + len(others)


def test_replaying_a_history_many_times_leaves_what_one_pass_left(engine: sa.Engine) -> None:
    given_world(engine)
    sink = services(engine)
    first = sink.apply(history())
    assert [(r.outcome, r.reason) for r in first if r.reason != "recorded"] == [
        (Outcome.APPLIED, "blocked"),
        (Outcome.APPLIED, "merged"),
        (Outcome.APPLIED, "blacklisted"),
        (Outcome.APPLIED, "blocked"),
        (Outcome.REFUSED, "automation_version_not_found"),
        (Outcome.REFUSED, "workflow_not_found"),
        (Outcome.APPLIED, "already_applied"),
    ]
    once = content(engine)
    for start in range(len(history())):
        again = history()[start:] + history()[:start]
        assert {result.outcome for result in sink.apply(again)} == {Outcome.DUPLICATE}
    assert content(engine) == once


def in_threads(*jobs: Callable[[], object]) -> None:
    """Run all at once; an exception in one is the test's."""
    gate, errors = threading.Barrier(len(jobs)), []

    def run(job: Callable[[], object]) -> None:
        gate.wait(10)
        try:
            job()
        except Exception as error:  # noqa: BLE001  (raised again where the test can see it)
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_workers_that_replay_the_same_history_at_once_leave_what_one_pass_left(
    postgres: EmbeddedPostgres, engine: sa.Engine
) -> None:
    postgres.create_database("alone", template="migrated")
    alone = sa.create_engine(postgres.url("alone"))
    given_world(alone)
    services(alone).apply(history())
    expected = content(alone)
    alone.dispose()
    postgres.drop_database("alone")

    given_world(engine)
    in_threads(*(lambda: services(engine).apply(history()) for _ in range(4)))
    assert content(engine) == expected


def test_opposite_orders_meet_without_deadlock_and_apply_each_decision_once(engine: sa.Engine) -> None:
    given_world(engine)
    before = metric("breakwater_sink_retries_total", sink="services")
    everything = [
        *(stuck(f"s{n}") for n in range(10)),
        *(recovered(f"s{n}") for n in range(10)),
        *(blocks(system, cause=f"c{n}") for n, system in enumerate(["crm", "mail", "erp", "crm", "mail"])),
        blocks("crm", tenant_id="t2", workflow_id="wf2", automation_version_id="v2"),
        blacklists("s0", "s1"),
    ]  # fmt: skip
    in_threads(
        lambda: services(engine).apply(everything),
        lambda: services(engine).apply(reversed(everything)),
        lambda: services(engine).apply(everything[13:] + everything[:13]),
    )
    assert len(rows(engine, tables.decisions)) == len(everything)
    assert {(s["stuck_at"] is None, s["recovered_at"] is None) for s in rows(engine, tables.stuck_executions)} == {
        (False, False)
    }
    assert sorted(t["system_key"] for t in rows(engine, tables.tasks, tenant_id="t1", kind="credentials_issue")) == [
        "crm", "erp", "mail",
    ]  # fmt: skip
    assert len(rows(engine, tables.workflow_blacklist)) == 1
    assert len(rows(engine, tables.automation_versions_status_history, to_status="Blocked")) == 2
    assert metric("breakwater_sink_retries_total", sink="services") == before


class Crash(BaseException):
    """The process dies here."""


@contextmanager
def crash_at(engine: sa.Engine, statement: int, *, before: bool) -> Iterator[None]:
    """Die right before or after the given statement, counted from 1, or at the commit after the last one."""
    seen = itertools.count(1)

    def reached(*_: Any) -> None:
        if next(seen) == statement:
            raise Crash

    event = "before_cursor_execute" if before else "after_cursor_execute"
    sa.event.listen(engine, event, reached)
    try:
        yield
    finally:
        sa.event.remove(engine, event, reached)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(blocks("crm", "mail"), id="block"),
        pytest.param(stuck("x1"), id="stuck"),
        pytest.param(blacklists("x1", "x2"), id="blacklist"),
        pytest.param(blocks(tenant_id="t2"), id="refused"),
    ],
)
def test_a_crash_between_any_two_statements_leaves_nothing_and_a_restart_everything(
    engine: sa.Engine, said: Decision
) -> None:
    given_world(engine)
    untouched = content(engine)
    jobs_before = texts(engine).count("deliver_notification")
    for statement in itertools.count(1):
        crashed = False
        for before in (True, False):
            with crash_at(engine, statement, before=before):
                try:
                    services(engine).apply([said])
                except Crash:
                    crashed = True
                    assert content(engine) == untouched
                    assert texts(engine).count("deliver_notification") == jobs_before
                else:
                    break
        if not crashed:
            break
    assert statement > 3
    assert rows(engine, tables.decisions)[0]["decision_id"] == said.decision_id
    once = content(engine)
    assert services(engine).apply([said]) == [Result(Outcome.DUPLICATE)]
    assert content(engine) == once


def test_while_postgres_is_away_the_stream_is_held_back_and_nothing_is_dropped(
    postgres: EmbeddedPostgres, database_url: str, engine: sa.Engine
) -> None:
    given_world(engine)
    sink_engine = sa.create_engine(database_url)
    name = sa.make_url(database_url).database
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 6:
            allow(True)

    def allow(allowed: bool) -> None:
        admin = sa.create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with admin.connect() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {str(allowed).lower()}")
            if not allowed:
                connection.exec_driver_sql(
                    f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                )

    sink = services(sink_engine, sleep=sleep, retry=Retry())
    assert sink.apply([stuck("x1")]) == [Result(Outcome.APPLIED, "recorded")]
    engine.dispose()
    allow(False)
    retries = metric("breakwater_sink_retries_total", sink="services")
    assert [r.outcome for r in sink.apply([stuck("x2"), blocks()])] == [Outcome.APPLIED, Outcome.APPLIED]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    assert metric("breakwater_sink_retries_total", sink="services") == retries + 6
    assert len(rows(engine, tables.decisions)) == 3
    sink.close()


def test_a_process_that_is_asked_to_stop_does_not_wait_for_postgres() -> None:
    nowhere = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing", connect_args={"connect_timeout": 1})
    with pytest.raises(StoreAwayError):
        services(nowhere, stopping=lambda: True).apply([stuck("x")])


def test_a_missing_table_is_a_fault_of_ours_and_is_raised(engine: sa.Engine) -> None:
    given_world(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE decision_evidence")
    dead = DeadLetters()
    with pytest.raises(sa.exc.ProgrammingError):
        services(engine, dead).apply([stuck("x")])
    assert dead == []


def test_a_deadlock_is_tried_again_soon(engine: sa.Engine) -> None:
    given_world(engine)
    waits: list[float] = []
    deadlocks = iter([True, True, False])

    def deadlock(connection: sa.Connection, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO stuck_executions") and next(deadlocks, False):
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = 'deadlock_detected'; END $$")

    sa.event.listen(engine, "before_cursor_execute", deadlock)
    before = metric("breakwater_sink_retries_total", sink="services")
    assert services(engine, sleep=waits.append).apply([stuck("x")]) == [Result(Outcome.APPLIED, "recorded")]
    assert waits == [0.01, 0.01]
    assert metric("breakwater_sink_retries_total", sink="services") == before


SECRETS = ["sk_live_4eC39HqLyjWDarjtT1zdp7dc", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "hunter2!", "ya29.A0ARrdaM-x_9"]


def test_no_secret_that_came_as_a_system_key_is_in_any_table(engine: sa.Engine) -> None:
    given_world(engine)
    services(engine).apply(
        [
            blocks(*SECRETS),
            *(blocks(secret, cause=f"again{n}") for n, secret in enumerate(SECRETS)),
            blocks(*SECRETS, tenant_id="t2", cause="refused"),
        ]
    )
    assert len(rows(engine, tables.tasks)) == len(SECRETS)
    stored = texts(engine)
    assert "unlisted-" in stored
    for secret in SECRETS:
        assert secret not in stored
