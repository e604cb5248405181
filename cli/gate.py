"""`breakwater gate`: requests to start runs from their topic, jobs and refusals to theirs (40.5)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
import typer

from config.database import make_engine
from config.logs import configure_logs
from config.settings import Settings, load_settings
from dataflows.dead_letters import DeadLetter, DeadLetterCode, Unusable
from dataflows.engine.garbage import settle
from dataflows.gate import Admit, Asked, AwayError, GateLoop, LetterRecord
from dataflows.gate_messages import Admitted, Outcome, Refused, Repeated
from dataflows.sources.stop import StopRequest
from lifecycle.admission import admissions
from lifecycle.admission.admissions import Answer, Request
from lifecycle.admission.predicate import ERROR_CODES
from lifecycle.kinds import Trigger
from sinks.faults import Fault, classify
from sinks.kafka import to_record

#: What can't be answered, in the codes of dead letters.
_UNANSWERABLE = {
    admissions.Unanswerable.UNKNOWN_WORKFLOW: Unusable(
        DeadLetterCode.TENANT_MISMATCH, "the tenant has no such workflow"
    ),
    admissions.Unanswerable.KEY_REUSED: Unusable(
        DeadLetterCode.CONFLICTING_RUN, "idempotency_key: used for another workflow or trigger"
    ),
}


def gate(
    name: Annotated[
        str | None,
        typer.Option(
            help="What this gate is called: its own among those that run, and the same after a restart, which then"
            " takes up its work at once. Without it others wait up to 10 s for what it left."
        ),
    ] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Serve /metrics on this port.")] = None,
) -> None:
    """Answer requests to start runs; SIGTERM ends it. Several share the partitions."""
    settings = load_settings()
    configure_logs(settings.log_format)
    stop = StopRequest()
    stop.listen()
    settle()
    if metrics_port is not None:
        from prometheus_client import start_http_server

        start_http_server(metrics_port, addr=settings.http.host)
    engine = make_engine(settings.postgres, pool_size=1)
    gate_loop(settings, admit_with(engine), stop, name).run()
    engine.dispose()


def gate_loop(settings: Settings, admit: Admit, stop: StopRequest, name: str | None) -> GateLoop:
    """The loop for these settings; contacts nothing yet."""
    return GateLoop(settings.kafka, settings.gate, admit, _letter_record, lambda: stop.requested, name)


def admit_with(engine: sa.Engine) -> Admit:
    """Answer by the database, as the owner of its tables."""

    def admit(asked: Sequence[Asked]) -> Sequence[Outcome]:
        requests = [
            Request(
                workflow_id=request.workflow_id,
                trigger=Trigger(request.trigger),
                idempotency_key=request.idempotency_key,
                tenants=frozenset((request.tenant_id,)),
                parent_execution_id=request.parent_execution_id,
                position=position,
            )
            for request, position in asked
        ]
        try:
            with engine.begin() as connection:
                answers = admissions.answer(connection, requests)
        except sa.exc.SQLAlchemyError as error:
            if classify(error) in (Fault.AWAY, Fault.CONFLICT):
                raise AwayError from None
            raise
        return [_outcome(answer, request) for answer, request in zip(answers, requests, strict=True)]

    return admit


def _outcome(answer: Answer | admissions.Unanswerable, request: Request) -> Outcome:
    if not isinstance(answer, Answer):
        return _UNANSWERABLE[answer]
    if answer.position != request.position:
        return Repeated()
    if answer.code is None:
        return Admitted(answer.execution_id, answer.automation_version_id, answer.decided_at, answer.probe)
    return Refused(
        answer.execution_id,
        answer.automation_version_id,
        answer.decided_at,
        ERROR_CODES[answer.code],
        answer.code.value,
    )


def _letter_record(letter: DeadLetter, now: datetime) -> LetterRecord:
    record = to_record(letter, now)
    return LetterRecord(record.key, record.value, record.headers)
