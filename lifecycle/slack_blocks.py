"""What all messages to Slack have in common (Block Kit). Pure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)

from lifecycle.texts import one_line

#: Of Slack, for a link.
_MAX_LINK = 3000
#: Of ours, so that six fields with their escapes stay below Slack's limit.
_MAX_VALUE = 300


class Button(NamedTuple):
    """It is left out without a link, or with one that is too long for Slack."""

    text: str
    action_id: str
    link: str | None
    style: str | None = None


def build_message(
    notification_id: str,
    headline: str,
    section: SectionBlock,
    buttons: Sequence[Button],
    about: str,
    *,
    emoji: bool = True,
) -> dict[str, Any]:
    """Header, a section, buttons, and a last line. `emoji`: names like `:fire:` become pictures in the header."""
    blocks: list[Block] = [
        HeaderBlock(
            text=PlainTextObject(text=one_line(headline, HeaderBlock.text_max_length), emoji=emoji),
            block_id=notification_id,
        ),
        section,
    ]
    links = [
        ButtonElement(text=PlainTextObject(text=text, emoji=False), action_id=action_id, url=link, style=style)
        for text, action_id, link, style in buttons
        if link and len(link) <= _MAX_LINK
    ]
    if links:
        blocks.append(ActionsBlock(elements=links))
    blocks.append(ContextBlock(elements=[PlainTextObject(text=about, emoji=False)]))
    return {
        # What a notification on a phone shows; here alone Slack reads marks, so they are made harmless.
        "text": escaped(one_line(headline)),
        "blocks": [block.to_dict() for block in blocks],  # checks the lengths
        "unfurl_links": False,
    }


def build_fields(fields: Sequence[tuple[str, str]]) -> SectionBlock:
    """Labels and values. Values are escaped and taken as they are (`verbatim`): no name can mention people or link."""
    return SectionBlock(
        fields=[
            MarkdownTextObject(text=f"*{label}:*\n{escaped(one_line(value, _MAX_VALUE)) or '-'}", verbatim=True)
            for label, value in fields
        ]
    )


def escaped(text: str) -> str:
    """Text in which Slack sees no mention and no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
