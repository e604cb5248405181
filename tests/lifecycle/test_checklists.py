"""What the console's buttons are made from: the moves that lead on, for whom, and what is missing."""

import sqlalchemy as sa

from lifecycle.actors import ActorContext
from lifecycle.capabilities import CAPABILITIES, Role
from lifecycle.checklists import PossibleMove, possible_moves
from lifecycle.options import LifecycleOptions
from lifecycle.statuses import Status
from tests.lifecycle.given import content
from tests.lifecycle.test_change_status import ADMIN, ONLY_PROJECT, change, given


def moves(engine: sa.Engine, actor: ActorContext = ADMIN) -> dict[str, PossibleMove]:
    """The moves of the version `w1` by where they lead."""
    with engine.begin() as connection:
        found = possible_moves(connection, "t1", "w1", actor_context=actor, options=LifecycleOptions())
    return {move.target: move for move in found}


def missing(move: PossibleMove) -> list[str]:
    """What does not hold."""
    return [one.code for one in move.prerequisites if one.missing is not None]


def test_moves_are_shown_with_what_is_missing(engine: sa.Engine) -> None:
    given(engine, Status.QA_AND_TESTING, ONLY_PROJECT)
    before = content(engine)
    found = moves(engine)
    assert list(found) == ["Ready to Launch", "Build in Progress", "Blocked", "Archived"]
    assert missing(found["Ready to Launch"]) == [
        "qa_checklist_approved",
        "pass_rate_reached",
        "deployment_and_rollback_planned",
    ]
    assert found["Build in Progress"].prerequisites == []
    assert content(engine) == before


def test_what_holds_is_shown_as_held(engine: sa.Engine) -> None:
    given(engine, Status.QA_AND_TESTING)
    launch = moves(engine)["Ready to Launch"]
    assert (launch.ready, len(launch.prerequisites)) == (True, 3)
    assert missing(launch) == []


def test_a_move_is_allowed_to_those_who_may_ask_for_it(engine: sa.Engine) -> None:
    given(engine, Status.QA_AND_TESTING)
    allowed = {
        role: [target for target, move in moves(engine, _with(role)).items() if move.allowed]
        for role in (Role.OPS_BUILD, Role.OPS_RELEASE, Role.VIEWER, Role.SERVICE)
    }
    assert allowed == {
        Role.OPS_BUILD: ["Build in Progress", "Blocked"],
        Role.OPS_RELEASE: ["Ready to Launch", "Blocked", "Archived"],
        Role.VIEWER: [],
        Role.SERVICE: [],
    }


def test_a_blocked_version_leads_back_where_it_came_from(engine: sa.Engine) -> None:
    given(engine, Status.QA_AND_TESTING)
    change(engine, Status.BLOCKED, blocked_reason="Broken")
    found = moves(engine)
    assert list(found) == ["QA & Testing", "Archived"]
    assert missing(found["QA & Testing"]) == ["remediation_complete"]


def _with(role: Role) -> ActorContext:
    return ActorContext.of_user("u9", "test", CAPABILITIES[role])
