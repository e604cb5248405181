"""What became of a probe, as run events tell it: its end releases the workflow or closes the breaker again (40.2).

For whoever reads run events and knows which executions they are of. A probe of which nobody reads an end has failed
when its lease ends, so a reader that is late or away releases nothing by mistake.
"""

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from lifecycle.breaker.half_open import probe_failed, probe_succeeded, probes_called
from lifecycle.options import LifecycleOptions


class End(msgspec.Struct, frozen=True):
    """The end of an execution."""

    tenant_id: str
    #: None: the one that is bound to the version that ran.
    workflow_id: str | None
    execution_id: str
    #: Whether it ended well; failed and timed out are not.
    succeeded: bool


def settle_probes(connection: sa.Connection, ends: Iterable[End], *, options: LifecycleOptions) -> int:
    """Tell half-open breakers of ends, in their order; how many were of probes. The transaction is the caller's.

    One statement finds the probes, whatever the number of ends; the first end of a probe counts.
    """
    listed = list(ends)
    held = {
        (tenant_id, execution_id): workflow_id
        for tenant_id, workflow_id, execution_id in probes_called(connection, {one.execution_id for one in listed})
    }
    settled = 0
    for one in listed:
        workflow_id = held.get((one.tenant_id, one.execution_id))
        if workflow_id is None or one.workflow_id not in (None, workflow_id):
            continue
        key = (one.tenant_id, workflow_id, one.execution_id)
        now = connection.execute(sa.select(sa.func.clock_timestamp(type_=sa.DateTime(timezone=True)))).scalar_one()
        if one.succeeded:
            settled += probe_succeeded(connection, *key, now, options=options)
        else:
            settled += probe_failed(connection, *key, now)
    return settled
