"""Ids made from what senders have instead: the same for the same parts, another for others."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.events import EVENT_ID_PATTERN
from dataflows.interop.event_ids import event_id_of

parts = st.lists(st.text(), min_size=1, max_size=4)


@given(parts, parts)
def test_an_id_names_its_parts_and_no_others(one: list[str], other: list[str]) -> None:
    assert (event_id_of(*one) == event_id_of(*other)) is (one == other)


@given(parts)
def test_an_id_is_an_event_id(one: list[str]) -> None:
    made = event_id_of(*one)
    assert re.fullmatch(EVENT_ID_PATTERN, made)
    assert len(made) <= 128


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(("ab", "c"), ("a", "bc"), id="the border between two parts counts"),
        pytest.param(("a", ""), ("a",), id="an empty part counts"),
        pytest.param(('a","b',), ("a", "b"), id="quotes are no border"),
    ],
)
def test_parts_do_not_run_into_each_other(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert event_id_of(*one) != event_id_of(*other)


def test_a_sender_can_compute_it() -> None:
    # printf '["/jobs","42"]' | sha256sum
    assert event_id_of("/jobs", "42") == "a7ff6f7c3a25c1f31121cb307a5695bb4c16dfe91ffb029f5fbc33f1014795b4"
