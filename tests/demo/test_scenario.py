"""The story makes the detectors say what it is told for, and nothing of what it is told to show as harmless."""

import io
import itertools
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from cli.demo import cast
from cli.demo.scenario import COSTLY, COSTLY_RUNS, HANGING, HISTORY, SCENES_END, Message, story
from cli.demo.seed import document
from cli.demo.stack import CLIENT_MAIL_DELAY, QUIET_AFTER
from config.auth_errors import load_auth_errors
from config.credit_profiles import load_profile
from dataflows.dead_letters import DeadLetter
from dataflows.decisions import Decision, DecisionKind
from dataflows.detectors.policies import Policies
from dataflows.engine.detector_sets import CreditFactory, DetectorFactory
from dataflows.registry import Binding, StaticRegistry
from dataflows.replay import Replay
from dataflows.sources.lines import LineReader
from lifecycle.guard.afterwards import HEARD_WITHIN
from lifecycle.guard.arithmetic import GuardPolicy

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATENESS = 60_000_000
#: Long enough for every run that a scene leaves open to be called stuck, if it were.
AFTERWARDS = timedelta(minutes=40)


def messages(seed: int = 1, until: timedelta = AFTERWARDS) -> list[Message]:
    """The story's messages; not the one from next year, which a file's reader, having no clock, would believe."""
    told = itertools.takewhile(lambda message: message.at <= START + until, story(START, seed))
    return [message for message in told if b'"2027-' not in message.value]


def judge(told: list[Message]) -> tuple[list[Decision], Counter[str], dict[str, object]]:
    """Decisions, dead letters by code, and the counts."""
    bindings = {each.version_id: Binding(each.tenant_id, each.version_id, each.workflow_id) for each in cast.WORKFLOWS}
    decisions: list[Decision] = []
    dead_letters: Counter[str] = Counter()

    def refuse(dead_letter: DeadLetter) -> None:
        dead_letters[dead_letter.code.value] += 1

    replay = Replay(
        DetectorFactory(Policies(), load_auth_errors(), LATENESS),
        StaticRegistry(bindings),
        LATENESS,
        on_decision=decisions.append,
        on_dead_letter=refuse,
        second_stage=CreditFactory(Policies(), load_profile, keeps_records=False),
    )
    lines = b"".join(message.value + b"\n" for message in told)
    replay.feed("story", LineReader(io.BytesIO(lines)), lambda _offset: None)
    return decisions, dead_letters, replay.summary()


@pytest.mark.parametrize("seed", range(3))
def test_the_story_leads_to_blocks_a_blacklisting_and_costly_runs_and_nothing_else(seed: int) -> None:
    decisions, dead_letters, summary = judge(messages(seed))
    said = Counter((decision.kind, decision.workflow_id) for decision in decisions)
    assert said == {
        (DecisionKind.BLOCK_FOR_CREDENTIALS, cast.LEAD_SYNC.workflow_id): 1,
        **{(DecisionKind.BLOCK_FOR_CREDENTIALS, each.workflow_id): 1 for each in cast.TICKET_SYNCS},
        (DecisionKind.EXECUTION_STUCK, cast.NIGHTLY_EXPORT.workflow_id): HANGING,
        (DecisionKind.BLACKLIST_WORKFLOW, cast.NIGHTLY_EXPORT.workflow_id): 1,
        (DecisionKind.CREDIT_INCIDENT, cast.PRESS_REVIEW.workflow_id): len(COSTLY_RUNS),
    }
    blocks = [each for each in decisions if each.kind == DecisionKind.BLOCK_FOR_CREDENTIALS]
    assert blocks[0].detail["failed_systems"] == ["google_sheets", "salesforce"]
    assert {tuple(each.detail["failed_systems"]) for each in blocks[1:]} == {("zendesk",)}
    (costly, _) = (each for each in decisions if each.kind == DecisionKind.CREDIT_INCIDENT)
    assert costly.threshold["baseline_source"] == "learned"
    assert costly.observed["variance_multiplier"] == pytest.approx(COSTLY, rel=0.1)
    assert (costly.detail["severity"], costly.detail["scenario"]) == ("SEV1", cast.PRESS_REVIEW.name)
    assert costly.detail["risk_flags"] == ["sudden_prompt_growth", "deployment_correlation"]
    assert dead_letters == {
        "not_json": 1,
        "not_an_object": 1,
        "missing_field": 1,
        "invalid_field": 1,
        "naive_timestamp": 1,
        "tenant_mismatch": 3,
        "unknown_automation_version": 1,
    }
    assert summary["duplicates"] == 1
    assert summary["late"] == 0


def test_messages_come_in_the_order_of_their_times_and_begin_with_history() -> None:
    told = messages(until=SCENES_END)
    assert [message.at for message in told] == sorted(message.at for message in told)
    assert timedelta(0) <= told[0].at - (START - HISTORY) < timedelta(minutes=1)


def test_the_same_seed_tells_the_same_story_and_another_one_another() -> None:
    assert messages(1) == messages(1)
    assert messages(1) != messages(2)


def test_everyday_traffic_goes_on_after_the_scenes() -> None:
    later = [message for message in messages() if message.at > START + timedelta(minutes=3)]
    still_running = {message.key for message in later}
    assert still_running == {each.workflow_id for each in cast.WORKFLOWS} - {
        cast.NIGHTLY_EXPORT.workflow_id,
        cast.SHIPMENT_DIGEST.workflow_id,
        cast.TRULY_REVOKED.workflow_id,
    }


def test_the_provider_incident_is_enough_for_the_guard_and_its_mails_can_be_taken_back_in_time() -> None:
    policy = GuardPolicy()
    told = [message for message in messages(until=SCENES_END) if b'"invalid_token"' in message.value]
    last_of_each = {message.key: message.at for message in told}
    blocked = sorted(last_of_each.values())
    assert len(cast.CUSTOMERS) > policy.incident_tenants
    assert len(blocked) == len(cast.CUSTOMERS)
    assert blocked[policy.incident_tenants - 1] - blocked[0] < CLIENT_MAIL_DELAY / 2


def test_a_token_that_was_really_revoked_is_refused_until_the_incident_is_over_and_it_can_be_blocked() -> None:
    looks_every = timedelta(seconds=30)
    refused = [
        message.at
        for message in messages()
        if message.key == cast.TRULY_REVOKED.workflow_id and b'"http_status": 401' in message.value
    ]
    held, limit = refused[2], 3
    over_at_the_latest = held + QUIET_AFTER + looks_every
    assert len([at for at in refused if at > over_at_the_latest + HEARD_WITHIN]) >= limit


def test_the_backlog_fits_into_the_embedded_broker() -> None:
    sizes: Counter[str] = Counter()
    for message in messages(until=timedelta(0)):
        sizes[message.key] += len(message.value)
    # It keeps 5 MB of each partition, and all workflows may fall into one.
    assert sum(sizes.values()) < 5_000_000


def test_every_system_of_an_event_is_on_the_list_of_names() -> None:
    named = {json.loads(message.value).get("system_key") for message in messages() if message.value.endswith(b'"}')}
    assert named - {None} <= {row["system_key"] for row in document()["systems"]}
