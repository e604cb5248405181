"""A spend anomaly as a Slack message: what was spent, what was expected, and where to look (50.9, 60.5). Pure."""

from collections.abc import Mapping
from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    HeaderBlock,
    PlainTextObject,
    SectionBlock,
)

from lifecycle.credits.slack_alert import escaped, field
from lifecycle.messages import Message
from lifecycle.texts import one_line

_SIGN = "\N{CHART WITH UPWARDS TREND}"
#: Of Slack, for a link.
_MAX_LINK = 3000


def build_spend_payload(message: Message) -> dict[str, Any]:
    """Header, up to six fields, two buttons, and that nothing was stopped; takes the context of its notice.

    Values are escaped and taken as they are, as in the message of a case.
    """
    context = message.context
    headline = one_line(f"{_SIGN} {message.title}", HeaderBlock.text_max_length)
    is_one = context.get("plural") is None  # what waits since before anomalies were counted is about one
    fields = _of_one(context) if is_one else _of_many(context)
    blocks: list[Block] = [
        HeaderBlock(text=PlainTextObject(text=headline, emoji=True), block_id=message.notification_id),
        SectionBlock(fields=[field(label, value) for label, value in fields]),
    ]
    buttons = [
        ButtonElement(text=PlainTextObject(text=text), action_id=action, url=link)
        for text, action, link in (
            ("Open decision" if is_one else "Open all", "open_decision" if is_one else "open_all", message.link),
            ("Credits", "open_credits", context["credits_link"]),
        )
        if link and len(link) <= _MAX_LINK
    ]
    if buttons:
        blocks.append(ActionsBlock(elements=buttons))
    blocks.append(ContextBlock(elements=[PlainTextObject(text="No run is dear by itself. Nothing was stopped.")]))
    return {
        "text": escaped(headline),
        "blocks": [block.to_dict() for block in blocks],  # checks the lengths
        "unfurl_links": False,
    }


def _of_one(context: Mapping[str, Any]) -> list[tuple[str, str]]:
    fields = [
        ("Spent", f"{context['spent']} credits {context['per']}"),
        ("Expected", f"{context['expected']} (limit {context['limit']})"),
        ("Tenant", context["tenant_name"]),
        ("Time", context["at"]),
    ]
    if context["runs"]:
        fields.append(("Runs", context["runs"]))
    if context["risen"]:
        fields.append(("Rose most", ", ".join(context["risen"])))
    return fields


def _of_many(context: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("Tenant", context["tenant_name"]),
        (context["plural"].capitalize(), context["count"]),
        ("Since", context["since"]),
        *zip(("Furthest", "Second", "Third"), context["furthest"], strict=False),
    ]
