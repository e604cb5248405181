"""`breakwater run`: the monitor (spec 80.1)."""

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import (
    PoliciesFile,
    fail_usage,
    read_baselines_option,
    read_policies,
    read_registry_option,
)
from config.auth_errors import load_auth_errors
from config.credit_profiles import load_profile
from config.durations import parse_duration
from config.logs import configure_logs
from config.settings import Settings, load_settings
from dataflows.detectors.policies import BreakerChange
from dataflows.engine.cluster import lane_folder, open_recovery, run_cluster, run_process
from dataflows.engine.credit_logic import PARTS, credit_logic
from dataflows.engine.detector_sets import CreditFactory, DetectorFactory
from dataflows.engine.garbage import settle
from dataflows.engine.host import Host
from dataflows.engine.lane import Lane
from dataflows.engine.memory import Room
from dataflows.engine.state_files import UnusableStoreError
from dataflows.engine.watermarks import Watermark
from dataflows.events import BaselinesUpdated
from dataflows.monitor import DEAD_LETTERS_STEP, build_flow
from dataflows.registry import Registry
from dataflows.sources.stop import StopRequest
from dataflows.times import micros

#: Makes a lane from its name and its snapshot.
NewHost = Callable[[str, bytes | None], Host]

#: Where the second stage keeps its state, within a recovery store.
CREDITS = "credits"

#: Where a recovery store says for how many lanes it was made.
LANES = "kafka_lanes"

#: The file of decisions that can never be applied.
DEAD_DECISIONS = "decisions.dead_letter.ndjson"


def run(
    source: Annotated[str, typer.Option(help="kafka, or file:PATH (a file, or a folder of partitions).")] = "kafka",
    sink: Annotated[str, typer.Option(help="services, or file:PATH.")] = "services",
    recovery: Annotated[
        Path | None,
        typer.Option(help="Folder of the recovery store; made if it is not there.", metavar="DIR"),
    ] = None,
    processes: Annotated[int, typer.Option(help="Processes on this machine.", min=1, max=64)] = 1,
    policies: PoliciesFile = None,
    registry: Annotated[
        Path | None,
        typer.Option(
            help="Who owns which version; else the database, with services, or nobody checks.", metavar="FILE"
        ),
    ] = None,
    baselines: Annotated[
        Path | None,
        typer.Option(help="Approved baselines of scenarios; else the database's, with services.", metavar="FILE"),
    ] = None,
    dead_letters: Annotated[
        Path | None,
        typer.Option(
            help="File for messages that can't be used (with kafka, their topic by default). Decisions that services "
            f"can't apply go into {DEAD_DECISIONS} beside it; by default to their topic, or with a file as source "
            "into the recovery folder, or the current one.",
            metavar="FILE",
        ),
    ] = None,
    allowed_lateness: Annotated[
        str | None,
        typer.Option(help="Disorder that changes no decision; the setting's by default.", metavar="DURATION"),
    ] = None,
    snapshot_interval: Annotated[
        str | None, typer.Option(help="What a restart repeats at most; the setting's by default.", metavar="DURATION")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Serve /metrics on this port (in a cluster, process N on this + N).")
    ] = None,
    credit_runs: Annotated[
        Path | None,
        typer.Option(help="File for the records of runs with credits; else the ledger, with services.", metavar="FILE"),
    ] = None,
    process: Annotated[int | None, typer.Option(help="This process's number in a cluster.", min=0)] = None,
    addresses: Annotated[
        str | None, typer.Option(help="All processes of the cluster, host:port, separated by ;")
    ] = None,
) -> None:
    """Run the monitor: read run events, decide, hand decisions to a sink."""
    settings = load_settings()
    configure_logs(settings.log_format)
    lateness = _duration("--allowed-lateness", allowed_lateness) or settings.stream.allowed_lateness
    interval = _duration("--snapshot-interval", snapshot_interval) or settings.stream.snapshot_interval
    rules = read_policies(policies, lateness)
    if recovery is not None:
        open_recovery(recovery)
    if processes > 1:
        if addresses is not None:
            fail_usage("--processes starts a cluster of its own, --addresses joins one: give one of them")
        sys.exit(run_cluster([sys.executable, "-m", "cli", *_without_processes(sys.argv[1:])], processes))
    if (process is None) != (addresses is None):
        fail_usage("--process and --addresses go together")
    stop = StopRequest()
    stop.listen()
    settle()
    bindings = _registry(settings, registry, sink, stop)
    approved = read_baselines_option(baselines)
    earlier = _earlier_baselines(settings, baselines, sink, stop, recovery)
    detectors = DetectorFactory(rules, load_auth_errors(), micros(lateness))
    room = Room()
    changes = _breaker_changes(settings, sink, stop)

    def new_host(name: str, snapshot: bytes | None) -> Host:
        def new_lane() -> Lane:
            return Lane(detectors.of, room, Watermark(micros(lateness)), detectors.resolution, changes)

        if recovery is None:
            return Host(new_lane, snapshot, is_lasting=False, name=name)
        return Host(new_lane, snapshot, lane_folder(recovery, name), name=name)

    if metrics_port is not None:
        _serve_metrics(settings, metrics_port + (process or 0))
    read_from = _source(settings, source, bindings, new_host, stop, recovery)
    letters, letters_step = _dead_letter_sink(settings, dead_letters, source, sink, stop, process or 0, addresses)
    lanes = len(read_from.list_parts())
    dead_decisions = _dead_decisions(dead_letters, source, recovery)
    records_to = _credit_runs_sink(settings, credit_runs, sink, stop, dead_decisions)
    credits_ = CreditFactory(
        rules, load_profile, keeps_records=records_to is not None, baselines=approved, earlier=earlier
    )
    flow = build_flow(
        read_from,
        detectors.of_stream(lanes),
        _sink(settings, sink, stop, dead_decisions),
        letters,
        letters_step,
        second_stage=credit_logic(
            lambda part: credits_.stage(lanes, part, PARTS),
            None if recovery is None else lambda part: recovery / CREDITS / str(part),
            is_lasting=recovery is not None,
        ),
        credit_runs_to=records_to,
    )
    try:
        run_process(
            flow,
            recovery=recovery,
            snapshot_interval=interval,
            process=process or 0,
            addresses=[] if addresses is None else addresses.split(";"),
        )
    except UnusableStoreError as error:
        fail_usage(f"--recovery: {error}")
    if stop.begins_anew:
        # As the same process, which is the one that a supervisor knows.
        os.execv(sys.executable, [sys.executable, "-m", "cli", *sys.argv[1:]])  # noqa: S606  (our own command line)


