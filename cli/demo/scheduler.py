"""The platform's scheduler: it asks the admission gate before each run, and starts those that are admitted."""

from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus

from cli.demo.acts import told
from cli.demo.api_client import ApiClient
from cli.demo.cast import Workflow
from cli.demo.narration import Line
from cli.demo.scenario import Message, event, success
from lifecycle.capabilities import Role
from lifecycle.kinds import Trigger


class Scheduler:
    """Asks for the runs of one workflow, and reports of those that it started as the platform does."""

    def __init__(self, api: ApiClient, publish: Callable[[Message], None], workflow: Workflow) -> None:
        """`publish` writes a run event to its topic."""
        self._api = api
        self._publish = publish
        self._workflow = workflow
        self._wanted = 1
        self._execution_id = ""

    def ask(self) -> list[Line] | None:
        """Ask whether the next run may start; if so, start it. None when the gate can't say now."""
        answer = self._api.ask(
            "POST",
            "/v1/executions",
            {
                "workflow_id": self._workflow.workflow_id,
                "trigger": Trigger.SCHEDULE,
                "idempotency_key": f"{self._workflow.workflow_id}:{self._wanted}",
            },
            subject="service:scheduler",
            role=Role.SERVICE,
        )
        if answer is not None and answer.code == HTTPStatus.CREATED:
            self._execution_id = answer.body["execution_id"]
            self._publish(
                event(self._workflow, self._label, "started", datetime.now(UTC), execution_id=self._execution_id)
            )
        elif answer is not None:
            # A refusal is final: the next time another run is wanted.
            self._wanted += 1
        return told(answer, lambda body: f"{body['verdict']} as {body['execution_id']}")

    def end(self) -> list[Line]:
        """The run that was started ends well; whether it is heard of is for others to say."""
        cost = self._workflow.credits
        self._publish(
            success(
                self._workflow,
                self._label,
                datetime.now(UTC),
                credits_total=cost,
                execution_id=self._execution_id,
            )
        )
        return []

    @property
    def _label(self) -> str:
        return f"asked{self._wanted}"
