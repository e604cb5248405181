"""What must hold before a version may move: read from rows, all that is missing at once (30.1, 30.8)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credential_checks import unverified
from lifecycle.errors import Detail, ErrorCode, LifecycleError
from lifecycle.kinds import (
    BLOCKING_TASK_KINDS,
    OPEN_TASK_STATUSES,
    ArtifactKind,
    BindingStatus,
    QuoteStatus,
    TaskKind,
    TaskStatus,
)
from lifecycle.options import LifecycleOptions
from lifecycle.statuses import Prerequisite, Status, Transition
from lifecycle.versions import LockedVersion

_tasks = tables.tasks.c
_versions = tables.automation_versions.c


@dataclass(frozen=True, slots=True)
class Asked:
    """What a prerequisite is judged on."""

    connection: sa.Connection
    version: LockedVersion
    options: LifecycleOptions
    #: What the one who asks gave as the reason; empty is none.
    reason: str = ""


def unmet(asked: Asked, prerequisites: Iterable[Prerequisite]) -> list[Detail]:
    """What is missing, in the table's order; nothing when all holds."""
    return [
        Detail(prerequisite, _FIELDS.get(prerequisite), fault)
        for prerequisite in prerequisites
        if (fault := _CHECKS[prerequisite](asked)) is not None
    ]


def check(asked: Asked, transition: Transition) -> None:
    """Raise a `LifecycleError` with everything that is missing; its code names a row that isn't there at all."""
    missing = unmet(asked, transition.prerequisites)
    if not missing:
        return
    code = next((_CODES[detail.code] for detail in missing if detail.code in _CODES), None)
    if (
        code is None
        and asked.version.quote is None
        and any(detail.code == Prerequisite.LATEST_QUOTE_SIGNED for detail in missing)
    ):
        code = ErrorCode.QUOTE_MISSING_FOR_TRANSITION
    raise LifecycleError(
        code or ErrorCode.STATUS_PREREQUISITE_MISSING, "This can't be done yet; see what is missing.", missing
    )


def _project(asked: Asked) -> str | None:
    return None if asked.version.project_id is not None else "There is no project for this version. Create one first."


def _quote(asked: Asked) -> str | None:
    quote = asked.version.quote
    if quote is None:
        return "The project has no quote."
    return None if quote.status is QuoteStatus.SIGNED else f"The latest quote is {quote.status}, not signed."


def _payment(asked: Asked) -> str | None:
    config, payments = tables.pricing_config.c, tables.payments.c
    required = asked.connection.execute(
        sa.select(config.payment_required).where(config.tenant_id == asked.version.tenant_id)
    ).scalar()
    if not (asked.options.payment_required if required is None else required):
        return None
    paid = asked.connection.execute(
        sa.select(payments.id)
        .where(payments.tenant_id == asked.version.tenant_id, payments.project_id == asked.version.project_id)
        .limit(1)
    ).first()
    return None if paid is not None else "No payment is recorded, and the pricing asks for one."


def _build_checklist(asked: Asked) -> str | None:
    return _all_complete(
        asked,
        TaskKind.BUILD_CHECKLIST,
        sa.and_(_tasks.project_id == asked.version.project_id, _tasks.project_id.is_not(None)),
    )


def _qa_checklist(asked: Asked) -> str | None:
    return _all_complete(asked, TaskKind.QA_CHECKLIST, _tasks.automation_version_id == asked.version.id)


def _all_complete(asked: Asked, kind: TaskKind, whose: sa.ColumnElement[bool]) -> str | None:
    total, complete = asked.connection.execute(
        sa.select(sa.func.count(), sa.func.count().filter(_tasks.status == TaskStatus.COMPLETE)).where(
            _tasks.tenant_id == asked.version.tenant_id, _tasks.kind == kind, whose,
            _tasks.status != TaskStatus.CANCELLED,
        )
    ).one()  # fmt: skip
    name = kind.replace("_", " ")
    if not total:
        return f"There is no {name}."
    return None if complete == total else f"The {name} is not complete: {complete} of {total}."


def _artifacts(asked: Asked) -> str | None:
    return _attached(asked, ArtifactKind.ARTIFACT, ArtifactKind.RUNBOOK)


def _plans(asked: Asked) -> str | None:
    return _attached(asked, ArtifactKind.DEPLOYMENT_PLAN, ArtifactKind.ROLLBACK_PLAN)


