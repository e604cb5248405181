"""The demo's story: what the platform's runs report, from 100 minutes before the demo starts and on without end.

Event time is true: what lies before the start is a backlog, as after an outage of the monitor, and the scenes that
follow play at the pace of the clock, with the default policies. The hanging exports began half an hour ago, so that
their 30 minutes end in front of the audience. What people do about it is `cli.demo.people`.

Pure: the same start and seed give the same messages.
"""

import heapq
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from cli.demo import cast
from cli.demo.cast import Workflow

HISTORY = timedelta(minutes=100)
#: After this, nothing but everyday traffic goes on.
SCENES_END = timedelta(seconds=65)
#: When the provider of the last scene accepts tokens again.
PROVIDER_MENDED = timedelta(seconds=45)
#: When operations ask for the next version of an automation to be deployed.
DEPLOY = timedelta(seconds=10)
#: When runs with the prompt that costs too much begin, and end one after the other.
NEW_PROMPT, COSTLY_RUNS = timedelta(seconds=44), (timedelta(seconds=47), timedelta(seconds=49))
#: How many times as much they cost.
COSTLY = 8
#: When the tokens of all customers are refused.
PROVIDER_INCIDENT = timedelta(seconds=28)
#: Executions of the hanging export; the fifth is one too many (20.4).
HANGING = 6
#: Run timeout and allowed lateness (20.3): what begins this long before is called stuck now.
_STUCK_AFTER = timedelta(minutes=31)
_HEARTBEAT = timedelta(minutes=5)
#: When no everyday run of a workflow begins, relative to the start.
_SCENES_OF_THEIR_OWN = {
    # Blocked at the end of its scene, and back again.
    cast.LEAD_SYNC: (timedelta(seconds=-20), timedelta(seconds=38)),
    # Blacklisted at the end of its: after it the scheduler asks for each run (`cli.demo.scheduler`).
    cast.NIGHTLY_EXPORT: (timedelta(minutes=-40), timedelta.max),
    # One takes the other's place.
    cast.SHIPMENT_DIGEST: (timedelta(seconds=-5), timedelta.max),
    cast.NEXT_SHIPMENT_DIGEST: (-2 * HISTORY, DEPLOY + timedelta(seconds=10)),
    cast.CAMPAIGN_SYNC: (timedelta(seconds=-20), timedelta(seconds=30)),
    cast.INVOICE_POSTING: (timedelta(seconds=-20), timedelta(seconds=30)),
    cast.CLAIMS_BACKFILL: (-2 * HISTORY, timedelta(seconds=50)),
    # On hold after it, until somebody has looked.
    cast.PRESS_REVIEW: (timedelta(seconds=-10), SCENES_END),
    **dict.fromkeys(cast.TICKET_SYNCS, (PROVIDER_INCIDENT - timedelta(seconds=8), PROVIDER_MENDED)),
    cast.TRULY_REVOKED: (PROVIDER_INCIDENT - timedelta(seconds=8), timedelta.max),
}
#: Runs of a hundred that fail for reasons of their own.
_EVERYDAY_FAILURES = 3


@dataclass(frozen=True, order=True)
class Message:
    """What the platform's producer hands to Kafka, and when; the key is the workflow."""

    at: datetime
    key: str
    value: bytes


def story(start: datetime, seed: int) -> Iterator[Message]:
    """All messages by time, without end; those up to `start` are the backlog."""
    streams: list[Iterator[Message]] = [_everyday(workflow, start, seed) for workflow in cast.WORKFLOWS]
    return heapq.merge(*streams, sorted(_scenes(start)))


def _everyday(workflow: Workflow, start: datetime, seed: int) -> Iterator[Message]:
    """Runs that begin after irregular pauses; nearly all end well. None in the time that a scene takes for itself."""
    random = Random(f"{seed}:{workflow.label}")  # noqa: S311  (a story, not a secret)
    began = start - HISTORY + random.random() * workflow.gap
    waiting: list[Message] = []
    scene = _SCENES_OF_THEIR_OWN.get(workflow)
    for number in itertools.count(1):
        while waiting and waiting[0].at <= began:
            yield heapq.heappop(waiting)
        if scene is None or not scene[0] < began - start < scene[1]:
            for message in _run(workflow, f"{number:05}", began, random):
                heapq.heappush(waiting, message)
        elif scene[1] == timedelta.max:
            break
        began += workflow.gap * random.uniform(0.6, 1.4)
    yield from sorted(waiting)


