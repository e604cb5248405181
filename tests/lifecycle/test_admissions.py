"""The store of the admission gate: every answer once, whoever asks how often (40.5, 50.2)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa

from lifecycle import tables
from lifecycle.actors import MONITOR
from lifecycle.admission.admissions import Answer, Unanswerable, execution_id_of, find_answer
from lifecycle.admission.gate_holds import put_gate_hold, release_gate_hold
from lifecycle.admission.retention import forget_answers
from lifecycle.breaker.half_open import HalfOpenPolicy, begin_cool_down
from lifecycle.kinds import AdmissionVerdict, AuditAction, GateHoldKind, RefusalCode, Trigger
from tests.lifecycle.admission_given import (
    STATES,
    ask,
    ask_one,
    blacklist,
    given_states,
    hold,
    request,
    unblacklist,
)
from tests.lifecycle.given import rows


def test_a_batch_is_answered_in_its_order_and_kept(engine: sa.Engine) -> None:
    given_states(engine)
    answers = ask(engine, *(request(state, f"key of {state}") for state in reversed(STATES)))
    assert [(one.workflow_id, one.code) for one in answers if isinstance(one, Answer)] == [
        (state, code) for state, (_, code) in reversed(STATES.items())
    ]
    kept = rows(engine, tables.admissions)
    assert {(row["workflow_id"], row["code"]) for row in kept} == {(s, code) for s, (_, code) in STATES.items()}
    assert {row["automation_version_id"] for row in kept} == {f"v {state}" for state in STATES}


def test_the_same_key_gets_the_same_answer_whatever_has_happened_since(engine: sa.Engine) -> None:
    given_states(engine)
    first = ask_one(engine, request("live"))
    refused = ask_one(engine, request("blacklisted", "k2"))
    with engine.begin() as connection:
        blacklist(connection, "live")
        unblacklist(connection, "blacklisted")
    assert ask_one(engine, request("live")) == first
    assert first.verdict is AdmissionVerdict.ADMITTED
    assert ask_one(engine, request("blacklisted", "k2")) == refused
    assert ask_one(engine, request("live", "k3")).code is RefusalCode.WORKFLOW_BLACKLISTED
    assert ask_one(engine, request("blacklisted", "k4")).code is None


@pytest.mark.parametrize(
    ("changes", "then"),
    [
        pytest.param({"workflow_id": "wf1"}, Unanswerable.KEY_REUSED, id="the key of another workflow"),
        pytest.param({"trigger": Trigger.MANUAL}, Unanswerable.KEY_REUSED, id="the key of another trigger"),
        pytest.param({"workflow_id": "nobody's"}, Unanswerable.UNKNOWN_WORKFLOW, id="a workflow that nobody knows"),
        pytest.param({"workflow_id": "wf2"}, Unanswerable.UNKNOWN_WORKFLOW, id="another tenant's workflow"),
        pytest.param({"tenants": frozenset()}, Unanswerable.UNKNOWN_WORKFLOW, id="somebody who acts for no tenant"),
    ],
)
def test_what_can_not_be_answered_is_not_kept(
    engine: sa.Engine, changes: dict[str, object], then: Unanswerable
) -> None:
    given_states(engine)
    ask_one(engine, request())
    assert ask(engine, request(**changes)) == [then]
    assert len(rows(engine, tables.admissions)) == 1


def test_keys_are_the_tenants_own(engine: sa.Engine) -> None:
    given_states(engine)
    mine = ask_one(engine, request("wf1", "same"))
    theirs = ask_one(engine, request("wf2", "same", tenants=None))
    assert (mine.tenant_id, theirs.tenant_id) == ("t1", "t2")
    assert mine.execution_id == execution_id_of("t1", "same") != theirs.execution_id
    with engine.connect() as connection:
        assert find_answer(connection, mine.execution_id) == mine
        assert find_answer(connection, theirs.execution_id) == theirs
        assert find_answer(connection, "00000000-0000-5000-8000-000000000000") is None


def test_of_one_key_twice_in_a_batch_the_first_counts(engine: sa.Engine) -> None:
    given_states(engine)
    first, second, third = ask(
        engine,
        request("live", position="requests/0/7"),
        request("live", position="requests/0/8"),
        request("paused", position="requests/0/9"),
    )
    assert isinstance(first, Answer)
    assert first == second
    assert first.position == "requests/0/7"
    assert third is Unanswerable.KEY_REUSED


def test_64_who_ask_at_once_with_few_keys_in_any_order_get_one_answer_a_key(engine: sa.Engine) -> None:
    given_states(engine)
    keys = [f"k{number}" for number in range(20)]
    writers = 64
    together = Barrier(8)

    def batch(number: int) -> list[Answer | Unanswerable]:
        if number < 8:
            together.wait()
        order = keys if number % 2 else keys[::-1]
        return ask(engine, *(request("live", key, position=f"requests/{number}/0") for key in order))

    with ThreadPoolExecutor(8) as threads:
        answers = [one for found in threads.map(batch, range(writers)) for one in found]
    assert len(answers) == writers * len(keys)
    assert len(set(answers)) == len(keys)
    assert len(rows(engine, tables.admissions)) == len(keys)


def test_a_workflow_of_several_versions_runs_while_one_is_live(engine: sa.Engine) -> None:
    given_states(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE workflow_bindings SET wrk_workflow_id = 'live' WHERE automation_version_id = 'v archived'"
        )
    found = ask_one(engine, request("live"))
    assert (found.verdict, found.automation_version_id) == (AdmissionVerdict.ADMITTED, "v live")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE automation_versions SET status = 'Paused', status_changed_at = now() + interval '1 s'"
            " WHERE id = 'v live'"
        )
    assert ask_one(engine, request("live", "k2")).code is RefusalCode.AUTOMATION_PAUSED


def test_an_execution_whose_dispatch_is_blocked_starts_nothing_and_others_go_on(engine: sa.Engine) -> None:
    given_states(engine)
    with engine.begin() as connection:
        hold(connection, "wf1", GateHoldKind.BLOCK_DISPATCH, "runaway")
    blocked = ask_one(engine, request("live", "k1", parent_execution_id="runaway"))
    assert blocked.code is RefusalCode.WORKFLOW_ON_HOLD
    assert ask_one(engine, request("live", "k2", parent_execution_id="well-behaved")).code is None
    assert ask_one(engine, request("live", "k3")).code is None
    assert ask_one(engine, request("wf1", "k4")).code is None
    other = ask_one(engine, request("wf2", "k5", tenants=frozenset({"t2"}), parent_execution_id="runaway"))
    assert other.code is None


def test_a_hold_is_put_once_released_once_and_audited(engine: sa.Engine) -> None:
    given_states(engine)
    case = "00000000-0000-5000-8000-00000000000c"

    def put(kind: GateHoldKind) -> str | None:
        with engine.begin() as connection:
            return put_gate_hold(
                connection, tenant_id="t1", workflow_id="live", kind=kind, case_id=case, actor_context=MONITOR
            )

    def release(kind: GateHoldKind | None = None) -> int:
        with engine.begin() as connection:
            return release_gate_hold(
                connection, tenant_id="t1", workflow_id="live", kind=kind, case_id=case, actor_context=MONITOR
            )

    assert put(GateHoldKind.QUARANTINE)
    assert put(GateHoldKind.QUARANTINE) is None
    assert put(GateHoldKind.REQUIRE_ACK)
    assert ask_one(engine, request("live", "k1")).code is RefusalCode.WORKFLOW_ON_HOLD
    assert release(GateHoldKind.REQUIRE_ACK) == 1
    assert ask_one(engine, request("live", "k2")).code is RefusalCode.WORKFLOW_ON_HOLD
    assert release() == 1
    assert release() == 0
    assert ask_one(engine, request("live", "k3")).code is None
    assert put(GateHoldKind.QUARANTINE)
    told = [row["action_type"] for row in rows(engine, tables.audit_logs, resource_id="live")]
    assert told == [
        AuditAction.HOLD_AT_GATE,
        AuditAction.HOLD_AT_GATE,
        AuditAction.RELEASE_AT_GATE,
        AuditAction.RELEASE_AT_GATE,
        AuditAction.HOLD_AT_GATE,
    ]


def test_what_is_read_again_before_it_was_written_on_is_judged_again(engine: sa.Engine) -> None:
    given_states(engine)
    at = {key: f"requests/0/{number}" for number, key in enumerate(("k1", "k2", "k3"))}
    asked = [request("live", key, position=position) for key, position in at.items()]
    first = ask(engine, *asked)
    assert ask(engine, *asked) == first
    with engine.begin() as connection:
        blacklist(connection, "live")
    repeated = ask_one(engine, request("live", "k1", position="requests/0/99"))
    assert repeated == first[0], "another message with the key: the first has gone its way"
    over_http = ask_one(engine, request("live", "k1"))
    assert over_http == first[0]
    again = ask(engine, *asked[1:], replace(asked[0], position="requests/0/99"))
    assert [one.code for one in again if isinstance(one, Answer)] == [
        RefusalCode.WORKFLOW_BLACKLISTED,
        RefusalCode.WORKFLOW_BLACKLISTED,
        None,
    ]
    with engine.begin() as connection:
        unblacklist(connection, "live")
    assert ask(engine, *asked[1:]) == again[:2], "a refusal is final"


def given_half_open(engine: sa.Engine, workflow_id: str = "blacklisted") -> None:
    """A breaker whose cool-down is over."""
    with engine.begin() as connection:
        (listed,) = connection.execute(
            sa.select(tables.workflow_blacklist.c.id).where(tables.workflow_blacklist.c.workflow_id == workflow_id)
        ).scalars()
        begin_cool_down(
            connection,
            tenant_id="t1",
            workflow_id=workflow_id,
            blacklist_id=listed,
            policy=HalfOpenPolicy(after=timedelta(minutes=30), lease_for=timedelta(hours=1)),
            now=datetime.now(UTC) - timedelta(hours=1),
        )


def test_of_a_half_open_breaker_one_probe_is_admitted_and_stays_so(engine: sa.Engine) -> None:
    given_states(engine)
    refused = ask_one(engine, request("blacklisted", "before"))
    given_half_open(engine)
    assert ask_one(engine, request("blacklisted", "before")) == refused, "its refusal stands, and takes no lease"
    first, second = ask(engine, request("blacklisted", "k1"), request("blacklisted", "k2"))
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert (first.verdict, first.probe, second.code) == (
        AdmissionVerdict.ADMITTED,
        True,
        RefusalCode.WORKFLOW_BLACKLISTED,
    )
    assert ask_one(engine, request("blacklisted", "k3")).code is RefusalCode.WORKFLOW_BLACKLISTED
    assert ask_one(engine, request("blacklisted", "k1")) == first


def test_a_probe_that_is_read_again_is_still_the_probe(engine: sa.Engine) -> None:
    given_states(engine)
    given_half_open(engine)
    asked = request("blacklisted", "k1", position="requests/0/0")
    first = ask_one(engine, asked)
    assert first.probe
    assert ask_one(engine, asked) == first


def test_no_probe_is_wasted_on_what_may_not_run_anyway(engine: sa.Engine) -> None:
    given_states(engine)
    given_half_open(engine)
    with engine.begin() as connection:
        hold(connection, "blacklisted", GateHoldKind.QUARANTINE)
    assert ask_one(engine, request("blacklisted", "k1")).code is RefusalCode.WORKFLOW_BLACKLISTED
    (row,) = rows(engine, tables.breaker_probes)
    assert row["execution_id"] is None


def test_32_who_ask_for_the_probe_at_once_get_one(engine: sa.Engine) -> None:
    given_states(engine)
    given_half_open(engine)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda number: ask_one(engine, request("blacklisted", f"k{number}")), range(32)))
    assert sum(one.probe for one in found) == 1
    assert sum(one.code is None for one in found) == 1


def test_many_requests_share_a_transaction(engine: sa.Engine) -> None:
    given_states(engine)
    asked = [replace(request("live"), idempotency_key=f"k{number}") for number in range(3_000)]
    answers = ask(engine, *asked)
    assert {one.verdict for one in answers if isinstance(one, Answer)} == {AdmissionVerdict.ADMITTED}
    assert len({one.execution_id for one in answers if isinstance(one, Answer)}) == len(asked)
    assert ask(engine, *asked) == answers


def test_old_answers_are_forgotten_and_their_keys_answered_anew(engine: sa.Engine) -> None:
    given_states(engine)
    old, young = ask_one(engine, request("live", "old")), ask_one(engine, request("live", "young"))
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE admissions SET decided_at = now() - interval '8 days' WHERE idempotency_key = 'old'"
        )
    assert forget_answers(engine, timedelta(days=7)) == 1
    assert forget_answers(engine, timedelta(days=7)) == 0
    assert ask_one(engine, request("live", "young")) == young
    again = ask_one(engine, request("live", "old"))
    assert (again.execution_id, again.decided_at > old.decided_at) == (old.execution_id, True)
