"""What the guard concludes from what it has counted (30.6). Pure: no clock, no store.

Two rules. A *provider incident*: blocks for one system hit so many tenants within so short a time that the provider
is down, not the credentials. A *budget*: however many automations seem to fail, only so many are stopped without a
person within so short a time.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPolicy:
    """The guard's numbers. `ValueError` names every one that makes no sense."""

    #: So many tenants hit by one system …
    incident_tenants: int = 5
    #: … within less than this of event time are a provider incident.
    incident_window: timedelta = timedelta(minutes=10)
    #: An incident without a new failure for so long, by the database's clock, is over.
    quiet_after: timedelta = timedelta(minutes=15)
    #: So many automatic stops are always allowed …
    budget_floor: int = 10
    #: … or this share of the Live automations, if that is more …
    budget_share: Decimal = Decimal("0.05")
    #: … within this by the database's clock.
    budget_window: timedelta = timedelta(minutes=10)
    #: Mails to clients about automatic blocks wait so long, so that they can be taken back.
    client_mail_delay: timedelta = timedelta(minutes=2)

    def __post_init__(self) -> None:
        faults = [
            fault
            for fault, wrong in (
                ("incident_tenants: at least 2, or every failure is its provider's", self.incident_tenants < 2),
                ("incident_window: more than nothing", self.incident_window <= timedelta(0)),
                ("quiet_after: more than nothing", self.quiet_after <= timedelta(0)),
                ("budget_floor: at least 1, or nothing is stopped on a small platform", self.budget_floor < 1),
                ("budget_share: from 0 to 1", not 0 <= self.budget_share <= 1),
                ("budget_window: more than nothing", self.budget_window <= timedelta(0)),
                ("client_mail_delay: not negative", self.client_mail_delay < timedelta(0)),
            )
            if wrong
        ]
        if faults:
            raise ValueError("; ".join(faults))


@dataclass(frozen=True, slots=True)
class Hit:
    """A block for the system in question: whom it hit, and when (event time)."""

    tenant_id: str
    occurred_at: datetime


def tenants_hit(hits: Iterable[Hit], at: datetime, window: timedelta) -> frozenset[str]:
    """The tenants of the fullest stretch of less than `window` that holds `at`.

    Hits need no order: lanes run ahead of each other, and what counts is how close the failures were, not when
    they were told. Cost: n log n of the hits near `at`.
    """
    near = sorted((hit for hit in hits if abs(hit.occurred_at - at) < window), key=lambda hit: hit.occurred_at)
    times = [hit.occurred_at for hit in near]
    inside: Counter[str] = Counter()
    fullest: frozenset[str] = frozenset()
    begin = 0
    for end, hit in enumerate(near):
        inside[hit.tenant_id] += 1
        while times[end] - times[begin] >= window:
            gone = near[begin].tenant_id
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            begin += 1
        if begin <= bisect_left(times, at) and times[end] >= at and len(inside) > len(fullest):
            fullest = frozenset(inside)
    return fullest


def is_provider_incident(hits: Iterable[Hit], at: datetime, policy: GuardPolicy) -> bool:
    """Whether these hits, the new one at `at` among them, are a provider incident."""
    return len(tenants_hit(hits, at, policy.incident_window)) >= policy.incident_tenants


def budget(live: int, policy: GuardPolicy) -> int:
    """How many automatic stops a window may have while so many automations are Live; a broken one is no stop."""
    share = int((policy.budget_share * live).to_integral_value(ROUND_FLOOR))
    return max(policy.budget_floor, share)
