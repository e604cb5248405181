"""The SMTP sink speaks the protocol and keeps what it accepted."""

import smtplib
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest

from cli.embedded.process import is_listening
from cli.embedded.smtp import ReceivedMail, SmtpSink


def mail(subject: str) -> EmailMessage:
    """A mail with text beyond ASCII."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ops@example.com", "ann@example.com", subject
    message["Message-ID"] = "<fixed-1@example.com>"
    message.set_content("Grüße, die Automation wurde angehalten.")
    return message


def test_a_mail_is_kept_as_it_was_sent(smtp_server: SmtpSink) -> None:
    with smtplib.SMTP(smtp_server.host, smtp_server.port) as client:
        client.send_message(mail("Blocked: Salesforce"), to_addrs=["ann@example.com", "bob@example.com"])
    (received,) = smtp_server.wait_for(1)
    assert (received.sender, received.recipients) == ("ops@example.com", ("ann@example.com", "bob@example.com"))
    assert received.message["Subject"] == "Blocked: Salesforce"
    assert received.message["Message-ID"] == "<fixed-1@example.com>"
    assert received.message.get_content().strip() == "Grüße, die Automation wurde angehalten."


def test_mails_are_written_in_order_and_announced(tmp_path: Path) -> None:
    heard: list[ReceivedMail] = []
    with SmtpSink(tmp_path, on_mail=heard.append) as server, smtplib.SMTP(server.host, server.port) as client:
        client.send_message(mail("first"))
        client.send_message(mail("second"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0001.eml", "0002.eml"]
    assert b"Subject: second" in (tmp_path / "0002.eml").read_bytes()
    assert [mail.message["Subject"] for mail in heard] == ["first", "second"]


def test_waiting_for_more_than_comes_fails(smtp_server: SmtpSink) -> None:
    with pytest.raises(TimeoutError, match="0 of 1 mails"):
        smtp_server.wait_for(1, timedelta(seconds=0.05))


def test_nothing_listens_after_its_end_though_a_client_is_still_connected() -> None:
    with SmtpSink() as server:
        client = smtplib.SMTP(server.host, server.port)
    assert not is_listening(server.port)
    client.close()
