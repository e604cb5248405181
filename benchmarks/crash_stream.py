"""A world and the run events of a morning in it: every kind of decision, and what can't be used."""

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from lifecycle.seed import Document

START = datetime(2026, 3, 2, 8, tzinfo=UTC)

TENANTS = 10

#: One automation in so many is not live: credentials that fail there block nothing, operations get a task.
NOT_LIVE = 20

#: After so many events comes a message that can't be used.
BAD = 40


class Message(NamedTuple):
    """One message of the topic: the key decides its partition."""

    key: bytes
    value: bytes


class Stream(NamedTuple):
    """What happens, and to whom."""

    world: Document
    messages: list[Message]
    #: Of them, those that can't be used.
    bad: int


def make_stream(workflows: int, seed: int = 1) -> Stream:
    """So many workflows, each with a character: the same for the same seed, in order of time."""
    random = Random(seed)
    timed = [timed for number in range(workflows) for timed in _workflow(number, random)]
    timed.sort(key=lambda pair: pair[0])
    messages, bad = [], 0
    for number, (_, event) in enumerate(timed):
        key = str(event["workflow_id"]).encode()
        messages.append(Message(key, json.dumps(event).encode()))
        if number % BAD == 0:
            messages.append(Message(key, random.choice((b"{", b"[7]", b'{"event_id": 7}'))))
            bad += 1
    return Stream(make_world(workflows), messages, bad)


def _workflow(number: int, random: Random) -> list[tuple[datetime, dict[str, Any]]]:
    """The events of one workflow with their times."""
    match number % 5:
        case 0:
            # Some of them: a run that goes well lets the second system's failures count, in the block of the first.
            events = [_ended(number, at, "failure", http_status=401, system_key="crm") for at in (60, 61, 62)]
            if number % 2:
                events += [_ended(number, 65, "success")]
                events += [_ended(number, at, "failure", http_status=401, system_key="mail") for at in (85, 86, 87)]
        case 1:
            events = [_begun(number, 60 + random.randrange(60))]
        case 2:
            events = [_ended(number, 60 + at, "timed_out") for at in range(5)]
        case 3:
            events = [_begun(number, 60), _ended(number, 130, "success", begun_at=60)]
        case _:
            events = [
                one for at in range(0, 200, 20) for one in (_begun(number, at), _ended(number, at + 1, "success", at))
            ]
    shift = timedelta(seconds=random.randrange(1800))
    timed = []
    for minutes, event in events:
        at = START + timedelta(minutes=minutes) + shift
        timed.append((at, {**event, "occurred_at": at.isoformat()}))
    return timed


def _begun(number: int, at: int) -> tuple[int, dict[str, Any]]:
    return at, _event(number, at, "started", at)


def _ended(number: int, at: int, status: str, begun_at: int | None = None, **more: Any) -> tuple[int, dict[str, Any]]:
    return at, _event(number, at, status, at if begun_at is None else begun_at) | more


def _event(number: int, at: int, status: str, execution: int) -> dict[str, Any]:
    return {
        "event_id": f"e{number}:{status}:{at}",
        "status": status,
        "tenant_id": tenant_of(number),
        "workflow_id": f"wf{number}",
        "automation_version_id": f"v{number}",
        "execution_id": f"x{number}:{execution}",
    }


def tenant_of(number: int) -> str:
    """Whose workflow it is."""
    return f"t{number % TENANTS}"


def make_world(workflows: int, *, not_live: int = NOT_LIVE) -> Document:
    """So many workflows, each with a version and an automation of its own: `wf7`, `v7`, `a7`.

    `not_live`: one automation in so many; none for 0.
    """
    tenants = range(TENANTS)
    numbers = range(workflows)
    return {
        "tenants": [{"id": f"t{number}", "name": f"Tenant {number}"} for number in tenants],
        "contacts": [
            {"tenant_id": f"t{number}", "name": "Ada", "email": f"ada@t{number}.example"} for number in tenants
        ],
        "systems": [
            {"system_key": "crm", "provider": "salesforce", "display_name": "Salesforce"},
            {"system_key": "mail", "provider": "google", "display_name": "Gmail"},
        ],
        "automations": [
            {"id": f"a{number}", "tenant_id": tenant_of(number), "name": f"Automation {number}"} for number in numbers
        ],
        "automation_versions": [
            {
                "id": f"v{number}",
                "tenant_id": tenant_of(number),
                "automation_id": f"a{number}",
                "version": 1,
                "status": "Paused" if not_live and number % not_live == 0 else "Live",
            }
            for number in numbers
        ],
        "workflows": [
            {"workflow_id": f"wf{number}", "tenant_id": tenant_of(number), "name": f"Workflow {number}"}
            for number in numbers
        ],
        "workflow_bindings": [
            {
                "tenant_id": tenant_of(number),
                "automation_version_id": f"v{number}",
                "wrk_workflow_id": f"wf{number}",
                "status": "active",
            }
            for number in numbers
        ],
    }
