"""Who asks the platform for the same workflow at once, and random faults: both sides agree in the end (30.5)."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.embedded.platform import Fault
from lifecycle import tables
from lifecycle.archive import archive
from lifecycle.change_status import change_status
from lifecycle.deploy import deploy
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.platform import HttpPlatform
from lifecycle.platform import Platform as Asked
from lifecycle.reconcile import reconcile
from lifecycle.results import NO_HINTS, Transact
from lifecycle.statuses import Status
from tests.lifecycle.given import row, rows
from tests.lifecycle.platform_given import (
    BEFORE,
    DEPLOYED,
    OPS_ADMIN,
    OPTIONS,
    RELEASER,
    Kill,
    Killed,
    KilledPlatform,
    Platform,
    client,
    given_deployable,
    open_intents,
    state,
    sweep,
    transact,
)


@pytest.fixture
def platform(engine: sa.Engine) -> Iterator[Platform]:
    """A platform that agrees with the database."""
    with Platform() as server:
        given_deployable(engine, server)
        yield server


class Meanwhile:
    """The platform, during whose activation something else happens."""

    def __init__(self, asked: HttpPlatform, happens: Callable[[], object]) -> None:
        self.asked, self.happens = asked, happens
        self.deactivate, self.read_state = asked.deactivate, asked.read_state

    def activate(self, workflow_id: str, *, idempotency_key: str) -> None:
        """Ask, and let it happen."""
        self.asked.activate(workflow_id, idempotency_key=idempotency_key)
        self.happens()


def deploys(engine: sa.Engine, asked: Asked, begin: Transact | None = None) -> None:
    """Deploy the new version."""
    deploy(
        begin or transact(engine), asked, tenant_id="t1", automation_version_id="new", actor_context=RELEASER,
        options=OPTIONS,
    )  # fmt: skip


def archives(engine: sa.Engine, asked: Asked, version: str, begin: Transact | None = None) -> None:
    """Archive one of the versions."""
    archive(
        begin or transact(engine), asked, tenant_id="t1", automation_version_id=version, actor_context=RELEASER,
        options=OPTIONS,
    )  # fmt: skip


def moves(engine: sa.Engine, version: str, requested: Status, reason: str | None = None) -> None:
    """Pause or resume."""
    with engine.begin() as connection:
        change_status(
            connection, tenant_id="t1", automation_version_id=version, requested=requested, actor_context=OPS_ADMIN,
            hints=NO_HINTS, reason=reason, options=OPTIONS,
        )  # fmt: skip


def test_a_pause_and_a_resume_ask_nothing_of_the_platform(engine: sa.Engine, platform: Platform) -> None:
    moves(engine, "old", Status.PAUSED, "Stocktaking")
    assert state(engine, platform)["old"] == ("Paused", "active", "active")
    paused = row(engine, tables.audit_logs, action_type="pause_workflow")
    assert paused["metadata"]["reason"] == "Stocktaking"
    moves(engine, "old", Status.LIVE)
    assert row(engine, tables.audit_logs, action_type="resume_workflow")
    assert state(engine, platform) == BEFORE
    assert platform.calls == []


@pytest.mark.parametrize(
    ("length", "fits"),
    [pytest.param(1000, True, id="1,000 characters: paused"), pytest.param(1001, False, id="one more: refused")],
)
def test_a_reason_for_a_pause_has_its_limit(engine: sa.Engine, platform: Platform, length: int, fits: bool) -> None:
    if fits:
        moves(engine, "old", Status.PAUSED, "a" * length)
    else:
        with pytest.raises(LifecycleError) as refused:
            moves(engine, "old", Status.PAUSED, "a" * length)
        assert [detail.field for detail in refused.value.details] == ["reason"]
    assert state(engine, platform)["old"][0] == ("Paused" if fits else "Live")


@pytest.mark.parametrize("requested", [Status.PAUSED, Status.LIVE])
@pytest.mark.parametrize("at", [1, 2], ids=["before its commit", "after it"])
def test_a_pause_or_resume_that_dies_is_done_or_not(
    engine: sa.Engine, platform: Platform, requested: Status, at: int
) -> None:
    if requested is Status.LIVE:
        moves(engine, "old", Status.PAUSED)
    before = state(engine, platform)["old"][0]
    history = rows(engine, tables.automation_versions_status_history)
    with pytest.raises(Killed), Kill(at).transact(engine)() as connection:
        change_status(
            connection, tenant_id="t1", automation_version_id="old", requested=requested, actor_context=OPS_ADMIN,
            hints=NO_HINTS, options=OPTIONS,
        )  # fmt: skip
    assert state(engine, platform)["old"][0] == (before if at == 1 else requested)
    # Whole or not at all: the history says the same.
    assert len(rows(engine, tables.automation_versions_status_history)) == len(history) + at - 1


def test_a_paused_version_is_not_resumed_beside_one_that_is_live(engine: sa.Engine, platform: Platform) -> None:
    moves(engine, "old", Status.PAUSED)
    deploys(engine, client(platform))
    with pytest.raises(LifecycleError) as refused:
        moves(engine, "old", Status.LIVE)
    assert refused.value.code is ErrorCode.PRECONDITION_FAILED
    assert state(engine, platform)["old"][0] == "Paused"


def test_a_workflow_that_is_being_asked_about_for_one_version_is_not_for_another(
    engine: sa.Engine, platform: Platform
) -> None:
    with engine.begin() as connection:
        connection.execute(sa.update(tables.workflow_bindings).values(wrk_workflow_id="wf-old"))
        connection.execute(
            sa.update(tables.workflow_bindings)
            .where(tables.workflow_bindings.c.automation_version_id == "new")
            .values(status="provisioned")
        )
    refusals: list[ErrorCode] = []

    def archives_meanwhile() -> None:
        with pytest.raises(LifecycleError) as refused:
            archives(engine, client(platform), "old")
        refusals.append(refused.value.code)

    deploys(engine, Meanwhile(client(platform), archives_meanwhile))
    assert refusals == [ErrorCode.CONCURRENCY_CONFLICT]
    assert platform.workflows["wf-old"] == "active"
    assert state(engine, platform)["new"] == ("Live", "active", "active")


def test_the_reconciler_leaves_alone_what_is_under_way(engine: sa.Engine, platform: Platform) -> None:
    found: list[tuple[str, bool]] = []

    def reconciles() -> None:
        differences = reconcile(transact(engine), client(platform), apply=True)
        found.extend((one.workflow_id, one.restored) for one in differences)

    deploys(engine, Meanwhile(client(platform), reconciles))
    sweep(engine, platform)
    assert found == [("wf-new", False)]
    assert state(engine, platform) == DEPLOYED


def test_a_database_that_fails_at_the_commit_leaves_nothing_half_done(engine: sa.Engine, platform: Platform) -> None:
    with engine.begin() as connection:
        # Everything is written by then: the last statement of the transaction is refused.
        connection.exec_driver_sql("ALTER TABLE platform_intents ADD CONSTRAINT broken CHECK (status <> 'committed')")
    with pytest.raises(sa.exc.IntegrityError):
        deploys(engine, client(platform))
    assert platform.workflows["wf-new"] == "active"
    sweep(engine, platform)
    assert open_intents(engine) == []
    assert state(engine, platform) == BEFORE
    assert rows(engine, tables.audit_logs, action_type="deploy") == []


FAULTS = st.lists(st.sampled_from([None, *Fault]), max_size=8)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["deploy", "archive old", "archive new", "pause", "resume", "sweep"]), FAULTS, st.integers(1, 9)
    ),
    min_size=1,
    max_size=6,
)


@given(steps=STEPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_fails_or_dies_the_sweeper_brings_both_sides_together(
    engine: sa.Engine, steps: list[tuple[str, list[Fault | None], int]]
) -> None:
    with engine.begin() as connection:
        names = ", ".join(
            table.name for table in (tables.tenants, tables.platform_intents, tables.automations, tables.notifications)
        )
        # Each example has the database for itself; the history would not let itself be emptied otherwise.
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql(f"TRUNCATE {names} CASCADE")
    with Platform() as platform:
        given_deployable(engine, platform)
        for action, faults, at in steps:
            platform.faults.clear()
            platform.faults.extend(faults)
            kill = Kill(at)
            asked = KilledPlatform(client(platform, timeout=timedelta(milliseconds=300)), kill)
            try:
                match action:
                    case "deploy":
                        deploys(engine, asked, kill.transact(engine))
                    case "archive old" | "archive new":
                        archives(engine, asked, action.removeprefix("archive "), kill.transact(engine))
                    case "pause":
                        moves(engine, "old", Status.PAUSED)
                    case "resume":
                        moves(engine, "old", Status.LIVE)
                    case "sweep":
                        sweep(engine, platform)
            except (LifecycleError, Killed):
                pass
        platform.faults.clear()
        sweep(engine, platform)
        assert open_intents(engine) == []
        assert list(reconcile(transact(engine), client(platform), apply=False)) == []
        after = state(engine, platform)
        assert [status for status, _, _ in after.values()].count("Live") <= 1
        for status, binding, _ in after.values():
            assert (binding == "active") == (status in ("Live", "Paused"))