def _source(
    settings: Settings, name: str, bindings: Registry, new_host: NewHost, stop: StopRequest, recovery: Path | None
) -> Any:
    if name == "kafka":
        return _kafka_source(settings, bindings, new_host, stop, recovery)
    kind, _, rest = name.partition(":")
    if kind != "file" or not rest:
        fail_usage(f"--source: {name!r} is neither kafka nor file:PATH")
    from dataflows.sources.files import FileSource

    try:
        source = FileSource(Path(rest), lambda: bindings, new_host, stop)
    except OSError as error:
        fail_usage(f"--source: {error}")
    return source


def _kafka_source(
    settings: Settings, bindings: Registry, new_host: NewHost, stop: StopRequest, recovery: Path | None
) -> Any:
    from dataflows.sources.growth import watch_growth
    from dataflows.sources.kafka import KafkaSource
    from dataflows.sources.topics import BrokerAwayError, LaneCount, UnreadableTopicsError

    try:
        source = KafkaSource(
            settings.kafka,
            lambda: bindings,
            new_host=new_host,
            max_future_skew=micros(settings.stream.max_future_skew),
            stop=stop,
            registry_patience=micros(settings.stream.registry_patience),
            lane_count=LaneCount(None if recovery is None else recovery / LANES),
        )
    except BrokerAwayError as error:
        typer.echo(f"breakwater: --source: {error}", err=True)
        raise typer.Exit(1) from None
    except UnreadableTopicsError as error:
        fail_usage(f"--source: {error}")
    watch_growth(settings.kafka, source.topics, stop)
    return source


def _registry(settings: Settings, path: Path | None, sink: str, stop: StopRequest) -> Registry:
    """The file's, where one is given; with the services at hand the one that they keep."""
    if path is not None or sink != "services":
        return read_registry_option(path)
    from cli.registry import DatabaseRegistry

    registry = DatabaseRegistry(
        _engine(settings), lambda: stop.requested, max_bindings=settings.stream.registry_cache_size
    )
    registry.listen()
    return registry


