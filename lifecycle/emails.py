"""Build one email from a notification and hand it to an SMTP server."""

import smtplib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.errors import HeaderParseError
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from enum import StrEnum
from typing import Any

from config.settings import Smtp
from lifecycle.kinds import Severity, Template
from lifecycle.texts import render_html

#: For connecting, and for every answer.
TIMEOUT = timedelta(seconds=20)

#: "Authentication required" (RFC 4954), as an answer to any command.
_LOGIN_NEEDED = 530


class DeliveryFault(StrEnum):
    """Why a server did not take a message: our words, since a server's may quote the message."""

    UNREACHABLE = "unreachable"  #: no connection, or it broke off
    BUSY = "busy"  #: the server says: later
    #: Our user or password is wrong, or one is needed; an operator can mend it, like the next two.
    LOGIN_REFUSED = "login_refused"
    SENDER_REFUSED = "sender_refused"  #: the server takes no mail from us
    NOT_SUPPORTED = "not_supported"  #: the server can't encrypt, or can't do what else we ask of it
    RECIPIENT_REFUSED = "recipient_refused"  #: the server will never take mail for this address
    MESSAGE_REFUSED = "message_refused"  #: the server will never take this message
    BAD_ADDRESS = "bad_address"  #: no email address at all
    #: Something of ours broke before the server was asked: settings that can't be sent, a text that can't be made.
    UNSENDABLE = "unsendable"


#: Trying again gives the same answer, whatever an operator does to the settings meanwhile.
PERMANENT = frozenset({DeliveryFault.RECIPIENT_REFUSED, DeliveryFault.MESSAGE_REFUSED, DeliveryFault.BAD_ADDRESS})


class NotDeliveredError(Exception):
    """A message was not taken. Raised by senders, caught where deliveries are recorded."""

    def __init__(self, fault: DeliveryFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """What a notification says, to whom."""

    notification_id: str
    template: Template
    severity: Severity
    recipient: str
    title: str
    body: str
    context: Mapping[str, Any]
    created_at: datetime


Sender = Callable[[Email], str]
"""Hands one email over and returns its Message-ID; `NotDeliveredError` when it was not taken."""


def build_message(email: Email, sender: str) -> EmailMessage:
    """The message: text and HTML. Its Message-ID and date are the notification's, so a repeat is the same message."""
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = sender
        message["To"] = email.recipient
        message["Subject"] = email.title
    except (ValueError, HeaderParseError, IndexError) as error:
        raise NotDeliveredError(DeliveryFault.BAD_ADDRESS) from error
    addresses = message["To"].addresses
    if len(addresses) != 1 or not addresses[0].username or not addresses[0].domain:
        raise NotDeliveredError(DeliveryFault.BAD_ADDRESS)
    message["Message-ID"] = f"<{email.notification_id}@{domain}>"
    message["Date"] = format_datetime(email.created_at)
    message["Auto-Submitted"] = "auto-generated"
    if email.severity is Severity.CRITICAL:
        message["Importance"] = "high"
        message["X-Priority"] = "1"
    message.set_content(email.body)
    message.add_alternative(render_html(email.template, email.context), subtype="html")
    return message


def smtp_sender(smtp: Smtp) -> Sender:
    """Send over SMTP, one connection for each message."""

    def send(email: Email) -> str:
        message = build_message(email, smtp.sender)
        try:
            with smtplib.SMTP(smtp.host, smtp.port, timeout=TIMEOUT.total_seconds()) as server:
                if smtp.starttls:
                    server.starttls()
                if smtp.username is not None:
                    server.login(smtp.username, smtp.password.get_secret_value() if smtp.password else "")
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            # Without a cause: a server's answer may quote the message or the login.
            raise NotDeliveredError(fault_of(error)) from None
        return str(message["Message-ID"])

    return send


def fault_of(error: Exception) -> DeliveryFault:
    """What an error of `smtplib` means for the message."""
    match error:
        case smtplib.SMTPRecipientsRefused():
            codes = [code for code, _ in error.recipients.values()]
            if _LOGIN_NEEDED in codes:
                return DeliveryFault.LOGIN_REFUSED
            return DeliveryFault.RECIPIENT_REFUSED if all(code >= 500 for code in codes) else DeliveryFault.BUSY
        case smtplib.SMTPResponseException(smtp_code=code) if code < 500:
            return DeliveryFault.BUSY
        case smtplib.SMTPAuthenticationError():
            return DeliveryFault.LOGIN_REFUSED
        case smtplib.SMTPResponseException(smtp_code=code) if code == _LOGIN_NEEDED:
            return DeliveryFault.LOGIN_REFUSED
        case smtplib.SMTPDataError():
            return DeliveryFault.MESSAGE_REFUSED
        case smtplib.SMTPSenderRefused():
            return DeliveryFault.SENDER_REFUSED
        case smtplib.SMTPNotSupportedError():
            return DeliveryFault.NOT_SUPPORTED
        case smtplib.SMTPResponseException():
            return DeliveryFault.BUSY
        case _:
            return DeliveryFault.UNREACHABLE
