"""A credit case as a Slack message: what people see at a glance, and where they go from there (50.5). Pure."""

from collections.abc import Mapping
from typing import Any

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

from lifecycle.kinds import CaseSeverity
from lifecycle.messages import Message
from lifecycle.texts import one_line

_SIGNS = {
    CaseSeverity.SEV0: "\N{FIRE}",
    CaseSeverity.SEV1: "\N{LARGE RED CIRCLE}",
    CaseSeverity.SEV2: "\N{LARGE YELLOW CIRCLE}",
}
#: Of Slack, for the text of a field and for a link.
_MAX_FIELD = 2000
_MAX_LINK = 3000
#: Of ours, so that six fields with their escapes stay below Slack's limit.
_MAX_VALUE = 300


def build_case_payload(message: Message) -> dict[str, Any]:
    """Header, six fields, buttons, and what was really done; takes the context of a `credit_case` notice.

    Values are escaped and taken as they are (`verbatim`), so no name can mention people or bring a link of its own.
    """
    context = message.context
    severity = CaseSeverity(context["severity"])
    headline = one_line(f"{_SIGNS[severity]} {context['headline']}", HeaderBlock.text_max_length)
    blocks: list[Block] = [
        HeaderBlock(text=PlainTextObject(text=headline, emoji=True), block_id=message.notification_id),
        SectionBlock(fields=[field(label, value) for label, value in _fields(context)]),
    ]
    buttons = _buttons(message, severity)
    if buttons:
        blocks.append(ActionsBlock(elements=buttons))
    blocks.append(ContextBlock(elements=[PlainTextObject(text=one_line(_what_was_done(context), _MAX_FIELD))]))
    return {
        "text": escaped(headline),
        "blocks": [block.to_dict() for block in blocks],  # checks the lengths
        "unfurl_links": False,
    }


def escaped(text: str) -> str:
    """Text in which Slack sees no mention and no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _fields(context: Mapping[str, Any]) -> list[tuple[str, str]]:
    compared = f"{context['baseline']}) → {context['multiplier']}×" if context["baseline"] else "N/A)"
    return [
        ("Credits", f"{context['credits']} (Baseline {compared}"),
        ("Job Type", context["job_type"]),
        ("Misconfig Likelihood", context["likelihood"]),
        ("Risk Flags", context["flags"].replace("_", " ")),
        ("Run ID", context["execution_id"]),
        ("Time", context["at"]),
    ]


def field(label: str, value: str) -> MarkdownTextObject:
    """A label and its value, which is taken as it is."""
    return MarkdownTextObject(text=f"*{label}:*\n{escaped(one_line(value, _MAX_VALUE)) or '-'}", verbatim=True)


def _buttons(message: Message, severity: CaseSeverity) -> list[ButtonElement]:
    links = (
        ("Open case", "open_case", message.link, "danger" if severity is CaseSeverity.SEV0 else None),
        ("View run", "view_run", message.context.get("run_link"), None),
        ("Artifacts", "artifacts", message.context.get("artifacts_link"), None),
    )
    return [
        ButtonElement(text=PlainTextObject(text=text), action_id=action, url=link, style=style)
        for text, action, link, style in links
        if link and len(link) <= _MAX_LINK
    ]


def _what_was_done(context: Mapping[str, Any]) -> str:
    parts = [f"Done: {' / '.join(context['done'])}" if context["done"] else "No automatic actions taken"]
    if context["not_done"]:
        parts.append(f"Not done: {' / '.join(context['not_done'])}")
    return f"{context['case_id']} · {context['tenant_name']} · {' · '.join(parts)}"
