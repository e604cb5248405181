"""Post JSON to an address of the settings, and say in our words why it was not taken."""

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx2

from lifecycle.messages import DeliveryFault, NotDeliveredError

#: At `INFO` the client writes the address of each request, and an address may be the secret.
logging.getLogger("httpx2").setLevel(logging.WARNING)

TIMEOUT = timedelta(seconds=10)

#: Bytes of an answer that nobody looks at.
_LONGEST_ANSWER = 64 * 1024

#: A server that asks for more is tried again after this.
LONGEST_WAIT = timedelta(days=1)

_LATER = frozenset({408, 425, 429})
_GONE = frozenset({404, 410})
_LOGIN = frozenset({401, 403, 407})


def post(client: httpx2.Client, url: str, content: bytes, headers: Mapping[str, str]) -> None:
    """Post one JSON body; `NotDeliveredError` for any answer but a 2xx. Follows no redirect.

    Of the answer's body no more is read than is needed to see that it is whole: it may be endless, or come a byte at
    a time, and then its status counts.
    """
    sent = {"content-type": "application/json", **headers}
    try:
        with client.stream("POST", url, content=content, headers=sent) as response:
            fault = fault_of(response.status_code)
            asked_for = response.headers.get("retry-after")
            _read_some(response)
    except httpx2.InvalidURL:
        raise NotDeliveredError(DeliveryFault.UNSENDABLE) from None
    except httpx2.HTTPError:
        # Without a cause: it may quote the address, and that may be a secret.
        raise NotDeliveredError(DeliveryFault.UNREACHABLE) from None
    if fault is not None:
        raise NotDeliveredError(fault, retry_after(asked_for, datetime.now(UTC)))


def _read_some(response: httpx2.Response) -> None:
    """Read a body to its end, but neither for long nor much of it; an error of the client when it breaks off."""
    end = time.monotonic() + TIMEOUT.total_seconds()
    size = 0
    for chunk in response.iter_raw():
        size += len(chunk)
        if size > _LONGEST_ANSWER or time.monotonic() > end:
            return


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
        except (ValueError, TypeError, OverflowError):
            return None
        wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return min(LONGEST_WAIT, max(timedelta(0), wait))
