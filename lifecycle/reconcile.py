"""Compare the bindings with the platform, and make the platform what they say (30.5)."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.intents import claim_workflow, make_platform, wanted_state
from lifecycle.kinds import BindingStatus
from lifecycle.platform import Platform, PlatformError, PlatformFault, WorkflowState
from lifecycle.results import Transact

_bindings = tables.workflow_bindings.c

#: Workflows that exist; a pending one has none, and one in error is another's to mend.
_COMPARED = (BindingStatus.PROVISIONED, BindingStatus.ACTIVE, BindingStatus.INACTIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One workflow that is not what the bindings say, or of which the platform would not tell."""

    tenant_id: str
    workflow_id: str
    wanted: WorkflowState
    #: None: the platform has no such workflow, or see `fault`.
    found: WorkflowState | None
    #: Why nothing is known, or why it was not mended.
    fault: PlatformFault | None = None
    restored: bool = False


def reconcile(transact: Transact, platform: Platform, *, apply: bool) -> Iterator[Difference]:
    """Yield every difference, by tenant and workflow; with `apply` each is mended first. One call a workflow.

    A workflow that somebody is asking the platform about is reported, and left to them or the sweeper.
    """
    with transact() as connection:
        workflows = connection.execute(
            sa.select(_bindings.tenant_id, _bindings.wrk_workflow_id)
            .where(_bindings.status.in_(_COMPARED), _bindings.wrk_workflow_id.is_not(None))
            .distinct()
            .order_by(_bindings.tenant_id, _bindings.wrk_workflow_id)
        ).all()
    for tenant_id, workflow_id in workflows:
        with transact() as connection:
            wanted = wanted_state(connection, tenant_id, workflow_id)
        found = fault = None
        try:
            found = platform.read_state(workflow_id)
        except PlatformError as error:
            fault = error.fault
        if found is wanted and fault is None:
            continue
        restored = False
        if apply and fault is None and found is not None:
            try:
                restored = _restore(transact, platform, tenant_id, workflow_id, wanted)
            except PlatformError as error:
                fault = error.fault
        yield Difference(
            tenant_id=tenant_id, workflow_id=workflow_id, wanted=wanted, found=found, fault=fault, restored=restored
        )


def _restore(transact: Transact, platform: Platform, tenant_id: str, workflow_id: str, wanted: WorkflowState) -> bool:
    # The one place that asks inside a transaction: it holds nothing but the claim, and whoever wants to deploy
    # meanwhile is refused, not kept waiting.
    with transact() as connection:
        if not claim_workflow(connection, tenant_id, workflow_id):
            return False
        if wanted_state(connection, tenant_id, workflow_id) is not wanted:
            return False
        make_platform(platform, workflow_id, wanted, idempotency_key=f"reconcile:{uuid4()}")
    return True
