"""Cursors go into links and come back from anybody."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.cursors import BadCursorError, Cursor, Order, read_cursor

cursors = st.builds(
    Cursor,
    order=st.sampled_from(Order),
    at=st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)),
    id=st.uuids().map(str),
    rank=st.integers(0, 9),
)


@given(cursors)
def test_a_cursor_comes_back_as_it_went(cursor: Cursor) -> None:
    assert read_cursor(str(cursor), cursor.order) == cursor


@given(cursors)
def test_a_cursor_fits_its_own_order_alone(cursor: Cursor) -> None:
    other = next(order for order in Order if order is not cursor.order)
    with pytest.raises(BadCursorError):
        read_cursor(str(cursor), other)


@given(st.text() | st.from_regex(r"[un]\d\.-?\d{1,30}\.[0-9a-f-]{36}", fullmatch=True), st.sampled_from(Order))
def test_any_text_is_a_cursor_or_a_bad_one(text: str, order: Order) -> None:
    try:
        cursor = read_cursor(text, order)
    except BadCursorError:
        return
    assert str(UUID(cursor.id)) == cursor.id
    assert cursor.order is order
