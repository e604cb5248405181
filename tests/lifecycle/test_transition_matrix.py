"""Every status, every target, every role: what happens is what `transition_matrix.csv` says, and nothing else (30.1).

The table is written by hand and names the moves that exist and who may ask for them. All else is refused.
"""

import csv
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lifecycle.actors import ActorContext
from lifecycle.capabilities import CAPABILITIES, Role
from lifecycle.change_status import allowed_transition
from lifecycle.errors import LifecycleError
from lifecycle.kinds import AutomationStatus
from lifecycle.statuses import Operation, Prerequisite, Status
from lifecycle.versions import LockedVersion

OWNER = "owner"
ASKING = [*(role.value for role in Role), OWNER]
BACK = "where it came from"

#: Roles that may change nothing, so that they are told nothing of what could be changed.
READERS = {"member", "viewer"}

#: The words of the table's third column.
HOW = {
    "signed quote": (Operation.UPDATE_STATUS, {Prerequisite.LATEST_QUOTE_SIGNED}),
    "project and signed quote and payment": (
        Operation.UPDATE_STATUS,
        {Prerequisite.PROJECT_EXISTS, Prerequisite.LATEST_QUOTE_SIGNED, Prerequisite.PAYMENT_RECORDED},
    ),
    "build checklist and artifacts": (
        Operation.UPDATE_STATUS,
        {Prerequisite.BUILD_CHECKLIST_COMPLETE, Prerequisite.ARTIFACTS_AND_RUNBOOK_ATTACHED},
    ),
    "reason": (Operation.UPDATE_STATUS, {Prerequisite.REASON_GIVEN}),
    "QA checklist and pass rate and plans": (
        Operation.UPDATE_STATUS,
        {
            Prerequisite.QA_CHECKLIST_APPROVED,
            Prerequisite.PASS_RATE_REACHED,
            Prerequisite.DEPLOYMENT_AND_ROLLBACK_PLANNED,
        },
    ),
    "deploy": (Operation.DEPLOY, {Prerequisite.BINDING_DEPLOYABLE}),
    "pause": (Operation.PAUSE, set()),
    "resume": (Operation.RESUME, {Prerequisite.NO_OTHER_VERSION_LIVE}),
    "block": (Operation.BLOCK, {Prerequisite.REASON_GIVEN}),
    "unblock": (Operation.UNBLOCK, {Prerequisite.REMEDIATION_COMPLETE}),
    "archive": (Operation.ARCHIVE, {Prerequisite.NO_ACTIVE_BINDING}),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One move of the table."""

    how: str
    who: frozenset[str]


def read_table() -> dict[tuple[str, str], Row]:
    """The moves by source and target."""
    with (Path(__file__).parent / "transition_matrix.csv").open(newline="") as file:
        return {
            (row["from"], row["to"]): Row(row["how"], frozenset(row["who"].split())) for row in csv.DictReader(file)
        }


TABLE = read_table()


def version(status: Status, blocked_from: Status | None = None) -> LockedVersion:
    """A version of an automation that Ada owns."""
    now = datetime(2026, 1, 5, tzinfo=UTC)
    return LockedVersion(
        tenant_id="t1", id="v1", automation_id="a1", automation_name="Invoice sync", tenant_name="Acme",
        automation_status=AutomationStatus.ACTIVE, owner_user_id="ada", version=1, status=status,
        blocked_reason=None if blocked_from is None else "Broken", blocked_at=None if blocked_from is None else now,
        blocked_from_status=blocked_from, block_episode_id=None, updated_at=now, workflow_id="wf1", binding=None,
        project_id=None, quote=None, now=now,
    )  # fmt: skip


def actor(asking: str) -> ActorContext:
    """Somebody with one role; the owner has none but a member's."""
    if asking == OWNER:
        return ActorContext.of_user("ada", "test", CAPABILITIES[Role.MEMBER])
    return ActorContext.of_user("bob", "test", CAPABILITIES[Role(asking)])


def outcome(stored: LockedVersion, target: Status, asking: str) -> tuple[str, object, object]:
    """What one who asks is told, in the words of the table."""
    try:
        found = allowed_transition(stored, target, actor(asking))
    except LifecycleError as error:
        return (error.code.value, None, None)
    return ("allowed", found.operation, set(found.prerequisites))


def expected(row: Row | None, asking: str) -> tuple[str, object, object]:
    """What the table says."""
    if asking in READERS:
        return ("forbidden", None, None)
    if row is None:
        return ("invalid_status_transition", None, None)
    return ("allowed", *HOW[row.how]) if asking in row.who else ("forbidden", None, None)


@pytest.mark.parametrize(
    ("stored", "target"),
    [
        pytest.param(stored, target, id=f"{stored} to {target}")
        for stored in Status
        for target in Status
        if stored is not target and stored is not Status.BLOCKED
    ],
)
def test_each_role_is_told_what_the_table_says(stored: Status, target: Status) -> None:
    row = TABLE.get((stored, target))
    assert {asking: outcome(version(stored), target, asking) for asking in ASKING} == {
        asking: expected(row, asking) for asking in ASKING
    }


@pytest.mark.parametrize("blocked_from", [status for status in Status if (status, "Blocked") in TABLE])
def test_a_blocked_version_goes_back_where_it_came_from_or_ends(blocked_from: Status) -> None:
    for target in Status:
        if target is Status.BLOCKED:
            continue
        row = TABLE[("Blocked", BACK)] if target is blocked_from else TABLE.get(("Blocked", target))
        assert {asking: outcome(version(Status.BLOCKED, blocked_from), target, asking) for asking in ASKING} == {
            asking: expected(row, asking) for asking in ASKING
        }, target


def test_the_table_names_statuses_and_roles_that_there_are() -> None:
    assert {status for move in TABLE for status in move} <= {*Status, BACK}
    assert {who for row in TABLE.values() for who in row.who} <= set(ASKING)
    assert all(row.who for row in TABLE.values())


def test_a_version_of_an_archived_automation_does_not_move() -> None:
    for source, target in TABLE:
        stored = version(Status(source), Status.LIVE if source == "Blocked" else None)
        stored = replace(stored, automation_status=AutomationStatus.ARCHIVED)
        wanted = Status.LIVE if target == BACK else Status(target)
        assert outcome(stored, wanted, "admin") == ("invalid_status_transition", None, None)
