"""Build one email from a notification and hand it to an SMTP server."""

import smtplib
from collections import deque
from contextlib import suppress
from datetime import timedelta
from email.errors import HeaderParseError
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from config.settings import Smtp
from lifecycle.kinds import Severity
from lifecycle.messages import DeliveryFault, Message, NotDeliveredError
from lifecycle.texts import render_html

#: For connecting, and for every answer.
TIMEOUT = timedelta(seconds=20)

#: "Authentication required" (RFC 4954), as an answer to any command.
_LOGIN_NEEDED = 530
_FINE = 250

#: Servers end a connection that carries too many.
_MESSAGES_A_CONNECTION = 100


def build_message(email: Message, sender: str) -> EmailMessage:
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


class SmtpSender:
    """Send over SMTP, over connections that stay open for the next message; safe to call from several threads."""

    def __init__(self, smtp: Smtp) -> None:
        """Contacts nothing yet."""
        self._smtp = smtp
        #: Idle connections and how many messages each has carried.
        self._idle: deque[tuple[smtplib.SMTP, int]] = deque()

    def __call__(self, email: Message) -> str:
        """Hand one message over."""
        message = build_message(email, self._smtp.sender)
        try:
            server, carried = self._connection()
            try:
                server.send_message(message)
            except BaseException:
                server.close()  # who knows what it would answer next
                raise
        except (OSError, smtplib.SMTPException) as error:
            # Without a cause: a server's answer may quote the message or the login.
            raise NotDeliveredError(fault_of(error)) from None
        if carried + 1 < _MESSAGES_A_CONNECTION:
            self._idle.append((server, carried + 1))
        else:
            _end(server)
        return str(message["Message-ID"])

    def close(self) -> None:
        """Take leave of the server."""
        while self._idle:
            _end(self._idle.pop()[0])

    def _connection(self) -> tuple[smtplib.SMTP, int]:
        while True:
            try:
                server, carried = self._idle.pop()
            except IndexError:
                return self._connect(), 0
            # It is asked before a message goes out: one that breaks off in mid-message may have been taken.
            try:
                if server.noop()[0] == _FINE:
                    return server, carried
            except (OSError, smtplib.SMTPException):
                pass
            server.close()

    def _connect(self) -> smtplib.SMTP:
        smtp = self._smtp
        server = smtplib.SMTP(smtp.host, smtp.port, timeout=TIMEOUT.total_seconds())
        try:
            if smtp.starttls:
                server.starttls()
            if smtp.username is not None:
                server.login(smtp.username, smtp.password.get_secret_value() if smtp.password else "")
        except BaseException:
            server.close()
            raise
        return server


def _end(server: smtplib.SMTP) -> None:
    with suppress(OSError, smtplib.SMTPException):
        server.quit()
    server.close()


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
