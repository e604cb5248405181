"""One spend anomaly, as a task takes it in and as people are told of it (50.9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from lifecycle.kinds import SpendRise
from lifecycle.workflows import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendAnomaly:
    """An episode, as its decision says it. Amounts are credits: of the hour (burst), or a day (drift)."""

    tenant_id: str
    #: None: the tenant's sum over all its workflows.
    workflow: Workflow | None
    decision_id: str
    #: The end of the hour or day.
    occurred_at: datetime
    rise: SpendRise
    spent: float
    expected: float
    limit: float
    #: Of a burst's hour.
    runs: int | None
    #: Ids of the workflows that rose most, where the tenant's sum did.
    risen: Sequence[str]
