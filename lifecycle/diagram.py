"""The page's diagram and tables of the lifecycle, made from the code: `python -m lifecycle.diagram docs/lifecycle.md`.

Rewrites what stands between the markers of a page and leaves the rest; a test compares the page.
"""

import re
import sys
from itertools import groupby
from pathlib import Path

from lifecycle.capabilities import CAPABILITIES, Capability, Role
from lifecycle.statuses import TRANSITIONS, Operation, Status, Transition

_SECTION = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

#: Said in a note, since they lead there from nearly everywhere.
_FROM_ANYWHERE = frozenset({Operation.BLOCK, Operation.BLOCK_FOR_CREDENTIALS, Operation.ARCHIVE})


def render(page: str) -> str:
    """The page with its made sections as the code has them now; `KeyError` for a section that nobody makes."""
    return _SECTION.sub(lambda found: f"{found[1]}{_SECTIONS[found[2]]()}{found[3]}", page)


def _diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f'    state "{status}" as {status.name.lower()}' for status in Status]
    lines += ["    [*] --> intake_in_progress"]
    lines += [
        f"    {_state(row.source)} --> {_state(row.target)}: {row.operation}"
        for row in TRANSITIONS
        if row.operation not in _FROM_ANYWHERE and row.target is not None
    ]
    lines += [
        "    note right of blocked",
        "        from any status but Archived, and back to where it came from",
        "    end note",
        "    note right of archived",
        "        from any other status",
        "    end note",
        "    archived --> [*]",
        "```",
    ]
    return "".join(f"{line}\n" for line in lines)


def _state(status: Status | None) -> str:
    assert status is not None
    return status.name.lower()


def _transitions() -> str:
    lines = ["| from | to | operation | capability | prerequisites |", "| --- | --- | --- | --- | --- |"]
    lines += [_transition(list(rows)) for _, rows in groupby(TRANSITIONS, key=_same_move)]
    return "".join(f"{line}\n" for line in lines)


def _same_move(row: Transition) -> object:
    """Rows that differ in their source alone stand in one line."""
    return row.target, row.operation, row.capability, row.prerequisites


def _transition(rows: list[Transition]) -> str:
    first = rows[0]
    sources = [status for status in Status if any(row.source is status for row in rows)]
    missing = [status for status in Status if status not in sources]
    source = ", ".join(sources)
    if len(missing) <= 2:
        source = f"any but {' and '.join(missing)}"
    target = first.target or "the status that it was blocked from"
    prerequisites = ", ".join(f"`{one}`" for one in first.prerequisites) or "none"
    return f"| {source} | {target} | `{first.operation}` | `{first.capability}` | {prerequisites} |"


def _roles() -> str:
    roles = list(Role)
    lines = [f"| capability | {' | '.join(f'`{role}`' for role in roles)} |", "| --- " * (len(roles) + 1) + "|"]
    lines += [
        f"| `{capability}` | {' | '.join('yes' if capability in CAPABILITIES[role] else '' for role in roles)} |"
        for capability in Capability
    ]
    return "".join(f"{line}\n" for line in lines)


_SECTIONS = {"diagram": _diagram, "transitions": _transitions, "roles": _roles}


if __name__ == "__main__":
    written = Path(sys.argv[1])
    written.write_text(render(written.read_text()))
