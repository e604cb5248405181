"""Post JSON to an address of the settings, and say in our words why it was not taken."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx2

from lifecycle.messages import DeliveryFault, NotDeliveredError

#: At `INFO` the client writes the address of each request, and an address may be the secret.
logging.getLogger("httpx2").setLevel(logging.WARNING)

TIMEOUT = timedelta(seconds=10)

#: A server that asks for more is tried again after this.
LONGEST_WAIT = timedelta(days=1)

_LATER = frozenset({408, 425, 429})
_GONE = frozenset({404, 410})
_LOGIN = frozenset({401, 403, 407})


def post(client: httpx2.Client, url: str, content: bytes, headers: Mapping[str, str]) -> None:
    """Post one JSON body; `NotDeliveredError` for any answer but a 2xx. Follows no redirect."""
    try:
        response = client.post(url, content=content, headers={"content-type": "application/json", **headers})
    except httpx2.InvalidURL:
        raise NotDeliveredError(DeliveryFault.UNSENDABLE) from None
    except httpx2.HTTPError:
        # Without a cause: it may quote the address, and that may be a secret.
        raise NotDeliveredError(DeliveryFault.UNREACHABLE) from None
    fault = fault_of(response.status_code)
    if fault is not None:
        raise NotDeliveredError(fault, retry_after(response.headers.get("retry-after"), datetime.now(UTC)))


def fault_of(status: int) -> DeliveryFault | None:
    """What an HTTP status means for a message; None when it was taken."""
    if 200 <= status < 300:
        return None
    if status in _LATER or status >= 500:
        return DeliveryFault.BUSY
    if status in _LOGIN:
        return DeliveryFault.LOGIN_REFUSED
    # A redirect is a wrong address too: followed, it could lead a secret anywhere.
    return DeliveryFault.ENDPOINT_GONE if status in _GONE or status < 400 else DeliveryFault.MESSAGE_REFUSED


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """`Retry-After` as seconds or as a date, at most `LONGEST_WAIT`; None when there is none to be made out."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        wait = timedelta(seconds=min(int(value[:9]), LONGEST_WAIT.total_seconds()))
    else:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, TypeError):
            return None
        wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return min(LONGEST_WAIT, max(timedelta(0), wait))
