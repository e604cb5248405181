"""A spend anomaly as a Slack message: what was spent, what was expected, and where to look (50.9, 60.5). Pure."""

from collections.abc import Mapping
from typing import Any

from lifecycle.messages import Message
from lifecycle.slack_blocks import Button, build_fields, build_message

_SIGN = "\N{CHART WITH UPWARDS TREND}"


def build_spend_payload(message: Message) -> dict[str, Any]:
    """Header, up to six fields, two buttons, and that nothing was stopped; takes the context of its notice."""
    context = message.context
    is_one = context.get("plural") is None  # what waits since before anomalies were counted is about one
    open_button = ("Open decision", "open_decision") if is_one else ("Open all", "open_all")
    return build_message(
        message.notification_id,
        f"{_SIGN} {message.title}",
        build_fields(_of_one(context) if is_one else _of_many(context)),
        (Button(*open_button, message.link), Button("Credits", "open_credits", context["credits_link"])),
        "No run is dear by itself. Nothing was stopped.",
    )


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
