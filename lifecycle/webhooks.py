"""Send one notification to a webhook, signed as the Standard Webhooks convention says.

`webhook-id` is the notification's id in every try: a receiver that keeps ids, as the convention asks, takes it once.
"""

import json
from datetime import UTC, datetime

import httpx2
from standardwebhooks import Webhook as Signer

from config.settings import Webhook
from lifecycle.messages import Message, Sender
from lifecycle.posts import TIMEOUT, post


def webhook_sender(webhook: Webhook) -> Sender:
    """Send to the address of the settings; signed by each of its secrets, so that one can replace another."""
    assert webhook.url is not None
    url = webhook.url.get_secret_value()
    signers = [Signer(secret.get_secret_value()) for secret in webhook.secrets]
    client = httpx2.Client(timeout=TIMEOUT.total_seconds(), follow_redirects=False)

    def send(message: Message) -> str:
        body = build_body(message)
        now = datetime.now(UTC)
        id_ = message.notification_id
        headers = {
            "webhook-id": id_,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signer.sign(id_, now, body) for signer in signers),
        }
        post(client, url, body.encode(), headers)
        return id_

    return send


def build_body(message: Message) -> str:
    """The JSON: type, time of the notification, and what people would read."""
    return json.dumps(
        {
            "type": f"notification.{message.template.value}",
            "timestamp": message.created_at.isoformat(),
            "data": {
                "id": message.notification_id,
                "tenant_id": message.tenant_id,
                "episode_id": message.episode_id,
                "severity": message.severity.value,
                "audience": message.audience.value,
                "title": message.title,
                "body": message.body,
                "link": message.link,
            },
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )
