"""`kill -9` of every process in turn changes nothing (80.5). The long form: `python -m benchmarks.crash`."""

import warnings
from collections import Counter
from datetime import timedelta
from pathlib import Path

from benchmarks.crash import compare
from benchmarks.crash_harness import Victim, draw_kills, why_no_apache
from benchmarks.crash_projection import Projection, differences
from benchmarks.crash_stream import make_stream


def test_after_kills_the_tables_are_those_of_an_undisturbed_run(tmp_path: Path) -> None:
    missing = why_no_apache()
    if missing:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn(f"no Apache Kafka ({missing}): the broker is not killed", stacklevel=1)
    victims = [victim for victim in Victim if victim is not Victim.KAFKA or not missing]
    faults = compare(
        tmp_path,
        make_stream(workflows=200),
        draw_kills(len(victims), victims, longest_pause=0.6, seed=1),
        processes=1,
        patience=timedelta(minutes=2),
        say=print,
        calm_apache=False,
    )
    assert faults == []


def test_the_comparison_sees_what_is_lost_and_what_is_doubled() -> None:
    def table(**lines: int) -> Projection:
        return {"tasks": Counter(lines)}

    assert differences(table(a=1, b=1), table(a=1, b=1)) == []
    assert differences(table(a=1, b=1), table(a=1)) == ["tasks: - b"]
    assert differences(table(a=1), table(a=2)) == ["tasks: + a"]
