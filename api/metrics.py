"""`/metrics`: this process's counters, and what operations watches, read from the database at the scrape (80.4)."""

from collections.abc import Iterator, Mapping

import sqlalchemy as sa
import structlog
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from api.database import Database, DatabaseOfApp
from config import metrics
from config.metrics import ReadGauge
from lifecycle.dead_letter_replays import count_replayed
from lifecycle.decisions import count_decisions
from lifecycle.kinds import CaseSeverity, DecisionKind, HoldKind, Priority, TaskKind
from lifecycle.notion.backlog import count_behind
from lifecycle.notion.kinds import NotionPart
from lifecycle.notion.outages import list_notion_outages
from lifecycle.outbox_depth import read_outbox_depth
from lifecycle.overview import read_overview

router = APIRouter()

#: Kinds of decision that this version does not know share this label.
OTHER = "other"

_log = structlog.get_logger(__name__)


@router.get("/metrics")
def scrape(_request: Request, database: DatabaseOfApp) -> Response:
    """The text format of Prometheus. While the database is away the scrape answers with what it has."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_DatabaseCollector(database))
    text = generate_latest(REGISTRY) + generate_latest(registry)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


class _DatabaseCollector(Collector):
    """Gauges of one scrape. Each label set is closed, and complete: a sum over nothing open is 0 and not absent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        """Read and yield; the database's own gauge tells whether the others are there."""
        try:
            with self._database.read() as connection:
                overview, decisions = read_overview(connection), count_decisions(connection)
                replayed = count_replayed(connection)
                failing = {outage.part: outage.failures for outage in list_notion_outages(connection)}
                behind, outbox = count_behind(connection), read_outbox_depth(connection)
        except sa.exc.SQLAlchemyError as error:
            _log.warning("scrape_without_database", error=type(error).__qualname__)
            yield _gauge(metrics.DATABASE_UP, {(): 0})
            return
        yield _gauge(metrics.DATABASE_UP, {(): 1})
        yield _gauge(metrics.AUTOMATIONS_BLOCKED, {(): overview.automations_blocked})
        yield _gauge(metrics.WORKFLOWS_BLACKLISTED, {(): overview.workflows_blacklisted})
        yield _gauge(
            metrics.TASKS_OPEN,
            {
                (kind.value, priority.value): overview.tasks_open.get((kind, priority), 0)
                for kind in TaskKind
                for priority in Priority
            },
        )
        yield _gauge(metrics.PROVIDER_INCIDENTS, {(): overview.provider_incidents})
        yield _gauge(metrics.HOLDS, {(kind.value,): overview.holds.get(kind, 0) for kind in HoldKind})
        yield _gauge(
            metrics.CASES_OPEN, {(severity.value,): overview.cases_open.get(severity, 0) for severity in CaseSeverity}
        )
        yield _gauge(metrics.NOTION_FAILING, {(part.value,): failing.get(part, 0) for part in NotionPart})
        yield _gauge(metrics.NOTION_RUNS_BEHIND, {(): behind})
        yield _gauge(metrics.OUTBOX_WAITING, {(queue,): depth.waiting for queue, depth in outbox.items()})
        yield _gauge(metrics.OUTBOX_AGE, {(queue,): depth.age.total_seconds() for queue, depth in outbox.items()})
        yield _gauge(metrics.PLATFORM_INTENTS, {(): overview.platform_intents})
        yield _gauge(metrics.DECISIONS_RECORDED, _by_kind(decisions))
        yield _gauge(metrics.DEAD_LETTERS_REPLAYED, {(code,): count for code, count in replayed.items()})


def _by_kind(decisions: Mapping[str, int]) -> dict[tuple[str, ...], int]:
    counts: dict[tuple[str, ...], int] = {(kind.value,): decisions.get(kind.value, 0) for kind in DecisionKind}
    known = {kind.value for kind in DecisionKind}
    return {**counts, (OTHER,): sum(count for kind, count in decisions.items() if kind not in known)}


def _gauge(gauge: ReadGauge, values: Mapping[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
