"""The auth-error classifier (spec 20.2)."""

import pytest

from config.auth_errors import load_auth_errors


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (401, None, "rate limit", True),
        (403, None, "Forbidden", True),
        (403, "rateLimitExceeded", None, False),
        (429, "invalid_grant", "Bad credentials", False),
        (500, "invalid_grant", "Bad credentials", False),
        (None, "invalid_grant", None, True),
        (None, None, None, False),
        (400, None, "Order 401 not found", False),
        (400, None, "Failed to authorize payment: card_declined", False),
        (None, None, "Unexpected token < in JSON", False),
        (400, None, "maximum context length is 8192 tokens", False),
        (None, None, "503 authentication service unavailable", False),
        (None, None, "535 5.7.8 Username and Password not accepted", True),
        (None, None, "password authentication failed for user", True),
        (None, None, "Bad credentials", True),
    ],
)
def test_the_examples_of_the_spec(
    status: int | None, code: str | None, message: str | None, expected: bool
) -> None:
    assert load_auth_errors().is_auth_failure(status, code, message, None) is expected