def _run(workflow: Workflow, number: str, began: datetime, random: Random) -> Iterator[Message]:
    ended = began + workflow.duration * random.uniform(0.5, 1.5)
    system = random.choice(workflow.systems)
    yield event(workflow, number, "started", began)
    heartbeats = int((ended - began) / _HEARTBEAT)
    for beat in range(1, heartbeats + 1):
        yield event(workflow, number, "running", began + beat * _HEARTBEAT, part=str(beat))
    if random.randrange(100) < _EVERYDAY_FAILURES:
        yield event(
            workflow,
            number,
            "failure",
            ended,
            system_key=system,
            http_status=422,
            error_code="validation_failed",
            error_message="Field 'email' has no valid value in row 17",
        )
    else:
        credits_total = workflow.credits * random.uniform(0.85, 1.15)
        yield success(workflow, number, ended, credits_total=credits_total, system_key=system)


def _scenes(start: datetime) -> Iterator[Message]:
    yield from _revoked_tokens(start)
    yield from _hanging_export(start)
    yield from _runaway_prompt(start)
    yield from _provider_away(start)
    yield from _orders_not_found(start)
    yield from _renewed_token(start)
    yield from _slow_backfill(start)
    yield from _provider_incident(start)
    yield from _unusable(start)
    yield from _forged(start)


def _revoked_tokens(start: datetime) -> Iterator[Message]:
    """Three refused tokens in a row at one system, one at another: two systems need new credentials.

    The fourth comes after the block, and changes nothing.
    """
    for number, (second, system) in enumerate(
        [(3, "salesforce"), (6, "google_sheets"), (9, "salesforce"), (12, "salesforce"), (15, "salesforce")]
    ):
        began = start + timedelta(seconds=second - 2)
        yield event(cast.LEAD_SYNC, f"revoked{number}", "started", began)
        yield event(
            cast.LEAD_SYNC,
            f"revoked{number}",
            "failure",
            start + timedelta(seconds=second),
            system_key=system,
            http_status=401,
            error_code="invalid_grant",
            error_message="Token has been expired or revoked.",
            # Never read: what a payload says of tenants changes nothing.
            payload={"tenant_id": "t_globex"},
        )


def _hanging_export(start: datetime) -> Iterator[Message]:
    for number in range(HANGING):
        began = start - _STUCK_AFTER + timedelta(seconds=16 + 2 * number)
        yield event(cast.NIGHTLY_EXPORT, f"hanging{number}", "started", began, input_item_count=12_000 + number)


def _runaway_prompt(start: datetime) -> Iterator[Message]:
    """A prompt is deployed that makes each run cost many times what the hundred before it cost."""
    workflow = cast.PRESS_REVIEW
    for number, ended in enumerate(COSTLY_RUNS):
        yield event(workflow, f"costly{number}", "started", start + NEW_PROMPT + timedelta(seconds=number))
        yield success(
            workflow,
            f"costly{number}",
            start + ended,
            credits_total=COSTLY * workflow.credits + number,
            prompt_version="8",
            deployment_timestamp=_text(start + NEW_PROMPT - timedelta(minutes=2)),
        )


def _provider_away(start: datetime) -> Iterator[Message]:
    """The provider is down and mentions authentication: no credential is at fault."""
    for number in range(5):
        yield _failure(
            cast.CAMPAIGN_SYNC,
            f"outage{number}",
            start + timedelta(seconds=5 + 3 * number),
            http_status=503,
            error_code="SERVICE_UNAVAILABLE",
            error_message="503 authentication service unavailable, retry later",
        )


def _orders_not_found(start: datetime) -> Iterator[Message]:
    """A number that looks like a status, in a message that isn't about credentials."""
    for number in range(4):
        yield _failure(
            cast.ORDER_STATUS,
            f"missing{number}",
            start + timedelta(seconds=1 + 2 * number),
            http_status=404,
            error_code="NOT_FOUND",
            error_message="Order 401 not found",
        )


def _renewed_token(start: datetime) -> Iterator[Message]:
    """Two refused tokens, one of them reported twice, then a success: one short of a block."""
    first, second = (
        _failure(
            cast.INVOICE_POSTING,
            f"expired{number}",
            start + timedelta(seconds=10 + 3 * number),
            http_status=401,
            error_code="AuthenticationFailed",
            error_message="AuthenticationFailed: token expired",
        )
        for number in range(2)
    )
    yield from (first, second)
    yield Message(first.at + timedelta(milliseconds=400), first.key, first.value)
    yield event(cast.INVOICE_POSTING, "renewed", "success", start + timedelta(seconds=16), system_key="quickbooks")


