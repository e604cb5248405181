"""Post one notification to Slack: Block Kit by an incoming webhook, for credit cases by that of their severity.

Slack knows no idempotency key: the notification's id is the first block's id, so a repeat can be told as one.
"""

import json
from typing import Any

import httpx2
from slack_sdk.models.blocks import PlainTextObject, SectionBlock

from config.settings import SlackAddresses
from lifecycle.credits.slack_alert import build_case_payload
from lifecycle.credits.spend_alert import build_spend_payload
from lifecycle.kinds import Severity, Template
from lifecycle.messages import Message, Sender
from lifecycle.posts import TIMEOUT, post
from lifecycle.slack_blocks import Button, build_message
from lifecycle.texts import one_line

_SIGNS = {Severity.CRITICAL: "\N{LARGE RED CIRCLE}", Severity.WARNING: "\N{LARGE YELLOW CIRCLE}", Severity.INFO: ""}

#: What credit monitoring tells; the context of those about a case says its severity.
_OF_CREDITS = frozenset(
    {
        Template.CREDIT_CASE,
        Template.CREDIT_CASE_OVERDUE,
        Template.CREDIT_HEALTH,
        Template.CREDIT_REVIEW,
        Template.BASELINES_UPDATED,
        Template.SPEND_ANOMALY,
    }
)


def build_payload(message: Message) -> dict[str, Any]:
    """The payload, of a credit case or spend anomaly with its numbers; of several notices told as one, a list."""
    if message.template is Template.CREDIT_CASE and not message.others:
        return build_case_payload(message)
    if message.template is Template.SPEND_ANOMALY and not message.others:
        return build_spend_payload(message)
    return _build_notice(message)


def _build_notice(message: Message) -> dict[str, Any]:
    """Header, text, button, and what it is about.

    All of it is plain text, so that no name can mention people or bring a link of its own.
    """
    name = message.template.value.replace("_", " ")
    body = _cut(message.body.strip() or name, SectionBlock.text_max_length)
    return build_message(
        message.notification_id,
        one_line(f"{_SIGNS[message.severity]} {message.title}") or name,  # Slack refuses an empty text
        SectionBlock(text=PlainTextObject(text=body, emoji=False)),
        (Button("Open in Breakwater", "open", message.link),),
        f"{message.severity.capitalize()} · {name}",
        emoji=False,
    )


def slack_sender(addresses: SlackAddresses) -> Sender:
    """Post by the webhooks of the settings.

    Not with the SDK's own client: it writes the address, a secret, into its debug log, and follows redirects.
    """
    client = httpx2.Client(timeout=TIMEOUT.total_seconds(), follow_redirects=False)

    def send(message: Message) -> str:
        url = (
            addresses.of_credits(message.context.get("severity")) if message.template in _OF_CREDITS else addresses.main
        )
        post(client, url.get_secret_value(), json.dumps(build_payload(message)).encode(), {})
        return message.notification_id

    return send


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
