"""Post one notification to Slack: Block Kit by an incoming webhook.

Slack knows no idempotency key: the notification's id is the first block's id, so a repeat can be told as one.
"""

import json
from typing import Any

import httpx2
from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    HeaderBlock,
    PlainTextObject,
    SectionBlock,
)

from config.settings import Slack
from lifecycle.kinds import Severity
from lifecycle.messages import Message, Sender
from lifecycle.posts import TIMEOUT, post
from lifecycle.texts import one_line

_SIGNS = {Severity.CRITICAL: "\N{LARGE RED CIRCLE}", Severity.WARNING: "\N{LARGE YELLOW CIRCLE}", Severity.INFO: ""}
_MAX_LINK = 3000


def build_payload(message: Message) -> dict[str, Any]:
    """The payload: header, text, button, and what it is about.

    All of it is plain text, so that no name can mention people or bring a link of its own.
    """
    name = message.template.value.replace("_", " ")
    headline = one_line(f"{_SIGNS[message.severity]} {message.title}") or name  # Slack refuses an empty text
    body = _cut(message.body.strip() or name, SectionBlock.text_max_length)
    blocks: list[Block] = [
        HeaderBlock(
            text=PlainTextObject(text=one_line(headline, HeaderBlock.text_max_length), emoji=False),
            block_id=message.notification_id,
        ),
        SectionBlock(text=PlainTextObject(text=body, emoji=False)),
    ]
    if message.link is not None and len(message.link) <= _MAX_LINK:
        button = ButtonElement(
            text=PlainTextObject(text="Open in Breakwater", emoji=False), url=message.link, action_id="open"
        )
        blocks.append(ActionsBlock(elements=[button]))
    about = f"{message.severity.capitalize()} · {name}"
    blocks.append(ContextBlock(elements=[PlainTextObject(text=about, emoji=False)]))
    return {
        # What a notification on a phone shows; here alone Slack reads marks, so they are made harmless.
        "text": headline.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        "blocks": [block.to_dict() for block in blocks],  # checks the lengths
        "unfurl_links": False,
    }


def slack_sender(slack: Slack) -> Sender:
    """Post by the webhook of the settings.

    Not with the SDK's own client: it writes the address, a secret, into its debug log, and follows redirects.
    """
    assert slack.url is not None
    url = slack.url.get_secret_value()
    client = httpx2.Client(timeout=TIMEOUT.total_seconds(), follow_redirects=False)

    def send(message: Message) -> str:
        post(client, url, json.dumps(build_payload(message)).encode(), {})
        return message.notification_id

    return send


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