def _slow_backfill(start: datetime) -> Iterator[Message]:
    began, ended = start - timedelta(minutes=75), start + timedelta(seconds=41)
    yield event(cast.CLAIMS_BACKFILL, "slow", "started", began, is_backfill=True)
    beats = int((ended - began) / _HEARTBEAT)
    for beat in range(1, beats + 1):
        yield event(cast.CLAIMS_BACKFILL, "slow", "running", began + beat * _HEARTBEAT, part=str(beat))
    yield event(cast.CLAIMS_BACKFILL, "slow", "success", ended, system_key="snowflake")


def _provider_incident(start: datetime) -> Iterator[Message]:
    """Everybody's tokens are refused within seconds: that is the provider, not six customers who revoked theirs.

    One goes on being refused when the provider is well again: longer than the worker needs to see that it is, and
    than the guard distrusts what was counted (`lifecycle.guard.afterwards`).
    """
    for number, workflow in enumerate(cast.TICKET_SYNCS):
        for time in range(3):
            yield _failure(
                workflow,
                f"refused{time}",
                start + PROVIDER_INCIDENT + timedelta(seconds=2 * time, milliseconds=300 * number),
                http_status=401,
                error_code="invalid_token",
                error_message="The access token is invalid",
            )
    for time in range(10):
        yield _failure(
            cast.TRULY_REVOKED,
            f"still_refused{time}",
            start + PROVIDER_INCIDENT + timedelta(seconds=8 + 15 * time),
            http_status=401,
            error_code="token_revoked",
            error_message="The access token was revoked",
        )


def _unusable(start: datetime) -> Iterator[Message]:
    """Messages for the dead letters, each with another fault."""
    good = _fields(cast.ORDER_STATUS, "unusable", "started", start + timedelta(seconds=7), "")
    faulty: list[bytes] = [
        b'{"event_id": "ev_cut_off", "status": "sta',
        b'["an", "array"]',
        _encode({name: value for name, value in good.items() if name != "tenant_id"}),
        _encode({**good, "status": "exploded"}),
        _encode({**good, "occurred_at": good["occurred_at"].removesuffix("Z")}),
        _encode({**good, "occurred_at": _text(start + timedelta(days=365))}),
    ]
    for number, value in enumerate(faulty):
        yield Message(start + timedelta(seconds=4 + 3 * number), cast.ORDER_STATUS.workflow_id, value)


def _forged(start: datetime) -> Iterator[Message]:
    """Somebody names another tenant's automation, and one that nobody has."""
    victim = cast.WORKFLOWS[2]
    for number in range(3):
        at = start + timedelta(seconds=11 + number)
        fields = _fields(victim, f"forged{number}", "failure", at, "") | {"http_status": 401, "system_key": "gmail"}
        yield Message(at, victim.workflow_id, _encode(fields | {"tenant_id": "t_umbrella"}))
    at = start + timedelta(seconds=14)
    unknown = _fields(victim, "forged_unknown", "failure", at, "") | {"automation_version_id": "av_of_nobody"}
    yield Message(at, victim.workflow_id, _encode(unknown))


def _failure(workflow: Workflow, number: str, at: datetime, **more: object) -> Message:
    return event(workflow, number, "failure", at, "", system_key=workflow.systems[0], **more)


def success(workflow: Workflow, number: str, at: datetime, *, credits_total: float, **more: object) -> Message:
    """The good end of a run, and what it cost."""
    prompt = {} if workflow.prompt is None else {"prompt_version": workflow.prompt, "scenario_name": workflow.name}
    fields = {"system_key": workflow.systems[0], "credits_total": round(credits_total, 2)} | prompt | more
    return event(workflow, number, "success", at, "", **fields)


def event(workflow: Workflow, number: str, status: str, at: datetime, part: str = "", **more: object) -> Message:
    """What a run reports of itself; `more` goes before what is usual."""
    return Message(at, workflow.workflow_id, _encode(_fields(workflow, number, status, at, part) | more))


def _fields(workflow: Workflow, number: str, status: str, at: datetime, part: str) -> dict[str, Any]:
    return {
        "event_id": f"ev_{workflow.label}_{number}_{status}{part}",
        "status": status,
        "occurred_at": _text(at),
        "tenant_id": workflow.tenant_id,
        "automation_version_id": workflow.version_id,
        "workflow_id": workflow.workflow_id,
        "execution_id": f"ex_{workflow.label}_{number}",
        "job_type": workflow.job_type,
    }


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _encode(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()
