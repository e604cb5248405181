"""Wake whoever is on call: a pager's webhook, in the form of PagerDuty's events (version 2).

A block and its end are one incident there: the episode's id is the `dedup_key` of both.
"""

import json
from typing import Any

import httpx2

from config.settings import OnCall
from lifecycle.kinds import Template
from lifecycle.messages import Message, Sender
from lifecycle.posts import TIMEOUT, post

_MAX_SUMMARY = 1024

#: What ends an incident that an earlier notice of the same episode began.
_ENDINGS = frozenset({Template.AUTOMATION_UNBLOCKED})


def on_call_sender(on_call: OnCall) -> Sender:
    """Send to the pager of the settings."""
    assert on_call.routing_key is not None
    key = on_call.routing_key.get_secret_value()
    client = httpx2.Client(timeout=TIMEOUT.total_seconds(), follow_redirects=False)

    def send(message: Message) -> str:
        event = build_event(message, key)
        post(client, on_call.url, json.dumps(event).encode(), {})
        return str(event["dedup_key"])

    return send


def build_event(message: Message, routing_key: str) -> dict[str, Any]:
    """The event: a trigger with what people need to know, or the end of one."""
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": "resolve" if message.template in _ENDINGS else "trigger",
        "dedup_key": message.episode_id or message.notification_id,
    }
    if message.template in _ENDINGS:
        return event
    return {
        **event,
        "client": "Breakwater",
        "payload": {
            "summary": message.title[:_MAX_SUMMARY],
            "source": "breakwater",
            "severity": message.severity.value,
            "timestamp": message.created_at.isoformat(),
            "class": message.template.value,
            "custom_details": {"text": message.body},
        },
        "links": [] if message.link is None else [{"href": message.link, "text": "Open in Breakwater"}],
    }
