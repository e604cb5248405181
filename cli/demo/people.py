"""What people do in the demo, and the systems beside them: they see what has happened, and use the API or a topic.

What follows from it is not theirs: the lifecycle and the gate decide, and the demo shows what they wrote.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

from confluent_kafka import Producer

from cli.demo import cast
from cli.demo.acts import Act, Deed, told
from cli.demo.api_client import ApiClient
from cli.demo.narration import Line, ledger_line
from cli.demo.scenario import DEPLOY, Message
from cli.demo.scheduler import Scheduler
from cli.demo.stack import CLIENT_MAIL_DELAY
from cli.demo.watch import Watch
from config.settings import Kafka
from lifecycle.capabilities import Role
from lifecycle.kinds import CredentialStatus
from lifecycle.statuses import Status

#: How long a customer needs to renew the first token, and the second; longer than the mail to them waits.
_FIRST_RENEWAL, _SECOND_RENEWAL = CLIENT_MAIL_DELAY + timedelta(seconds=2), CLIENT_MAIL_DELAY + timedelta(seconds=5)
#: Until the next run is due; by then the last of the hanging ones is called stuck too.
_NEXT_EXPORT = timedelta(seconds=12)
#: Until the people concerned have been told of the case.
_NEXT_REVIEW = timedelta(seconds=1)
#: Between two deeds that follow from each other; and how long an admitted run takes.
_SOON, _RUN = timedelta(seconds=2), timedelta(seconds=3)
_FLUSH_SECONDS = 1.0


class People:
    """They act whenever `act` is called; use it as a context manager."""

    def __init__(self, api: ApiClient, watch: Watch, bootstrap_servers: str, topics: Kafka) -> None:
        """Does nothing yet."""
        self._api = api
        self._watch = watch
        self._producer = Producer(
            {"bootstrap.servers": bootstrap_servers, "partitioner": "murmur2_random", "log_level": 2}
        )
        self._topics = topics
        self._acts = [
            Act(self._deployment()),
            Act(self._renewals()),
            Act(self._released_export()),
            Act(self._acknowledged_case()),
        ]

    def __enter__(self) -> "People":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.flush(_FLUSH_SECONDS)

    def act(self, since: timedelta) -> list[Line]:
        """Do what is due so long after the start."""
        lines = [line for act in self._acts for line in act.go_on(since)]
        self._producer.poll(0)
        return lines

    def _deployment(self) -> list[Deed]:
        version = cast.NEXT_SHIPMENT_DIGEST.version
        return [Deed(f"Operations deploy version {version} of {cast.SHIPMENT_DIGEST.name}", self._deploy, DEPLOY)]

    def _renewals(self) -> list[Deed]:
        sheets, salesforce = (cast.LEAD_SYNC.credential_id(key) for key in ("google_sheets", "salesforce"))
        return [
            Deed(
                "Ada Byrne of Acme renews the token for Google Sheets, and says so by the API",
                lambda: self._validate(sheets),
                is_due=lambda: self._is_blocked_for(_FIRST_RENEWAL),
            ),
            Deed(
                "The integration monitor sees Acme's new Salesforce token work: an event on its topic",
                lambda: self._publish_credential(salesforce),
                is_due=lambda: self._is_blocked_for(_SECOND_RENEWAL),
            ),
        ]

    def _released_export(self) -> list[Deed]:
        """A blacklisted workflow is refused at the gate, taken off the list, and runs again."""
        export, watch = cast.NIGHTLY_EXPORT, self._watch
        scheduler = Scheduler(self._api, self._publish_event, export)
        return [
            Deed(
                f"The scheduler wants the next {export.name}, and asks the admission gate",
                scheduler.ask,
                is_due=lambda: _reached(watch.blacklisted_for(export.workflow_id), _NEXT_EXPORT),
            ),
            Deed("Pia of the platform team finds a lock in Snowflake, and ends it", self._release, _SOON),
            Deed("The scheduler asks again, for another run", scheduler.ask, _SOON),
            Deed(f"{export.name} runs through", scheduler.end, _RUN),
            Deed("Finance checks the ledger of what runs cost", self._check_ledger, is_due=watch.has_ended_admitted),
        ]

    def _acknowledged_case(self) -> list[Deed]:
        """A workflow whose runs cost far too much waits until somebody has looked."""
        review = cast.PRESS_REVIEW
        scheduler = Scheduler(self._api, self._publish_event, review)
        return [
            Deed(
                f"The scheduler wants the next {review.name}",
                scheduler.ask,
                is_due=lambda: _reached(self._watch.case_open_for(review.tenant_id), _NEXT_REVIEW),
            ),
            Deed("Iris Novak of Hooli puts version 7 back, and acknowledges the case", self._acknowledge, _SOON),
            Deed("The scheduler asks again", scheduler.ask, _SOON),
            Deed(f"{review.name} runs through", scheduler.end, _RUN),
        ]

    def _is_blocked_for(self, time: timedelta) -> bool:
        return _reached(self._watch.blocked_for(cast.LEAD_SYNC.version_id), time)

    def _deploy(self) -> list[Line] | None:
        answer = self._api.ask(
            "PATCH",
            f"/v1/automation-versions/{cast.NEXT_SHIPMENT_DIGEST.version_id}/status",
            {"status": Status.LIVE, "deployment_reason": "Shorter digests, as the customer asked."},
            subject="ops_rita",
            role=Role.OPS_RELEASE,
        )
        return told(answer, lambda body: f"it is {body['automation_version']['status']}")

    def _validate(self, credential_id: str) -> list[Line] | None:
        return self._ask_as_owner(
            cast.LEAD_SYNC,
            f"/v1/credentials/{credential_id}/validated",
            {"event_id": f"renewed_{credential_id}"},
            lambda body: f"unblocks {', '.join(body['unblocked']) or 'nothing yet'}",
        )

    def _release(self) -> list[Line] | None:
        answer = self._api.ask(
            "DELETE",
            f"/api/platform/blacklist/{cast.NIGHTLY_EXPORT.workflow_id}",
            {"note": "A forgotten lock in the warehouse; it is gone."},
            subject="platform_pia",
            role=Role.PLATFORM_ADMIN,
        )
        return told(answer, lambda body: "it is still on the list" if body["active"] else "it is off the list")

    def _acknowledge(self) -> list[Line] | None:
        return self._ask_as_owner(
            cast.PRESS_REVIEW,
            f"/v1/cases/{self._watch.open_case(cast.PRESS_REVIEW.tenant_id)}/acknowledge",
            {},
            lambda body: f"{body['case']['case_id']} is acknowledged by {body['case']['acknowledged_by']}",
        )

    def _ask_as_owner(
        self, workflow: cast.Workflow, path: str, body: dict[str, str], outcome: Callable[[dict[str, Any]], str]
    ) -> list[Line] | None:
        owner = next(each for each in cast.CUSTOMERS if each.tenant_id == workflow.tenant_id)
        answer = self._api.ask(
            "POST", path, body, subject=owner.contact_user_id, role=Role.ADMIN, tenant_id=owner.tenant_id
        )
        return told(answer, outcome)

    def _check_ledger(self) -> list[Line]:
        return [ledger_line(self._watch.check_ledger())]

    def _publish_credential(self, credential_id: str) -> list[Line]:
        told_of = {
            "event_id": f"probe_{credential_id}",
            "tenant_id": cast.LEAD_SYNC.tenant_id,
            "credential_id": credential_id,
            "status": CredentialStatus.ACTIVE,
            "occurred_at": datetime.now(UTC).isoformat(),
        }
        self._producer.produce(self._topics.credential_topic, key=credential_id, value=json.dumps(told_of).encode())
        return []

    def _publish_event(self, message: Message) -> None:
        self._producer.produce(self._topics.events_topic, key=message.key, value=message.value)


def _reached(age: timedelta | None, least: timedelta) -> bool:
    return age is not None and age >= least
