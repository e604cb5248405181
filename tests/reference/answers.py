"""What systems answered and how statuses are spelled; each failure is beyond doubt, one way or the other."""

from __future__ import annotations

from typing import Any

Fields = dict[str, Any]
Answer = tuple[int | None, str | None, str | None]

#: (`http_status`, `error_code`, `error_message`) of failures that are auth failures by 20.2 ...
AUTH_ANSWERS: tuple[Answer, ...] = (
    (401, None, None),
    (401, None, "Unauthorized"),
    (403, None, None),
    (403, None, "Forbidden"),
    (None, "AUTH_ERROR", None),
    (400, "invalid_grant", "Token has been expired or revoked."),
    (None, "INVALID_SESSION_ID", None),
    (400, "ExpiredToken", None),
    (None, "token_revoked", None),
    (None, None, "Bad credentials"),
    (None, None, 'password authentication failed for user "app"'),
    (None, None, "535 5.7.8 Username and Password not accepted"),
)
#: ... and of failures that are not.
OTHER_ANSWERS: tuple[Answer, ...] = (
    (None, None, None),
    (500, None, "Internal Server Error"),
    (500, "invalid_grant", None),
    (503, None, "503 authentication service unavailable"),
    (429, "AUTH_ERROR", None),
    (429, None, "Too Many Requests"),
    (404, None, "Order 401 not found"),
    (402, None, "Failed to authorize payment: card_declined"),
    (None, None, "Unexpected token < in JSON"),
    (400, None, "maximum context length is 8192 tokens"),
    (403, "rateLimitExceeded", "Rate Limit Exceeded"),
    (403, None, "API rate limit exceeded"),
)
SYSTEMS = ("crm", "mail", "unknown", None, None)
GATE_ANSWERS = ("WorkflowBlacklisted", "AutomationNotRunnable", "WorkflowOnHold")
ALIASES = {
    "success": ("succeeded", "Completed", "COMPLETE"),
    "failure": ("failed", "Fail", "ERROR", "crashed", "Quarantined", "Escalated"),
    "cancelled": ("canceled", "Aborted", "ABORT"),
    "started": ("start", "START"),
    "running": ("heartbeat", "Progress", "HEARTBEAT"),
}
BROKEN = ("invalid", "expired", "revoked")


def is_auth_failure(event: Fields) -> bool:
    """The truth about the failures of these streams."""
    answer = (event.get("http_status"), event.get("error_code"), event.get("error_message"))
    return answer in AUTH_ANSWERS
