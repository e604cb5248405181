"""A credit case as a Slack message: what people see at a glance, and where they go from there (50.5). Pure."""

from collections.abc import Mapping
from typing import Any

from lifecycle.kinds import CaseSeverity
from lifecycle.messages import Message
from lifecycle.slack_blocks import Button, build_fields, build_message
from lifecycle.texts import one_line

_SIGNS = {
    CaseSeverity.SEV0: "\N{FIRE}",
    CaseSeverity.SEV1: "\N{LARGE RED CIRCLE}",
    CaseSeverity.SEV2: "\N{LARGE YELLOW CIRCLE}",
}
#: Of Slack, for a line of text.
_MAX_LINE = 2000


def build_case_payload(message: Message) -> dict[str, Any]:
    """Header, six fields, buttons, and what was really done; takes the context of a `credit_case` notice."""
    context = message.context
    severity = CaseSeverity(context["severity"])
    return build_message(
        message.notification_id,
        f"{_SIGNS[severity]} {context['headline']}",
        build_fields(_fields(context)),
        (
            Button("Open case", "open_case", message.link, "danger" if severity is CaseSeverity.SEV0 else None),
            Button("View run", "view_run", context.get("run_link")),
            Button("Artifacts", "artifacts", context.get("artifacts_link")),
        ),
        one_line(_what_was_done(context), _MAX_LINE),
    )


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


def _what_was_done(context: Mapping[str, Any]) -> str:
    parts = [f"Done: {' / '.join(context['done'])}" if context["done"] else "No automatic actions taken"]
    if context["not_done"]:
        parts.append(f"Not done: {' / '.join(context['not_done'])}")
    return f"{context['case_id']} · {context['tenant_name']} · {' · '.join(parts)}"
