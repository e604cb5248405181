"""The places where 10 and 20 can be read in two ways, one switch each, set to the most literal reading.

A difference between the product and the oracle that vanishes when one switch is turned is a question about
the specification, not a bug; one that no switch explains is a bug in one of the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Archived(Enum):
    """What `Archived` does to the executions of the version (20.2, last sentence on status changes)."""

    EXECUTIONS = "executions"
    """Those open or stuck then are unwatched for good, whatever comes of them; new ones are watched."""
    DROP = "drop"
    """Those open or stuck then are forgotten; a later heartbeat opens them anew."""
    VERSION = "version"
    """As EXECUTIONS, and every later execution of that version (or workflow) is unwatched too."""
    SINCE = "since"
    """Of that version (or workflow) only executions that begin with a `queued` or `started` later than the change
    are watched; a heartbeat that opens nothing else is of before."""


@dataclass(frozen=True)
class Readings:
    """One field per ambiguity; the default is the reading the oracle was written for."""

    duplicate_moves_watermark: bool = True
    """10: "highest `occurred_at` seen": a repeated id with another, later time is seen too."""
    controls_are_deduplicated: bool = True
    """10: a credential event has an `event_id`, so the same one twice counts once."""

    forgotten_run_claims_execution: bool = False
    """20.2: a run earlier than the unblock "counts for nothing": it does not use up its `execution_id`."""
    row_restarts_at_decision: bool = True
    """20.2: the successes in a row that arm again are those after the decision."""
    credential_evidence_has_cause: bool = False
    """20.2: evidence is streak and window "whatever the reason code"; the credential event is in neither."""
    credential_fails_its_own_system: bool = True
    """20.2: `failed_systems` of `integration_monitor` holds the reported system even with an empty window."""
    hold_removes_auth_failures_only: bool = False
    """20.2: `hold_ended` removes "that system's failures": every `failure`, whatever its reason."""
    hold_keeps_newest_time: bool = True
    """20.2: `hold_ended` is not said to touch the newest time, an unblock is."""

    late_event_opens_at_its_deadline: bool = False
    """20.3: a watermark exactly on the deadline of a late event has "already passed" it."""
    terminal_remembered_at_its_end: bool = False
    """20.3: at exactly `run_timeout` + `allowed_lateness` after the terminal event it is forgotten."""
    memory_reads_the_events_time: bool = False
    """20.3: for a late event the age of a remembered terminal is measured by the watermark."""
    second_terminal_is_remembered: bool = True
    """20.3: a second terminal event starts a memory of its own (but never one that "changes nothing")."""
    stale_activity_recovers: bool = True
    """20.3: late activity later than A recovers a stuck execution even if its own deadline is past."""
    ignored_events_are_evidence: bool = False
    """20.3: "its events" are those that opened it or came while it was open."""
    archived: Archived = Archived.EXECUTIONS

    late_release_clears_newer: bool = True
    """20.4: a release clears the whole count, also executions stuck after its own `occurred_at`."""


LITERAL = Readings()
