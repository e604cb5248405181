"""One row of the ledger, and the hash that ties it to the row before it (50.1)."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import msgspec

from lifecycle.credits.case_terms import SENSITIVE_FLAGS


class LedgerEntry(msgspec.Struct, kw_only=True, gc=False):
    """A run with its cost and its classification, and its place in its tenant's chain.

    The fields stand in the order of their names, so that the canonical form needs no sorting. Times are UTC, decimals
    without an exponent and without zeros at their end (`plain`), texts without the character NUL.
    """

    actions: list[str]
    artifacts_link: str | None
    automation_version_id: str
    baseline_credits: Decimal | None
    baseline_source: str
    credits_in: Decimal | None
    credits_out: Decimal | None
    credits_total: Decimal
    deployment_timestamp: datetime | None
    event_id: str
    execution_id: str
    has_idempotency_key: bool | None
    has_max_items_config: bool | None
    input_item_count: int | None
    input_tokens: int | None
    is_backfill: bool | None
    is_batch_job: bool | None
    job_type: str
    legit_score: int
    misconfig_likelihood: str
    misconfig_score: int
    model: str | None
    occurred_at: datetime
    output_tokens: int | None
    policy_version: int
    #: Of the tenant's row before this one; the first has none.
    previous_sha256: str | None = None
    profile: str
    prompt_version: str | None
    retry_count: int | None
    risk_flags: list[str]
    risk_summary: str
    scenario: str
    scenario_id: str | None
    scenario_name: str | None
    #: From 1 on, without gaps, for each tenant.
    seq: int = 0
    severity: str
    status: str
    tenant_id: str
    #: None where nothing is known to compare with.
    variance_multiplier: float | None
    workflow_id: str


#: What is not of the sender's record: where in a chain an entry stands, how it was judged (it may be by other policies,
#: or by a monitor that knew less of the scenario), and what a sender that tries again may say anew.
_NOT_OF_THE_RECORD = (
    *("seq", "previous_sha256"),
    *("actions", "baseline_credits", "baseline_source", "legit_score", "misconfig_likelihood", "misconfig_score"),
    *("policy_version", "profile", "risk_flags", "risk_summary", "severity", "variance_multiplier"),
    *("event_id", "occurred_at"),
)

_encoder = msgspec.json.Encoder()


def plain(number: Decimal) -> Decimal:
    """The one way to write a number: no exponent, no zeros behind the last digit."""
    text = str(number)
    if "E" not in text and not ("." in text and text[-1] in "0."):
        return number
    return Decimal(format(number.normalize(), "f"))


def canonical(entry: LedgerEntry) -> bytes:
    """Its canonical JSON: names in order, no blanks, UTF-8, absent values as null, decimals as texts, times in UTC."""
    return _encoder.encode(entry)


def sha256_of(entry: LedgerEntry) -> str:
    """SHA-256 of the canonical JSON, hexadecimal. About 4 µs."""
    return hashlib.sha256(canonical(entry)).hexdigest()


def is_same_run(one: LedgerEntry, other: LedgerEntry) -> bool:
    """Whether two entries are of the same record of a run, wherever in the chain they stand, however it was judged."""
    there = {name: getattr(other, name) for name in _NOT_OF_THE_RECORD}
    return _sensitive(one) == _sensitive(other) and msgspec.structs.replace(one, **there) == other


def _sensitive(entry: LedgerEntry) -> set[str]:
    """The flags that its sender has set."""
    return {flag for flag in entry.risk_flags if flag in SENSITIVE_FLAGS}


@dataclass(frozen=True, slots=True)
class Head:
    """Where a tenant's chain ends: the last row's number and hash; 0 and None before the first."""

    seq: int = 0
    sha256: str | None = None


def link(entries: Iterable[LedgerEntry], head: Head) -> Iterator[tuple[LedgerEntry, str]]:
    """Put entries of one tenant behind a head, in their order; each with its own hash. Changes them in place."""
    seq, previous = head.seq, head.sha256
    for entry in entries:
        seq += 1
        entry.seq = seq
        entry.previous_sha256 = previous
        previous = sha256_of(entry)
        yield entry, previous


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where a chain does not hold."""

    tenant_id: str
    seq: int
    #: In words.
    what: str


def first_break(rows: Iterable[tuple[LedgerEntry, str]], head: Head, tenant_id: str) -> Break | None:
    """Check one tenant's rows, in their order, against each other and the head; None when all holds."""
    seq, previous = 0, None
    for entry, sha256 in rows:
        if entry.seq != seq + 1:
            return Break(tenant_id, seq + 1, "a row is missing")
        if entry.previous_sha256 != previous:
            return Break(tenant_id, entry.seq, "the row before it is another one than it names")
        if sha256_of(entry) != sha256:
            return Break(tenant_id, entry.seq, "the row is not what it was when it was written")
        seq, previous = entry.seq, sha256
    if seq != head.seq:
        return Break(tenant_id, seq + 1, f"the chain ends at row {seq}, and not at row {head.seq}")
    if previous != head.sha256:
        return Break(tenant_id, seq, "the row is another one than the chain's end names")
    return None
