"""What people do in the demo, and an integration monitor: they see what has happened, and use the API or a topic.

What follows from it is not theirs: the lifecycle decides, and the demo shows what it wrote.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from types import TracebackType
from typing import Any

from confluent_kafka import Producer

from cli.demo import cast
from cli.demo.api_client import Answer, ApiClient
from cli.demo.narration import Line, Tone, api_line
from cli.demo.scenario import DEPLOY
from cli.demo.stack import CLIENT_MAIL_DELAY
from cli.demo.watch import Watch
from lifecycle.capabilities import Role
from lifecycle.kinds import CredentialStatus
from lifecycle.statuses import Status

#: How long a customer needs to renew the first token, and the second; longer than the mail to them waits.
_FIRST_RENEWAL, _SECOND_RENEWAL = CLIENT_MAIL_DELAY + timedelta(seconds=2), CLIENT_MAIL_DELAY + timedelta(seconds=5)
_FLUSH_SECONDS = 1.0


@dataclass(frozen=True)
class Deed:
    """Something that is done once, when it is due; `do` gives what is to be shown, or None to be asked again."""

    text: str
    is_due: Callable[[timedelta], bool]
    do: Callable[[], list[Line] | None]


class People:
    """They act whenever `act` is called; use it as a context manager."""

    def __init__(self, api: ApiClient, watch: Watch, bootstrap_servers: str, credential_topic: str) -> None:
        """Does nothing yet."""
        self._api = api
        self._watch = watch
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "log_level": 2})
        self._topic = credential_topic
        sheets, salesforce = (cast.LEAD_SYNC.credential_id(key) for key in ("google_sheets", "salesforce"))
        self._deeds = [
            Deed(
                f"Operations deploy version {cast.NEXT_SHIPMENT_DIGEST.version} of {cast.SHIPMENT_DIGEST.name}",
                lambda since: since >= DEPLOY,
                self._deploy,
            ),
            Deed(
                "Ada Byrne of Acme renews the token for Google Sheets, and says so by the API",
                lambda _since: self._is_blocked_for(_FIRST_RENEWAL),
                lambda: self._validate(sheets),
            ),
            Deed(
                "The integration monitor sees Acme's new Salesforce token work: an event on its topic",
                lambda _since: self._is_blocked_for(_SECOND_RENEWAL),
                lambda: self._publish(salesforce),
            ),
        ]

    def __enter__(self) -> "People":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.flush(_FLUSH_SECONDS)

    def act(self, since: timedelta) -> list[Line]:
        """Do what is due so long after the start."""
        lines = []
        for deed in [deed for deed in self._deeds if deed.is_due(since)]:
            shown = deed.do()
            if shown is not None:
                self._deeds.remove(deed)
                lines += [Line("·", deed.text, Tone.STORY), *shown]
        self._producer.poll(0)
        return lines

    def _is_blocked_for(self, time: timedelta) -> bool:
        blocked_for = self._watch.blocked_for(cast.LEAD_SYNC.version_id)
        return blocked_for is not None and blocked_for >= time

    def _deploy(self) -> list[Line] | None:
        answer = self._api.ask(
            "PATCH",
            f"/v1/automation-versions/{cast.NEXT_SHIPMENT_DIGEST.version_id}/status",
            {"status": Status.LIVE, "deployment_reason": "Shorter digests, as the customer asked."},
            subject="ops_rita",
            role=Role.OPS_RELEASE,
        )
        return _told(answer, lambda body: f"it is {body['automation_version']['status']}")

    def _validate(self, credential_id: str) -> list[Line] | None:
        owner = next(each for each in cast.CUSTOMERS if each.tenant_id == cast.LEAD_SYNC.tenant_id)
        answer = self._api.ask(
            "POST",
            f"/v1/credentials/{credential_id}/validated",
            {"event_id": f"renewed_{credential_id}"},
            subject=owner.contact_user_id,
            role=Role.ADMIN,
            tenant_id=owner.tenant_id,
        )
        return _told(answer, lambda body: f"unblocks {', '.join(body['unblocked']) or 'nothing yet'}")

    def _publish(self, credential_id: str) -> list[Line]:
        event = {
            "event_id": f"probe_{credential_id}",
            "tenant_id": cast.LEAD_SYNC.tenant_id,
            "credential_id": credential_id,
            "status": CredentialStatus.ACTIVE,
            "occurred_at": datetime.now(UTC).isoformat(),
        }
        self._producer.produce(self._topic, key=credential_id, value=json.dumps(event).encode())
        return []


def _told(answer: Answer | None, outcome: Callable[[dict[str, Any]], str]) -> list[Line] | None:
    if answer is None:
        return None
    is_refused = answer.code >= HTTPStatus.BAD_REQUEST
    return [api_line(answer, str(answer.body["error_code"]) if is_refused else outcome(answer.body))]
