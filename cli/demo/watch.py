"""What has become of the stream so far, read from the database: the same rows that the console shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.ledger import tenants_in_ledger, verify
from lifecycle.kinds import AdmissionVerdict, Audience, CaseStatus, Channel, NotificationStatus

_IS_ADMITTED = (tables.admissions.c.verdict == AdmissionVerdict.ADMITTED) & (
    sa.cast(tables.admissions.c.execution_id, sa.Text) == tables.credit_runs.c.execution_id
)


@dataclass(frozen=True)
class Totals:
    """Counts of rows."""

    decisions: int
    tasks: int
    in_app: int
    emails_delivered: int
    emails_taken_back: int


@dataclass(frozen=True)
class LedgerCheck:
    """What the chains of the ledger were found to be."""

    runs: int
    chains: int
    #: Tenants whose chain does not hold.
    broken: list[str]


class Watch:
    """Remembers what it has shown already; each row is news once."""

    def __init__(self, engine: sa.Engine) -> None:
        """Reads only."""
        self._engine = engine
        self._seen: set[str] = set()

    def decisions(self) -> Sequence[sa.Row[tuple[object, ...]]]:
        """Decisions that were not there before, in the order of recording.

        With the names of whom they concern, and how many events are their evidence.
        """
        decisions, tenants, workflows = tables.decisions, tables.tenants, tables.workflows
        evidence = tables.decision_evidence.c
        count = (
            sa.select(sa.func.count())
            .where(evidence.decision_id == decisions.c.decision_id)
            .scalar_subquery()
            .label("evidence_count")
        )
        query = (
            sa.select(decisions, tenants.c.name.label("tenant_name"), workflows.c.name.label("workflow_name"), count)
            .join_from(decisions, tenants, tenants.c.id == decisions.c.tenant_id, isouter=True)
            .join(workflows, workflows.c.workflow_id == decisions.c.workflow_id, isouter=True)
            .order_by(decisions.c.recorded_at, decisions.c.occurred_at)
        )
        return self._new(query, lambda row: str(row.decision_id))

    def moves(self) -> Sequence[sa.Row[tuple[object, ...]]]:
        """Steps of versions that were not there before, in their order, with the names of tenant and automation."""
        history, versions = tables.automation_versions_status_history, tables.automation_versions
        automations, tenants = tables.automations, tables.tenants
        query = (
            sa.select(
                history,
                versions.c.version,
                automations.c.name.label("automation_name"),
                tenants.c.name.label("tenant_name"),
            )
            .join(versions, versions.c.id == history.c.automation_version_id)
            .join(automations, automations.c.id == versions.c.automation_id)
            .join(tenants, tenants.c.id == history.c.tenant_id)
            .where(history.c.from_status.is_not(None))
            .order_by(history.c.id)
        )
        return self._new(query, lambda row: f"move {row.id}")

    def incidents(self) -> Sequence[sa.Row[tuple[object, ...]]]:
        """Provider incidents that have begun or ended, oldest first, with what they took back."""
        incidents, holds, stops = tables.provider_incidents, tables.holds.c, tables.automatic_stops.c
        notifications = tables.notifications.c
        undone = sa.select(holds.decision_id).where(holds.incident_id == incidents.c.id, holds.undone)
        mails = sa.select(sa.func.count()).where(
            notifications.audience == Audience.CLIENT,
            notifications.channel == Channel.EMAIL,
            notifications.status == NotificationStatus.CANCELLED,
            # Of the blocks, not of their ends.
            notifications.decision_id.in_(undone.correlate(incidents)),
        )
        query = sa.select(
            incidents,
            sa.select(sa.func.count(sa.distinct(stops.episode_id)))
            .where(stops.decision_id.in_(undone.correlate(incidents)))
            .scalar_subquery()
            .label("undone_count"),
            mails.correlate(incidents).scalar_subquery().label("mail_count"),
        ).order_by(incidents.c.opened_at)
        return self._new(query, lambda row: f"incident {row.id} {row.closed_at is None}")

    def refusals(self) -> Sequence[sa.Row[tuple[object, ...]]]:
        """Runs that the admission gate did not let start, oldest first, with whose they were to be."""
        admissions, workflows, tenants = tables.admissions, tables.workflows, tables.tenants
        query = (
            sa.select(admissions, workflows.c.name.label("workflow_name"), tenants.c.name.label("tenant_name"))
            .join(workflows, workflows.c.workflow_id == admissions.c.workflow_id)
            .join(tenants, tenants.c.id == admissions.c.tenant_id)
            .where(admissions.c.verdict == AdmissionVerdict.REFUSED)
            .order_by(admissions.c.decided_at)
        )
        return self._new(query, lambda row: str(row.execution_id))

    def admitted_runs(self) -> Sequence[sa.Row[tuple[object, ...]]]:
        """Rows of the ledger about runs that the gate admitted, as they ended."""
        runs, workflows, tenants = tables.credit_runs, tables.workflows, tables.tenants
        query = (
            sa.select(runs, workflows.c.name.label("workflow_name"), tenants.c.name.label("tenant_name"))
            .join(tables.admissions, _IS_ADMITTED)
            .join(workflows, workflows.c.workflow_id == runs.c.workflow_id)
            .join(tenants, tenants.c.id == runs.c.tenant_id)
            .order_by(runs.c.recorded_at)
        )
        return self._new(query, lambda row: f"run {row.execution_id}")

    def cases(self) -> Sequence[sa.Row[tuple[object, ...]]]:
        """Credit cases that were not there before, or are graver now."""
        cases, tenants = tables.credit_cases, tables.tenants
        query = (
            sa.select(cases, tenants.c.name.label("tenant_name"))
            .join(tenants, tenants.c.id == cases.c.tenant_id)
            .order_by(cases.c.raised_at)
        )
        return self._new(query, lambda row: f"case {row.id} {row.severity}")

    def tasks(self) -> Sequence[sa.Row[tuple[object, ...]]]:
        """Tasks that were not there before, oldest first."""
        query = sa.select(tables.tasks).order_by(tables.tasks.c.created_at, tables.tasks.c.id)
        return self._new(query, lambda row: str(row.id))

    def system_names(self) -> dict[str, str]:
        """Display names by key."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(tables.systems.c.system_key, tables.systems.c.display_name))
            return {row.system_key: row.display_name for row in rows}

    def blocked_for(self, automation_version_id: str) -> timedelta | None:
        """How long a version has been Blocked; None while it is not."""
        versions = tables.automation_versions.c
        age = sa.func.clock_timestamp() - versions.blocked_at
        with self._engine.connect() as connection:
            found: timedelta | None = connection.execute(
                sa.select(age).where(versions.id == automation_version_id)
            ).scalar()
            return found

    def blacklisted_for(self, workflow_id: str) -> timedelta | None:
        """How long a workflow has been on the blacklist; None while it is not."""
        listed = tables.workflow_blacklist.c
        age = sa.func.clock_timestamp() - listed.blacklisted_at
        with self._engine.connect() as connection:
            found: timedelta | None = connection.execute(
                sa.select(age).where(listed.workflow_id == workflow_id, listed.removed_at.is_(None))
            ).scalar()
            return found

    def case_open_for(self, tenant_id: str) -> timedelta | None:
        """How long a tenant has had an open credit case; None while it has none."""
        cases = tables.credit_cases.c
        age = sa.func.clock_timestamp() - cases.opened_at
        with self._engine.connect() as connection:
            found: timedelta | None = connection.execute(
                sa.select(age).where(cases.tenant_id == tenant_id, cases.status != CaseStatus.RESOLVED)
            ).scalar()
            return found

    def open_case(self, tenant_id: str) -> str | None:
        """The name of a tenant's open credit case; None when there is none."""
        cases = tables.credit_cases.c
        with self._engine.connect() as connection:
            found: str | None = connection.execute(
                sa.select(cases.case_id).where(cases.tenant_id == tenant_id, cases.status != CaseStatus.RESOLVED)
            ).scalar()
            return found

    def has_ended_admitted(self) -> bool:
        """Whether a run that the gate admitted is in the ledger."""
        query = sa.select(sa.exists().where(_IS_ADMITTED))
        with self._engine.connect() as connection:
            return bool(connection.execute(query).scalar_one())

    def check_ledger(self) -> LedgerCheck:
        """Compute each hash of the ledger again; 20 µs a row."""
        with self._engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            tenants = tenants_in_ledger(connection)
            return LedgerCheck(
                runs=connection.execute(sa.select(sa.func.count()).select_from(tables.credit_runs)).scalar_one(),
                chains=len(tenants),
                broken=[tenant_id for tenant_id in tenants if verify(connection, tenant_id) is not None],
            )

    def totals(self) -> Totals:
        """How much there is by now."""
        notifications = tables.notifications.c
        is_email = notifications.channel == Channel.EMAIL
        with self._engine.connect() as connection:

            def count(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
                query = sa.select(sa.func.count()).select_from(table).where(*conditions)
                return int(connection.execute(query).scalar_one())

            return Totals(
                decisions=count(tables.decisions),
                tasks=count(tables.tasks),
                in_app=count(tables.notifications, notifications.channel == Channel.IN_APP),
                emails_delivered=count(
                    tables.notifications, is_email, notifications.status == NotificationStatus.DELIVERED
                ),
                emails_taken_back=count(
                    tables.notifications, is_email, notifications.status == NotificationStatus.CANCELLED
                ),
            )

    def _new(
        self, query: sa.Select[tuple[object, ...]], key: Callable[[sa.Row[tuple[object, ...]]], str]
    ) -> list[sa.Row[tuple[object, ...]]]:
        with self._engine.connect() as connection:
            rows = [row for row in connection.execute(query) if key(row) not in self._seen]
        self._seen.update(key(row) for row in rows)
        return rows
