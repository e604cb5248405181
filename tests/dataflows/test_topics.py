"""How partitions are dealt out to lanes, and how a recovery store keeps their number."""

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from hypothesis import given
from hypothesis import strategies as st

from cli.embedded.kafka import MockKafka
from config.settings import Kafka
from dataflows.sources.topics import LaneCount, Topics, UnreadableTopicsError, find_topics


@given(lanes=st.integers(1, 20), more=st.integers(1, 5), hashed=st.integers(0, 2**31))
def test_a_workflow_stays_in_its_lane_however_often_its_topic_is_multiplied(lanes: int, more: int, hashed: int) -> None:
    for partitions in (lanes, lanes * more):
        topics = Topics({"run_events": partitions}, lanes)
        dealt = [topics.places(lane) for lane in range(lanes)]
        assert sorted(place for places in dealt for place in places) == [("run_events", p) for p in range(partitions)]
        assert ("run_events", hashed % partitions) in dealt[hashed % lanes]


def test_topics_that_grew_one_after_the_other_are_read_side_by_side() -> None:
    assert Topics({"run_events": 4, "monitor_control": 2}, 2).places(1) == [
        ("run_events", 1),
        ("run_events", 3),
        ("monitor_control", 1),
    ]


def test_the_first_number_of_lanes_is_kept(tmp_path: Path) -> None:
    one, other = LaneCount(tmp_path / "lanes"), LaneCount(tmp_path / "lanes")
    assert (one.kept(), one.keep(12), other.keep(24), other.kept()) == (None, 12, 12, 12)
    assert [file.name for file in tmp_path.iterdir()] == ["lanes"]
    nowhere = LaneCount()
    assert (nowhere.keep(12), nowhere.kept()) == (12, None)


@pytest.mark.parametrize(
    ("events", "control", "kept", "wish", "then"),
    [
        pytest.param(6, 6, None, None, 6, id="as many lanes as partitions"),
        pytest.param(12, 6, None, None, 6, id="one topic has grown already"),
        pytest.param(12, 12, None, 6, 6, id="as the settings wish"),
        pytest.param(12, 12, 6, None, 6, id="both have grown"),
        pytest.param(6, 12, 6, None, 6, id="one has grown, the other will"),
        pytest.param(12, 12, 6, 6, 6, id="as the settings wish, still"),
        pytest.param(6, 4, None, None, "4 lanes can't share them evenly", id="cut differently"),
        pytest.param(12, 12, None, 5, "5 lanes can't share them evenly", id="a wish that does not divide"),
        pytest.param(12, 12, 6, 4, "made for 6 lanes, the settings say 4: only a new store", id="another wish"),
        pytest.param(9, 6, 6, None, "made for 6 lanes.* Let them grow to 12 partitions", id="grown to no multiple"),
        pytest.param(3, 3, 6, None, "made for 6 lanes.* Let them grow to 6 partitions", id="made anew with fewer"),
    ],
)
def test_lanes(tmp_path: Path, events: int, control: int, kept: int | None, wish: int | None, then: int | str) -> None:
    count = LaneCount(tmp_path / "lanes")
    if kept is not None:
        count.keep(kept)
    with MockKafka() as mock:
        mock.create_topic("run_events", events)
        mock.create_topic("monitor_control", control)
        kafka = Kafka(bootstrap_servers=mock.bootstrap_servers, lanes=wish)
        admin = AdminClient({"bootstrap.servers": mock.bootstrap_servers, "log_level": 2})
        if isinstance(then, int):
            assert find_topics(admin, kafka, count) == ({"run_events": events, "monitor_control": control}, then)
            assert count.kept() == then
        else:
            with pytest.raises(UnreadableTopicsError, match=then):
                find_topics(admin, kafka, count)
            assert count.kept() == kept
