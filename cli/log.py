"""`breakwater log`: send one run's record to the stream, and wait for what it says of it (50.8)."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import sqlalchemy as sa
import typer
from confluent_kafka import KafkaException

from cli.classify import read_input
from cli.credit_work import By, fail_work, recorded, transaction
from cli.database import usable
from cli.options import fail_usage
from config.durations import parse_duration
from config.settings import Settings, load_settings
from dataflows.credit_classify import CreditRecord, InvalidRecordError, parse_record, read_record, typed_number
from dataflows.credit_runs import CreditAction
from dataflows.dead_letters import Unusable
from dataflows.decode import decode
from dataflows.events import RunEvent
from dataflows.interop.credit_webhook import to_run_event
from dataflows.interop.references import Reference
from lifecycle import tables
from lifecycle.credits.calendar import LOG_TIME_OUT
from lifecycle.credits.ledger_rows import COLUMNS, entries_of
from lifecycle.external_refs import AmbiguousReferenceError, find_by_external_ref
from lifecycle.kinds import CreditJob
from sinks.kafka import Record, TopicWriter
from sinks.ledger import is_record_of

_LOOK_EVERY = timedelta(milliseconds=200)
_DELIVERY = timedelta(seconds=20)
_CASE_WITHIN = timedelta(seconds=10)

_runs = tables.credit_runs.c

#: What the ledger says of a run, as it is told.
_TOLD = (
    "severity",
    "variance_multiplier",
    "misconfig_likelihood",
    "misconfig_score",
    "legit_score",
    "risk_flags",
    "risk_summary",
    "actions",
    "baseline_credits",
    "baseline_source",
)

_NEEDED = "Required without --json."

Text = Annotated[str | None, typer.Option()]
YesNo = Annotated[bool | None, typer.Option()]


def log(
    tenant: Annotated[str, typer.Option(help="Whose run it is.")],
    record: Annotated[
        str | None,
        typer.Option("--json", help="The record, JSON, - is stdin; what is told is JSON, too.", metavar="FILE"),
    ] = None,
    print_json: Annotated[bool, typer.Option("--print-json", help="Print one JSON object.")] = False,
    run_id: Annotated[str | None, typer.Option(help=_NEEDED)] = None,
    timestamp: Annotated[str | None, typer.Option(help="2026-01-31T00:00:00Z; now.")] = None,
    scenario_id: Annotated[str | None, typer.Option("--scenario-id", "--scenario", help=_NEEDED)] = None,
    scenario_name: Text = None,
    job_type: Text = None,
    status: Annotated[str | None, typer.Option(help="success by default.")] = None,
    credits_total: Annotated[str | None, typer.Option("--credits-total", "--credits", help=_NEEDED)] = None,
    credits_in: Text = None,
    credits_out: Text = None,
    model: Text = None,
    input_tokens: Text = None,
    output_tokens: Text = None,
    retry_count: Text = None,
    has_idempotency_key: YesNo = None,
    has_max_items_config: YesNo = None,
    is_batch_job: YesNo = None,
    is_backfill: YesNo = None,
    prompt_version: Text = None,
    deployment_timestamp: Text = None,
    input_item_count: Text = None,
    artifacts_link: Text = None,
    risk_flags: Annotated[list[str] | None, typer.Option("--risk-flag", help="May be given several times.")] = None,
    by: By = "operator",
    time_out: Annotated[
        str, typer.Option(help="How long to wait for what the stream says; an event that was sent stays sent.")
    ] = "60s",
) -> None:
    """Log one run with what it cost, by options or as a record, and print how it was judged."""
    options = {
        name: value
        for name, value in locals().items()
        if name not in ("tenant", "record", "print_json", "by", "time_out") and value is not None
    }
    if record is not None and options:
        fail_usage(f"--json is the whole record; leave out {', '.join(sorted(options))}")
    patience = _patience(time_out)
    parsed = _parsed(record, options)
    settings = load_settings()
    sent = _event(settings, tenant, parsed)
    with recorded(settings, CreditJob.LOG, by) as job:
        _send(settings, sent)
        told = _wait(settings, tenant, sent, patience)
        job.made = 1
    if record is not None or print_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    typer.echo(f"Severity: {told['severity']}")
    typer.echo(told["risk_summary"])
    typer.echo(f"Actions: {', '.join(told['actions'])}")
    if told["case_id"] is not None:
        typer.echo(f"Case: {told['case_id']}")


def _parsed(record: str | None, options: Mapping[str, Any]) -> CreditRecord:
    name = "the options" if record is None else record
    faults: list[str] = []
    found = None
    try:
        found = parse_record(read_input(record)) if record is not None else read_record(_document(options))
    except InvalidRecordError as error:
        faults += error.faults
    if found is not None:
        faults += [f"{field}: field required" for field in ("run_id", "scenario_id") if not getattr(found, field)]
    if faults or found is None:
        fail_usage("\n  ".join([f"{name}: invalid record", *faults]))
    return found


_NUMBERS = frozenset(
    {"credits_total", "credits_in", "credits_out", "input_tokens", "output_tokens", "retry_count", "input_item_count"}
)


def _document(options: Mapping[str, Any]) -> dict[str, Any]:
    """The record that the options make."""
    return {name: typed_number(value) if name in _NUMBERS else value for name, value in options.items()}


def _event(settings: Settings, tenant: str, record: CreditRecord) -> dict[str, Any]:
    """The run event, as the webhook would make it."""
    fields = record.model_dump(mode="json", by_alias=True, exclude_none=True)
    for name in _NUMBERS & fields.keys():
        fields[name] = float(fields[name]) if name.startswith("credits") else int(fields[name])
    fields.setdefault("status", "success")
    with transaction(settings) as connection:

        def look_up(external_ref: str) -> Reference | None:
            try:
                found = find_by_external_ref(connection, external_ref, [tenant])
            except AmbiguousReferenceError:
                fail_usage("scenario_id: several automations have this name (external_ref)")
            if found is None:
                return None
            return Reference(found.tenant_id, found.automation_version_id, found.workflow_id)

        try:
            raw = to_run_event(json.dumps(fields).encode(), tenant, datetime.now(UTC), look_up)
        except Unusable as error:
            fail_usage(str(error))
    event: dict[str, Any] = json.loads(raw)
    return event


def _send(settings: Settings, sent: Mapping[str, Any]) -> None:
    writer = TopicWriter(settings.kafka, settings.kafka.events_topic, _DELIVERY)
    key = sent.get("workflow_id", sent["automation_version_id"])
    try:
        writer.write([Record(key.encode(), json.dumps(sent).encode(), [("content-type", "application/json")])])
    except KafkaException:
        fail_work("Kafka did not take the event")


def _patience(text: str) -> timedelta:
    try:
        patience = parse_duration(text)
    except ValueError as error:
        fail_usage(f"--time-out: {error}")
    if patience > LOG_TIME_OUT:
        fail_usage("--time-out: is 60s at most")
    return patience


def _wait(settings: Settings, tenant: str, sent: Mapping[str, Any], patience: timedelta) -> dict[str, Any]:
    """What the ledger says, as soon as it does; exit 1 when it does not."""
    end = time.monotonic() + patience.total_seconds()
    engine = sa.create_engine(settings.postgres.url.get_secret_value(), poolclass=sa.NullPool, hide_parameters=True)
    try:
        with usable(fail_work), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            told = _judged(connection, tenant, sent, end)
            # The incident has a transaction of its own, which may come a moment later.
            end = min(end, time.monotonic() + _CASE_WITHIN.total_seconds())
            while CreditAction.CREATE_CASE in told["actions"] and told["case_id"] is None and time.monotonic() < end:
                time.sleep(_LOOK_EVERY.total_seconds())
                told["case_id"] = _case_of(connection, tenant, sent["execution_id"])
            return told
    except TimeoutError:
        fail_work("the event was sent, but not judged in time; see whether the monitor runs")


def _judged(connection: sa.Connection, tenant: str, sent: Mapping[str, Any], end: float) -> dict[str, Any]:
    while (told := _told(connection, tenant, sent)) is None:
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(_LOOK_EVERY.total_seconds())
    return told


def _told(connection: sa.Connection, tenant: str, sent: Mapping[str, Any]) -> dict[str, Any] | None:
    rows = connection.execute(
        sa.select(*COLUMNS).where(
            _runs.tenant_id == tenant,
            # Whatever its time: who sends a run again may have given it another one, and it counts once.
            _runs.execution_id == sent["execution_id"],
        )
    )
    entry = next((entry for entry, _ in entries_of(rows)), None)
    if entry is None:
        return None
    event = decode(json.dumps(sent).encode())
    if not isinstance(event, RunEvent) or not is_record_of(event, entry):
        fail_work("the ledger has another record of this run, and keeps it")
    told = {name: getattr(entry, name) for name in _TOLD}
    told["baseline_credits"] = None if entry.baseline_credits is None else float(entry.baseline_credits)
    told["case_id"] = _case_of(connection, tenant, sent["execution_id"])
    return told


def _case_of(connection: sa.Connection, tenant: str, execution_id: str) -> str | None:
    cases, runs = tables.credit_cases.c, tables.credit_case_runs.c
    found: str | None = connection.execute(
        sa.select(cases.case_id)
        .join(tables.credit_case_runs, (runs.tenant_id == cases.tenant_id) & (runs.case_id == cases.id))
        .where(runs.tenant_id == tenant, runs.execution_id == execution_id)
        .limit(1)
    ).scalar()
    return found
