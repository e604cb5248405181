"""How far a partition has come (10, Watermarks), and what is late."""

import pytest

from dataflows.engine.watermarks import Watermark
from dataflows.times import NEVER
from tests.given import DAY, MICROSECOND, Line, control, encode, ended, released, replay, run

L = 60


def after(*times: int) -> list[int]:
    """The watermark after each of these times, with an allowed lateness of 60."""
    watermark = Watermark(L)
    return [watermark.see(time) for time in times]


@pytest.mark.parametrize(
    ("times", "then"),
    [
        pytest.param([100], [40], id="the highest time less the lateness"),
        pytest.param([100, 101], [40, 41], id="it moves with the highest"),
        pytest.param([100, 99, 0, 100], [40, 40, 40, 40], id="and never goes back"),
        pytest.param([-100, -90], [-160, -150], id="times before the epoch are times"),
    ],
)
def test_the_watermark_follows_the_highest_time_seen(times: list[int], then: list[int]) -> None:
    assert after(*times) == then


def test_before_every_event_nothing_has_passed() -> None:
    assert Watermark(L).value == NEVER


@pytest.mark.parametrize(
    ("until", "then"),
    [
        pytest.param(NEVER, 100, id="to the highest time seen"),
        pytest.param(100, 100, id="or as far"),
        pytest.param(99, 100, id="not back"),
        pytest.param(101, 101, id="or later"),
    ],
)
def test_at_the_end_nothing_can_be_late_any_more(until: int, then: int) -> None:
    watermark = Watermark(L)
    watermark.see(100)
    watermark.finish(until)
    assert watermark.value == then


def test_an_empty_file_ends_where_it_is_told() -> None:
    watermark = Watermark(L)
    watermark.finish()
    assert watermark.value == NEVER
    watermark.finish(5)
    assert watermark.value == 5


def test_an_idle_partition_follows_the_clock_and_never_goes_back() -> None:
    watermark = Watermark(L)
    watermark.see(100)
    watermark.follow(99)
    assert watermark.value == 40
    watermark.follow(150)
    assert watermark.value == 90
    assert watermark.see(149) == 90
    assert watermark.see(151) == 91


def test_it_goes_on_from_where_it_was() -> None:
    watermark = Watermark(L, value=90, highest=100)
    assert watermark.see(100) == 90
    assert watermark.see(151) == 91


def late(*lines: Line) -> object:
    return replay([b"".join(map(encode, lines))]).summary["late"]


@pytest.mark.parametrize(
    ("given", "then"),
    [
        pytest.param([ended(1, "a"), ended(0, "b")], 0, id="exactly as late as is allowed"),
        pytest.param([ended(1 + MICROSECOND, "a"), ended(0, "b")], 1, id="a microsecond later"),
        pytest.param([ended(5, "a"), ended(4, "b"), ended(3, "c"), ended(0, "d")], 2, id="against the highest time"),
        pytest.param([ended(5, "a"), ended(0, "b", event_id="a:success:5")], 0, id="a duplicate is not counted"),
        pytest.param([control(5, "workflow_released"), ended(0, "b")], 1, id="control events move the watermark"),
        pytest.param([ended(5, "a"), released(0)], 0, id="and are not counted"),
        pytest.param(
            [ended(5, "a", error_code="WorkflowOnHold"), ended(0, "b")], 1, id="the gate's own events move it"
        ),
        pytest.param([ended(5, "a"), ended(0, "b", error_code="WorkflowOnHold")], 1, id="and are counted"),
        pytest.param([run(5, "queued", "a"), ended(0, "b", workflow_id="wf2")], 1, id="one watermark for all"),
        pytest.param([ended(5, "a", http_status=1), ended(0, "b")], 0, id="a dead letter moves nothing"),
    ],
)
def test_what_is_late(given: list[Line], then: int) -> None:
    assert late(*given) == then


def test_files_are_one_stream() -> None:
    files = [encode(ended(DAY, "a")), encode(ended(0, "b")), b"", encode(ended(DAY, "c"))]
    assert replay(files).summary == {
        "events": 3,
        "duplicates": 0,
        "late": 1,
        "dead_letters": {},
        "decisions": {},
    }
