"""A notification on its way out, and why it may not arrive."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from lifecycle.kinds import Audience, Severity, Template


class DeliveryFault(StrEnum):
    """Why a message was not taken: our words, since a server's may quote the message."""

    UNREACHABLE = "unreachable"  #: no connection, or it broke off
    BUSY = "busy"  #: the server says: later
    #: Our user, password, token or key is wrong, or one is needed; an operator can mend it, like the next four.
    LOGIN_REFUSED = "login_refused"
    SENDER_REFUSED = "sender_refused"  #: the server takes no mail from us
    NOT_SUPPORTED = "not_supported"  #: the server can't encrypt, or can't do what else we ask of it
    ENDPOINT_GONE = "endpoint_gone"  #: nothing takes messages at that address any more
    NOT_SET_UP = "not_set_up"  #: the worker's settings don't have the channel
    RECIPIENT_REFUSED = "recipient_refused"  #: the server will never take mail for this address
    MESSAGE_REFUSED = "message_refused"  #: the server will never take this message
    BAD_ADDRESS = "bad_address"  #: no email address at all
    #: Something of ours broke before the server was asked: settings that can't be sent, a text that can't be made.
    UNSENDABLE = "unsendable"


#: Trying again gives the same answer, whatever an operator does to the settings meanwhile.
PERMANENT = frozenset({DeliveryFault.RECIPIENT_REFUSED, DeliveryFault.MESSAGE_REFUSED, DeliveryFault.BAD_ADDRESS})

#: Faults of the way, not of the one message: they count against the channel.
OF_THE_CHANNEL = frozenset(DeliveryFault) - PERMANENT - {DeliveryFault.UNSENDABLE}


class NotDeliveredError(Exception):
    """A message was not taken. Raised by senders, caught where deliveries are recorded."""

    def __init__(self, fault: DeliveryFault, retry_after: timedelta | None = None) -> None:
        """`retry_after`: how long the server asks to be left alone, if it says so."""
        super().__init__(fault.value)
        self.fault = fault
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a notification says, to whom."""

    notification_id: str
    tenant_id: str | None
    #: What it is about; the same for all messages of a block.
    episode_id: str | None
    template: Template
    audience: Audience
    severity: Severity
    recipient: str
    title: str
    body: str
    link: str | None
    context: Mapping[str, Any]
    created_at: datetime
    #: Titles of others that it tells of too (60.5); they don't come by themselves.
    others: tuple[str, ...] = ()


Sender = Callable[[Message], str]
"""Hands one message over and returns the id that it bears there; `NotDeliveredError` when it was not taken."""