def _attached(asked: Asked, *kinds: ArtifactKind) -> str | None:
    artifacts = tables.project_artifacts.c
    found = set(
        asked.connection.execute(
            sa.select(artifacts.kind).where(
                artifacts.tenant_id == asked.version.tenant_id,
                artifacts.project_id == asked.version.project_id,
                artifacts.kind.in_(kinds),
            )
        ).scalars()
    )
    missing = [kind.replace("_", " ") for kind in kinds if kind not in found]
    return f"Not attached to the project: {', '.join(missing)}." if missing else None


def _pass_rate(asked: Asked) -> str | None:
    results = tables.qa_results.c
    rate = asked.connection.execute(
        sa.select(results.pass_rate)
        .where(results.tenant_id == asked.version.tenant_id, results.automation_version_id == asked.version.id)
        .order_by(results.recorded_at.desc(), results.id.desc())
        .limit(1)
    ).scalar()
    if rate is None:
        return "There is no test result."
    needed = asked.options.min_pass_rate
    return None if rate >= needed else f"{rate:.1%} of the tests pass; {needed:.1%} must."


def _reason(asked: Asked) -> str | None:
    return None if asked.reason.strip() else "Say why."


def _remediation(asked: Asked) -> str | None:
    count = asked.connection.execute(
        sa.select(sa.func.count()).where(
            _tasks.tenant_id == asked.version.tenant_id,
            _tasks.automation_version_id == asked.version.id,
            _tasks.kind.in_(BLOCKING_TASK_KINDS),
            _tasks.status.in_(OPEN_TASK_STATUSES),
        )
    ).scalar_one()
    return None if not count else f"Tasks of the block that are still open: {count}."


def _binding(asked: Asked) -> str | None:
    binding = asked.version.binding
    if binding is None:
        return "The version is not bound to a workflow."
    usable = (BindingStatus.PROVISIONED, BindingStatus.ACTIVE)
    return None if binding.status in usable else f"The workflow binding is {binding.status}, not provisioned."


def _no_active_binding(asked: Asked) -> str | None:
    binding = asked.version.binding
    if binding is None or binding.status is not BindingStatus.ACTIVE:
        return None
    return "The workflow still runs; it is switched off first."


def _no_other_live(asked: Asked) -> str | None:
    version = asked.version
    which = {"tenant": version.tenant_id, "automation": version.automation_id, "version": version.id}
    other = asked.connection.execute(_OTHER_LIVE, which).scalar()
    return None if other is None else f"Version {other} of this automation is Live."


def _credentials(asked: Asked) -> str | None:
    details = unverified(asked.connection, asked.version)
    return None if not details else " ".join(detail.message for detail in details)


_OTHER_LIVE = sa.select(_versions.version).where(
    _versions.tenant_id == sa.bindparam("tenant"),
    _versions.automation_id == sa.bindparam("automation"),
    _versions.id != sa.bindparam("version"),
    _versions.status == Status.LIVE,
)

_CHECKS: Mapping[Prerequisite, Callable[[Asked], str | None]] = {
    Prerequisite.PROJECT_EXISTS: _project,
    Prerequisite.LATEST_QUOTE_SIGNED: _quote,
    Prerequisite.PAYMENT_RECORDED: _payment,
    Prerequisite.BUILD_CHECKLIST_COMPLETE: _build_checklist,
    Prerequisite.ARTIFACTS_AND_RUNBOOK_ATTACHED: _artifacts,
    Prerequisite.QA_CHECKLIST_APPROVED: _qa_checklist,
    Prerequisite.PASS_RATE_REACHED: _pass_rate,
    Prerequisite.DEPLOYMENT_AND_ROLLBACK_PLANNED: _plans,
    Prerequisite.REASON_GIVEN: _reason,
    Prerequisite.REMEDIATION_COMPLETE: _remediation,
    Prerequisite.CREDENTIALS_VERIFIED: _credentials,
    Prerequisite.BINDING_DEPLOYABLE: _binding,
    Prerequisite.NO_OTHER_VERSION_LIVE: _no_other_live,
    Prerequisite.NO_ACTIVE_BINDING: _no_active_binding,
}

#: The part of a request that a prerequisite is about.
_FIELDS = {Prerequisite.REASON_GIVEN: "reason"}

#: What a refusal is called by, first of these that is missing; `status_prerequisite_missing` without any.
_CODES: Mapping[str, ErrorCode] = {
    Prerequisite.PROJECT_EXISTS: ErrorCode.PROJECT_MISSING_FOR_TRANSITION,
    Prerequisite.BINDING_DEPLOYABLE: ErrorCode.PRECONDITION_FAILED,
    Prerequisite.NO_OTHER_VERSION_LIVE: ErrorCode.PRECONDITION_FAILED,
}
