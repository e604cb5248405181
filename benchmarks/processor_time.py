"""How long processes have worked, as Linux counts it: says the same on a busy machine, where the clock does not."""

import os
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")


def processor_time(root: int) -> float:
    """Seconds that a process and all that descend from it have worked, the ended ones with them.

    To 10 ms each. A descendant whose parent has ended and waited for nobody is lost.
    """
    all_of_them = {process: seen for process in _processes() if (seen := _read(process)) is not None}
    family = {root}
    while more := {process for process, (parent, _) in all_of_them.items() if parent in family} - family:
        family |= more
    return sum(all_of_them[process][1] for process in family if process in all_of_them)


def parent_of(process: int) -> int:
    """The process that started it; `ValueError` when it is gone."""
    seen = _read(process)
    if seen is None:
        raise ValueError(process)
    return seen[0]


def _processes() -> list[int]:
    return [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]


def _read(process: int) -> tuple[int, float] | None:
    """Its parent; seconds of itself, and of children that it has waited for."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), sum(int(field) for field in fields[11:15]) * _TICK
