"""Post one notification to Slack: Block Kit by an incoming webhook.

Slack knows no idempotency key: the notification's id is the first block's id, so a repeat can be told as one.
"""

from datetime import UTC, datetime
from typing import Any
from urllib.error import URLError

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    HeaderBlock,
    PlainTextObject,
    SectionBlock,
)
from slack_sdk.webhook import WebhookClient

from config.settings import Slack
from lifecycle.kinds import Severity
from lifecycle.messages import DeliveryFault, Message, NotDeliveredError, Sender
from lifecycle.posts import TIMEOUT, fault_of, retry_after
from lifecycle.texts import one_line

_SIGNS = {Severity.CRITICAL: "\N{LARGE RED CIRCLE}", Severity.WARNING: "\N{LARGE YELLOW CIRCLE}", Severity.INFO: ""}
_MAX_LINK = 3000


def build_payload(message: Message) -> dict[str, Any]:
    """The payload: header, text, button, and what it is about.

    All of it is plain text, so that no name can mention people or bring a link of its own.
    """
    headline = f"{_SIGNS[message.severity]} {message.title}".strip()
    blocks: list[Block] = [
        HeaderBlock(
            text=PlainTextObject(text=one_line(headline, HeaderBlock.text_max_length), emoji=False),
            block_id=message.notification_id,
        ),
        SectionBlock(text=PlainTextObject(text=_cut(message.body, SectionBlock.text_max_length), emoji=False)),
    ]
    if message.link is not None and len(message.link) <= _MAX_LINK:
        button = ButtonElement(
            text=PlainTextObject(text="Open in Breakwater", emoji=False), url=message.link, action_id="open"
        )
        blocks.append(ActionsBlock(elements=[button]))
    about = f"{message.severity.capitalize()} · {message.template.value.replace('_', ' ')}"
    blocks.append(ContextBlock(elements=[PlainTextObject(text=about, emoji=False)]))
    return {
        # What a notification on a phone shows; here alone Slack reads marks, so they are made harmless.
        "text": headline.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        "blocks": [block.to_dict() for block in blocks],  # checks the lengths
        "unfurl_links": False,
    }


def slack_sender(slack: Slack) -> Sender:
    """Post by the webhook of the settings; one try, since the queue does the others."""
    assert slack.url is not None
    client = WebhookClient(slack.url.get_secret_value(), timeout=int(TIMEOUT.total_seconds()), retry_handlers=[])

    def send(message: Message) -> str:
        payload = build_payload(message)
        try:
            response = client.send_dict(payload)
        except (URLError, OSError, ValueError):
            raise NotDeliveredError(DeliveryFault.UNREACHABLE) from None  # without a cause: it may quote the address
        fault = fault_of(response.status_code)
        if fault is not None:
            headers = {name.lower(): value for name, value in response.headers.items()}
            raise NotDeliveredError(fault, retry_after(headers.get("retry-after"), datetime.now(UTC)))
        return message.notification_id

    return send


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
