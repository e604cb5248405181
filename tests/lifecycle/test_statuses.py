"""The status machine against a picture that anybody can check (30.1)."""

import pytest

from dataflows.events import AutomationStatus
from lifecycle.statuses import (
    AUTOMATIC_BLOCK_SOURCES,
    DELIVERY_STATUSES,
    TRANSITIONS,
    Operation,
    Status,
    find_transition,
    transitions_from,
)

#: Rows are sources, columns targets in the same order; each letter is an operation, `.` is no way.
#: u update_status, d deploy, p pause, r resume, b blocks (by hand and for credentials), a archive.
#: Blocked leads back to where it came from (`*`), which is no target of its own, and to Archived.
PICTURE = """
                         | In | NP | AC | RB | BP | QA | RL | Li | Pa | Bl | Ar
Intake in Progress       | .  | .  | .  | .  | .  | .  | .  | .  | .  | b  | a
Needs Pricing            | .  | .  | .  | .  | .  | .  | .  | .  | .  | b  | a
Awaiting Client Approval | .  | .  | .  | u  | u  | .  | .  | .  | .  | b  | a
Ready for Build          | .  | .  | .  | .  | u  | .  | .  | .  | .  | b  | a
Build in Progress        | .  | .  | .  | .  | .  | u  | .  | .  | .  | b  | a
QA & Testing             | .  | .  | .  | .  | u  | .  | u  | .  | .  | b  | a
Ready to Launch          | .  | .  | .  | .  | .  | .  | .  | d  | .  | b  | a
Live                     | .  | .  | .  | .  | .  | .  | .  | .  | p  | b  | a
Paused                   | .  | .  | .  | .  | .  | .  | .  | r  | .  | b  | a
Blocked                  | .  | .  | .  | .  | .  | .  | .  | .  | .  | .  | a
Archived                 | .  | .  | .  | .  | .  | .  | .  | .  | .  | .  | .
"""
LETTERS = {
    "u": {Operation.UPDATE_STATUS},
    "d": {Operation.DEPLOY},
    "p": {Operation.PAUSE},
    "r": {Operation.RESUME},
    "b": {Operation.BLOCK, Operation.BLOCK_FOR_CREDENTIALS},
    "a": {Operation.ARCHIVE},
    ".": set(),
}


def cells() -> list[tuple[Status, Status, set[Operation]]]:
    """The picture, read."""
    read = []
    for line in PICTURE.strip().splitlines()[1:]:
        name, *letters = (cell.strip() for cell in line.split("|"))
        read += [(Status(name), target, LETTERS[letter]) for target, letter in zip(Status, letters, strict=True)]
    return read


@pytest.mark.parametrize(
    ("source", "target", "operations"),
    [pytest.param(*cell, id=f"{cell[0]} to {cell[1]}") for cell in cells()],
)
def test_a_move_is_allowed_by_these_operations_and_no_other(
    source: Status, target: Status, operations: set[Operation]
) -> None:
    assert {operation for operation in Operation if find_transition(operation, source, target)} == operations


@pytest.mark.parametrize("source", list(Status))
def test_only_blocked_leads_back(source: Status) -> None:
    back = {operation for operation in Operation if find_transition(operation, source, None)}
    expected = {Operation.UNBLOCK, Operation.UNBLOCK_FOR_CREDENTIALS} if source is Status.BLOCKED else set()
    assert back == expected


def test_no_row_is_there_twice() -> None:
    assert len({(row.operation, row.source, row.target) for row in TRANSITIONS}) == len(TRANSITIONS)


def test_only_archived_is_an_end() -> None:
    assert [status for status in Status if not list(transitions_from(status))] == [Status.ARCHIVED]


def test_automatic_blocks_and_projects_know_only_delivery() -> None:
    assert AUTOMATIC_BLOCK_SOURCES <= DELIVERY_STATUSES
    assert {Status.PAUSED, Status.BLOCKED, Status.ARCHIVED}.isdisjoint(DELIVERY_STATUSES)


def test_the_monitor_and_the_lifecycle_use_the_same_words() -> None:
    assert [status.value for status in AutomationStatus] == [status.value for status in Status]
