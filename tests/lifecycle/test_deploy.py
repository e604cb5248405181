"""Deploying and archiving with a real platform double that fails, hangs, forgets and lies (30.5)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from cli.embedded.platform import Fault
from lifecycle import tables
from lifecycle.archive import archive
from lifecycle.blocking import request_block_for_credentials
from lifecycle.deploy import deploy
from lifecycle.errors import ErrorCode, LifecycleError
from lifecycle.kinds import IntentStatus, TaskStatus
from lifecycle.platform import HttpPlatform
from lifecycle.platform import Platform as Asked
from lifecycle.reconcile import reconcile
from lifecycle.results import Hints, StatusResult, Transact
from lifecycle.statuses import Status
from lifecycle.sweep import sweep_intents
from lifecycle.task_changes import complete_task
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


def deploys(engine: sa.Engine, asked: Asked, begin: Transact | None = None, **more: object) -> StatusResult:
    """Deploy the new version."""
    arguments = {"actor_context": RELEASER, "options": OPTIONS, "reason": "Quarterly release", **more}
    return deploy(
        begin or transact(engine),
        asked,
        tenant_id="t1",
        automation_version_id="new",
        **arguments,  # type: ignore[arg-type]
    )


def archives(engine: sa.Engine, asked: Asked, begin: Transact | None = None) -> StatusResult:
    """Archive the old version."""
    return archive(
        begin or transact(engine), asked, tenant_id="t1", automation_version_id="old", actor_context=RELEASER,
        reason="Not used any more", options=OPTIONS,
    )  # fmt: skip


def test_a_deploy_makes_the_new_version_live_and_archives_the_one_before(engine: sa.Engine, platform: Platform) -> None:
    result = deploys(engine, client(platform))
    assert (result.automation_version.status, result.already_applied) == (Status.LIVE, False)
    assert open_intents(engine) == ["replace"]
    sweep(engine, platform)
    assert state(engine, platform) == DEPLOYED
    audit = row(engine, tables.audit_logs, action_type="deploy")
    assert audit["metadata"]["previous_version_id"] == "old"
    assert audit["metadata"]["deployment_reason"] == "Quarterly release"
    assert {one["status"] for one in rows(engine, tables.platform_intents)} == {IntentStatus.COMMITTED}
    templates = {one["template"] for one in rows(engine, tables.notifications)}
    assert {"automation_live", "deployment_success"} <= templates
    assert row(engine, tables.automation_versions, id="new")["status_metadata"]["deployment"]["deployed_by"] == "rita"


def test_a_second_deploy_of_what_is_live_changes_nothing(engine: sa.Engine, platform: Platform) -> None:
    deploys(engine, client(platform))
    before = len(platform.calls)
    assert deploys(engine, client(platform), hints=Hints(last_known_status=Status.PAUSED)).already_applied
    assert len(platform.calls) == before


#: What goes wrong with the three tries of one call, and whether it is done in the end.
FAULTS = {
    "it fails once": ([Fault.FAIL], True),
    "it is busy twice": ([Fault.BUSY, Fault.BUSY], True),
    "it loses an answer": ([Fault.LOSE_ANSWER], True),
    "it fails after doing it, and answers the second time": ([Fault.FAIL_AFTER], True),
    "it hangs once": ([Fault.HANG], True),
    "it answers nonsense": ([Fault.GARBLE], True),
    "it fails three times": ([Fault.FAIL] * 3, False),
    "it is busy three times": ([Fault.BUSY] * 3, False),
    "it refuses": ([Fault.REFUSE], False),
    "it does it and fails three times": ([Fault.FAIL_AFTER] * 3, False),
    "it does it and loses three answers": ([Fault.LOSE_ANSWER] * 3, False),
    "it hangs three times": ([Fault.HANG] * 3, False),
    "it hangs, and refuses when it is asked again": ([Fault.HANG, Fault.REFUSE], False),
    "it does it, loses the answer, and refuses the second time": ([Fault.LOSE_ANSWER, Fault.REFUSE], False),
}


@pytest.mark.parametrize("name", FAULTS)
def test_whatever_the_platform_does_both_sides_agree_in_the_end(
    engine: sa.Engine, platform: Platform, name: str
) -> None:
    faults, done = FAULTS[name]
    platform.faults.extend(faults)
    asked = client(platform, timeout=timedelta(milliseconds=300))
    if done:
        deploys(engine, asked)
    else:
        with pytest.raises(LifecycleError) as refused:
            deploys(engine, asked)
        assert refused.value.code is ErrorCode.DEPLOYMENT_FAILED
        assert row(engine, tables.notifications, template="deployment_problem", channel="in_app")
        assert state(engine, platform)["new"][:2] == ("Ready to Launch", "provisioned")
    sweep(engine, platform)
    assert open_intents(engine) == []
    assert state(engine, platform) == (DEPLOYED if done else BEFORE)
    # One key for all tries of one question.
    assert len({call.idempotency_key for call in platform.calls if call.action == "activate"}) == 1


DEPLOY_STEPS = 6
ARCHIVE_STEPS = 6


@pytest.mark.parametrize("at", range(1, DEPLOY_STEPS + 1))
def test_a_deploy_that_dies_anywhere_is_either_done_or_taken_back(
    engine: sa.Engine, platform: Platform, at: int
) -> None:
    kill = Kill(at)
    with pytest.raises(Killed):
        deploys(engine, KilledPlatform(client(platform), kill), kill.transact(engine))
    sweep(engine, platform)
    assert open_intents(engine) == []
    assert state(engine, platform) == (DEPLOYED if at == DEPLOY_STEPS else BEFORE)
    # Nothing stands in the way of the next one.
    deploys(engine, client(platform))
    sweep(engine, platform)
    assert state(engine, platform) == DEPLOYED


def test_there_are_no_more_steps_than_those(engine: sa.Engine, platform: Platform) -> None:
    kill = Kill(DEPLOY_STEPS + 1)
    deploys(engine, KilledPlatform(client(platform), kill), kill.transact(engine))
    assert kill.left == 1


@pytest.mark.parametrize("at", range(1, ARCHIVE_STEPS + 1))
def test_an_archive_that_dies_anywhere_is_either_done_or_taken_back(
    engine: sa.Engine, platform: Platform, at: int
) -> None:
    kill = Kill(at)
    with pytest.raises(Killed):
        archives(engine, KilledPlatform(client(platform), kill), kill.transact(engine))
    sweep(engine, platform)
    assert open_intents(engine) == []
    after = ("Archived", "inactive", "inactive")
    assert state(engine, platform)["old"] == (after if at == ARCHIVE_STEPS else BEFORE["old"])


def test_a_sweeper_that_dies_leaves_the_rest_to_the_next(engine: sa.Engine, platform: Platform) -> None:
    kill = Kill(4)
    with pytest.raises(Killed):
        deploys(engine, KilledPlatform(client(platform), kill), kill.transact(engine))
    for at in range(1, 25):
        with engine.begin() as connection:
            connection.execute(sa.update(tables.platform_intents).values(next_attempt_at=sa.func.clock_timestamp()))
        kill = Kill(at)
        try:
            sweep_intents(kill.transact(engine), KilledPlatform(client(platform), kill), options=OPTIONS)
        except Killed:
            continue
        break
    assert open_intents(engine) == []
    assert state(engine, platform) == BEFORE


class _BlocksMeanwhile:
    """A platform during whose activation the monitor blocks the version."""

    def __init__(self, engine: sa.Engine, platform: HttpPlatform) -> None:
        self._engine, self._platform = engine, platform
        self.deactivate, self.read_state = platform.deactivate, platform.read_state

    def activate(self, workflow_id: str, *, idempotency_key: str) -> None:
        """Ask, and let something happen."""
        self._platform.activate(workflow_id, idempotency_key=idempotency_key)
        with self._engine.begin() as connection:
            request_block_for_credentials(
                connection,
                tenant_id="t1",
                automation_version_id="new",
                actor_context=OPS_ADMIN,
                failed_systems=["crm"],
                policy_id="auth_failures",
                decision_id="00000000-0000-5000-8000-000000000001",
                options=OPTIONS,
            )


def test_a_version_that_is_blocked_meanwhile_stays_blocked_and_its_workflow_off(
    engine: sa.Engine, platform: Platform
) -> None:
    with pytest.raises(LifecycleError) as refused:
        deploys(engine, _BlocksMeanwhile(engine, client(platform)))
    assert refused.value.code is ErrorCode.CONCURRENCY_CONFLICT
    sweep(engine, platform)
    assert state(engine, platform) == {**BEFORE, "new": ("Blocked", "provisioned", "inactive")}


def test_versions_that_share_a_workflow_leave_it_on(engine: sa.Engine, platform: Platform) -> None:
    with engine.begin() as connection:
        connection.execute(sa.update(tables.workflow_bindings).values(wrk_workflow_id="wf-old"))
    deploys(engine, client(platform))
    assert open_intents(engine) == []
    assert platform.workflows["wf-old"] == "active"
    assert "deactivate" not in {call.action for call in platform.calls}


def test_a_failed_deploy_on_a_shared_workflow_does_not_stop_the_one_that_runs(
    engine: sa.Engine, platform: Platform
) -> None:
    with engine.begin() as connection:
        connection.execute(sa.update(tables.workflow_bindings).values(wrk_workflow_id="wf-old"))
    platform.faults.extend([Fault.FAIL_AFTER] * 3)
    with pytest.raises(LifecycleError):
        deploys(engine, client(platform))
    sweep(engine, platform)
    assert platform.workflows["wf-old"] == "active"


def test_an_old_workflow_that_can_not_be_stopped_leaves_the_deploy_standing_and_is_told_of(
    engine: sa.Engine, platform: Platform
) -> None:
    deploys(engine, client(platform))
    for _ in range(3):
        platform.faults.extend([Fault.FAIL] * 3)
        with engine.begin() as connection:
            connection.execute(sa.update(tables.platform_intents).values(next_attempt_at=sa.func.clock_timestamp()))
        assert sweep_intents(transact(engine), client(platform), options=OPTIONS, at_most=1) == 0
    assert state(engine, platform)["new"] == ("Live", "active", "active")
    assert len(rows(engine, tables.notifications, template="deployment_problem", channel="email")) == 1
    sweep(engine, platform)
    assert state(engine, platform) == DEPLOYED


def test_two_deploys_at_once_ask_the_platform_once(engine: sa.Engine, platform: Platform) -> None:
    class Nested:
        """A second deploy begins while the first one waits for the platform."""

        def __init__(self, asked: HttpPlatform) -> None:
            self.asked, self.deactivate, self.read_state = asked, asked.deactivate, asked.read_state

        def activate(self, workflow_id: str, *, idempotency_key: str) -> None:
            with pytest.raises(LifecycleError) as refused:
                deploys(engine, self.asked)
            assert refused.value.code is ErrorCode.CONCURRENCY_CONFLICT
            self.asked.activate(workflow_id, idempotency_key=idempotency_key)

    deploys(engine, Nested(client(platform)))
    assert [call.action for call in platform.calls] == ["activate"]


@pytest.mark.parametrize("binding", ["pending", "inactive", "error"])
def test_a_binding_that_can_not_be_deployed_is_a_failed_precondition(
    engine: sa.Engine, platform: Platform, binding: str
) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.update(tables.workflow_bindings)
            .where(tables.workflow_bindings.c.automation_version_id == "new")
            .values(status=binding)
        )
    with pytest.raises(LifecycleError) as refused:
        deploys(engine, client(platform))
    assert refused.value.code is ErrorCode.PRECONDITION_FAILED
    assert [detail.code for detail in refused.value.details] == ["binding_deployable"]
    assert platform.calls == []


def test_a_deploy_may_need_a_second_person(engine: sa.Engine, platform: Platform) -> None:
    options = replace(OPTIONS, deploy_needs_approval=True)
    for _ in range(2):
        with pytest.raises(LifecycleError) as refused:
            deploys(engine, client(platform), options=options)
        assert refused.value.code is ErrorCode.APPROVAL_REQUIRED
    task = row(engine, tables.tasks, kind="approval")
    with engine.begin() as connection:
        complete_task(connection, task_id=task["id"], version=task["version"], actor_context=RELEASER)
    with pytest.raises(LifecycleError):  # one's own word is no second person's
        deploys(engine, client(platform), options=options)
    assert row(engine, tables.tasks, kind="approval")["status"] == TaskStatus.COMPLETE
    deploys(engine, client(platform), options=options, actor_context=OPS_ADMIN)
    assert state(engine, platform)["new"][0] == "Live"


def test_the_reconciler_finds_and_restores_what_differs(engine: sa.Engine, platform: Platform) -> None:
    assert list(reconcile(transact(engine), client(platform), apply=False)) == []
    platform.workflows.update({"wf-old": "inactive", "wf-new": "active"})
    found = list(reconcile(transact(engine), client(platform), apply=False))
    assert [(one.workflow_id, one.wanted, one.found, one.restored) for one in found] == [
        ("wf-new", "inactive", "active", False),
        ("wf-old", "active", "inactive", False),
    ]
    assert [one.restored for one in reconcile(transact(engine), client(platform), apply=True)] == [True, True]
    assert state(engine, platform) == BEFORE
    del platform.workflows["wf-new"]
    (missing,) = reconcile(transact(engine), client(platform), apply=True)
    assert (missing.workflow_id, missing.found, missing.restored) == ("wf-new", None, False)
