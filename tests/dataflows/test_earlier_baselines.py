"""Baselines that the stream does not tell of any more, and those that it tells again (50.3, decision 13)."""

import json

import pytest

from dataflows.credit_runs import BaselineSource
from dataflows.decode import decode
from dataflows.events import BaselinesUpdated
from tests.dataflows.credits_given import Line, approved, ended, replayed, some_weeks, usual


def read(line: Line) -> BaselinesUpdated:
    """A control line as an event."""
    event = decode(json.dumps(line).encode())
    assert isinstance(event, BaselinesUpdated)
    return event


def test_an_earlier_baseline_holds_from_its_event_time_on() -> None:
    lines = [*usual(), ended(1, "before", 300), ended(3, "after", 300)]
    before, after = replayed(lines, earlier=[read(approved(2, s1=300))]).records[-2:]
    assert (before.baseline_source, before.severity) == (BaselineSource.LEARNED, "SEV2")
    assert (after.baseline_source, after.severity) == (BaselineSource.APPROVED, "SEV4")


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_same_whether_the_stream_or_the_beginning_tells_of_them(seed: int) -> None:
    lines = some_weeks(seed)
    earlier = [read(line) for line in lines if "kind" in line]
    runs = [line for line in lines if "kind" not in line]
    told, known = replayed(lines), replayed(runs, earlier=earlier)
    assert len(earlier) > 2
    assert {run.baseline_source for run in told.records} >= {BaselineSource.APPROVED, BaselineSource.LEARNED}
    assert (known.records, known.decisions) == (told.records, told.decisions)
    both = replayed(lines, earlier=earlier)
    assert (both.records, both.decisions) == (told.records, told.decisions)
