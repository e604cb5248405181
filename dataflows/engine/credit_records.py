"""What a lane hands on to the second stage, and how it tells a run's record from another one."""

from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

import msgspec

from dataflows.events import GATE_ERROR_CODES, TERMINAL, BaselinesUpdated, RunEvent

#: A run with credits, or what it is compared with, as a lane hands it on. Sorted they are in the order of judgement: by
#: when that is (their event time, or how far the lane had come, if that was later), event time, whether it is a run,
#: workflow, lane, arrival there. The event itself is never compared.
Charge = tuple[int, int, bool, str, str, int, RunEvent | BaselinesUpdated]


class CreditReport(NamedTuple):
    """How far a lane has come, and what it had for the second stage since its last report."""

    lane: str
    mark: int
    charges: list[Charge]
    #: Nothing more comes from it.
    is_end: bool = False


@lru_cache(maxsize=65_536)
def part_of(tenant_id: str, parts: int) -> int:
    """Which part of the second stage has a tenant: its scenarios have to be together, for they are peers."""
    return crc32(tenant_id.encode()) % parts


def record_of(event: RunEvent) -> int:
    """Tells the record of a run's credits from others: the same number in every process, 0 for what is none. 1 µs.

    None are events that are not terminal, and those of runs that the gate refused. Neither the event's id nor its time
    is looked at: a sender that tries again may give new ones.
    """
    if event.credits_total is None or event.status not in TERMINAL or event.error_code in GATE_ERROR_CODES:
        return 0
    facts = (
        event.status,
        event.automation_version_id,
        event.scenario_id,
        event.scenario_name,
        event.job_type,
        event.credits_total,
        event.credits_in,
        event.credits_out,
        event.model,
        event.input_tokens,
        event.output_tokens,
        event.retry_count,
        event.has_idempotency_key,
        event.has_max_items_config,
        event.is_batch_job,
        event.is_backfill,
        event.prompt_version,
        event.deployment_timestamp,
        event.input_item_count,
        # A set, which a sender that tries again may write in another order.
        sorted(set(event.risk_flags)) if event.risk_flags else None,
        event.artifacts_link,
    )
    return crc32(_encode(facts)) + 1


_encode = msgspec.msgpack.Encoder().encode
