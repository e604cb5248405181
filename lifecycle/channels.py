"""Every way that a notification can go, as the settings have it."""

from collections.abc import Mapping

from config.settings import Settings
from lifecycle.emails import SmtpSender
from lifecycle.kinds import Channel
from lifecycle.messages import Message, Sender
from lifecycle.on_call import on_call_sender
from lifecycle.slack import slack_sender
from lifecycle.webhooks import webhook_sender

Senders = Mapping[Channel, Sender]
"""A sender for each channel that is set up."""


def make_senders(settings: Settings) -> Senders:
    """Email and in-app always; the others when the settings name their addresses. Contacts nothing."""
    senders: dict[Channel, Sender] = {Channel.EMAIL: SmtpSender(settings.smtp), Channel.IN_APP: show_in_app}
    if settings.slack_addresses is not None:
        senders[Channel.SLACK] = slack_sender(settings.slack_addresses)
    if settings.webhook.url is not None:
        senders[Channel.WEBHOOK] = webhook_sender(settings.webhook)
    if settings.on_call.routing_key is not None:
        senders[Channel.ON_CALL] = on_call_sender(settings.on_call)
    return senders


def close_senders(senders: Senders) -> None:
    """Take leave of the servers whose connections are kept."""
    for sender in senders.values():
        if isinstance(sender, SmtpSender):
            sender.close()


def show_in_app(message: Message) -> str:
    """Deliver an in-app notice that had to wait: its row, which is the delivery, is marked by the caller."""
    return message.notification_id