def _breaker_changes(settings: Settings, sink: str, stop: StopRequest) -> list[BreakerChange]:
    """What was set by hand so far, with the services at hand; what is set later comes by the stream."""
    if sink != "services":
        return []
    from cli.breaker_changes import breaker_changes

    engine = _engine(settings)
    try:
        return breaker_changes(engine, lambda: stop.requested)
    finally:
        engine.dispose()


def _earlier_baselines(
    settings: Settings, path: Path | None, sink: str, stop: StopRequest, recovery: Path | None
) -> list[BaselinesUpdated]:
    """The file's alone, where one is given; with the services at hand what they keep."""
    if path is not None or sink != "services":
        return []
    from cli.earlier_baselines import earlier_baselines

    engine = _engine(settings)
    try:
        return earlier_baselines(engine, lambda: stop.requested, recovery)
    finally:
        engine.dispose()


def _engine(settings: Settings) -> Any:
    from config.database import make_engine

    return make_engine(settings.postgres)


def _sink(settings: Settings, name: str, stop: StopRequest, dead_decisions: Path | None) -> Any:
    if name == "services":
        return _services(settings, stop, dead_decisions)
    kind, _, rest = name.partition(":")
    if kind != "file" or not rest:
        fail_usage(f"--sink: {name!r} is neither services nor file:PATH")
    from sinks.files import decision_sink

    return decision_sink(Path(rest))


def _credit_runs_sink(
    settings: Settings, path: Path | None, sink: str, stop: StopRequest, dead_decisions: Path | None
) -> Any:
    """A file where one is named, else the ledger where the services are at hand."""
    if path is not None:
        from sinks.files import credit_run_sink

        return credit_run_sink(path)
    if sink != "services":
        return None
    from sinks.bytewax_adaptor import credit_ledger

    return credit_ledger(settings, lambda: _dead_writer(settings, dead_decisions), lambda: stop.requested)


def _services(settings: Settings, stop: StopRequest, dead_decisions: Path | None) -> Any:
    from sinks.bytewax_adaptor import decision_services

    return decision_services(settings, lambda: _dead_writer(settings, dead_decisions), lambda: stop.requested)


def _dead_writer(settings: Settings, path: Path | None) -> Any:
    """Where goes what can never be applied."""
    from sinks.dead_decisions import to_file, to_topic

    return to_topic(settings.kafka) if path is None else to_file(path)


def _dead_decisions(dead_letters: Path | None, source: str, recovery: Path | None) -> Path | None:
    """The file of decisions that can't be applied; None for their topic, since only `kafka` has a broker at hand."""
    if dead_letters is not None:
        return dead_letters.parent / DEAD_DECISIONS
    return None if source == "kafka" else (recovery or Path()) / DEAD_DECISIONS


def _dead_letter_sink(
    settings: Settings,
    path: Path | None,
    source: str,
    sink: str,
    stop: StopRequest,
    process: int,
    addresses: str | None,
) -> tuple[Any, str]:
    """A file where one is named; with Kafka their topic, and with the services at hand a row of each as well.

    With it comes the name of its step.
    """
    from sinks.files import NoSink, dead_letter_sink

    if path is not None:
        return dead_letter_sink(path), DEAD_LETTERS_STEP
    if source != "kafka":
        return NoSink(), DEAD_LETTERS_STEP
    from sinks.kafka import DeadLetterSink, DeadLetterTopic

    if sink != "services":
        return DeadLetterSink(settings.kafka), DEAD_LETTERS_STEP
    from sinks.dead_letter_records import STEP, RecordedDeadLetters

    recorded = RecordedDeadLetters(
        lambda: DeadLetterTopic(settings.kafka).write,
        lambda: _engine(settings),
        lambda: stop.requested,
        process=process,
        processes=1 if addresses is None else len(addresses.split(";")),
    )
    return recorded, STEP


def _serve_metrics(settings: Settings, port: int) -> None:
    from prometheus_client import start_http_server

    try:
        start_http_server(port, addr=settings.http.host)
    except OSError as error:
        fail_usage(f"--metrics-port: {port}: {error.strerror}")


def _duration(option: str, text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        fail_usage(f"{option}: {error}")


def _without_processes(arguments: list[str]) -> list[str]:
    """The command line of one process of the cluster."""
    kept = []
    skip = False
    for argument in arguments:
        if skip or argument.startswith("--processes="):
            skip = False
        elif argument == "--processes":
            skip = True
        else:
            kept.append(argument)
    return kept
