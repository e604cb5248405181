"""What a page shows in Notion's form, and what is read from it."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.notion.client import Option, Options, Property, Schema
from lifecycle.notion.values import Column, ColumnType, Content, Value, decode_text, encode, lay_out, plain_name

STATUS = Property("status", status=Options([Option("Next"), Option("Done")]))


def written(value: Value, kind: str | Property, column: ColumnType = ColumnType.TEXT) -> Any:
    """What becomes of a value in a column of a type."""
    property_ = kind if isinstance(kind, Property) else Property(kind)
    schema = Schema("source", {"X": property_, "Name": Property("title")})
    layout = lay_out([Column("X", column)], schema)
    return encode(Content(title="t", columns={"X": value}), layout, ["X"]).get("X", "left out")


def piece(content: str) -> dict[str, Any]:
    return {"type": "text", "text": {"content": content}}


@pytest.mark.parametrize(
    ("value", "kind", "column", "expected"),
    [
        pytest.param("a", "rich_text", ColumnType.TEXT, {"rich_text": [piece("a")]}, id="a text"),
        pytest.param(None, "rich_text", ColumnType.TEXT, {"rich_text": []}, id="no text"),
        pytest.param("a", "title", ColumnType.TEXT, {"title": [piece("a")]}, id="a text that is the title"),
        pytest.param("SEV1", "select", ColumnType.CHOICE, {"select": {"name": "SEV1"}}, id="a choice"),
        pytest.param("a, b", "select", ColumnType.CHOICE, {"select": {"name": "a; b"}}, id="a choice has no commas"),
        pytest.param("", "select", ColumnType.CHOICE, {"select": None}, id="no choice"),
        pytest.param("x" * 101, "select", ColumnType.CHOICE, {"select": {"name": "x" * 99 + "…"}}, id="a long choice"),
        pytest.param("Next", STATUS, ColumnType.CHOICE, {"status": {"name": "Next"}}, id="a status"),
        pytest.param("Soon", STATUS, ColumnType.CHOICE, "left out", id="a status that is not offered stays as it is"),
        pytest.param(
            ["a", "a", "b,c", ""],
            "multi_select",
            ColumnType.CHOICES,
            {"multi_select": [{"name": "a"}, {"name": "b;c"}]},
            id="choices are there once",
        ),
        pytest.param(Decimal("7.75"), "number", ColumnType.NUMBER, {"number": 7.75}, id="an amount"),
        pytest.param(Decimal(2480), "number", ColumnType.NUMBER, {"number": 2480}, id="a whole amount"),
        pytest.param(Decimal("1e400"), "number", ColumnType.NUMBER, {"number": None}, id="an amount beyond JSON's"),
        pytest.param(
            Decimal("0.50"), "rich_text", ColumnType.NUMBER, {"rich_text": [piece("0.5")]}, id="an amount in words"
        ),
        pytest.param(
            Decimal("1e40"), "rich_text", ColumnType.NUMBER, {"rich_text": [piece("1" + "0" * 40)]}, id="a vast amount"
        ),
        pytest.param(1200, "rich_text", ColumnType.NUMBER, {"rich_text": [piece("1200")]}, id="a count in words"),
        pytest.param(
            datetime(2026, 1, 23, 11, 30, tzinfo=timezone(timedelta(hours=1))),
            "date",
            ColumnType.TIME,
            {"date": {"start": "2026-01-23T10:30:00.000+00:00"}},
            id="a time is told in UTC",
        ),
        pytest.param(None, "date", ColumnType.TIME, {"date": None}, id="no time"),
        pytest.param("https://a.b/c", "url", ColumnType.LINK, {"url": "https://a.b/c"}, id="a link"),
        pytest.param("h" * 2001, "url", ColumnType.LINK, {"url": None}, id="a link that is too long"),
        pytest.param(["p1"], "relation", ColumnType.PAGES, {"relation": [{"id": "p1"}]}, id="another page"),
        pytest.param("a", "number", ColumnType.TEXT, "left out", id="a column of a type that can't hold it"),
    ],
)
def test_a_value_is_written_as_the_column_wants_it(value: Value, kind: Any, column: ColumnType, expected: Any) -> None:
    assert written(value, kind, column) == expected


@given(st.text(max_size=5000))
def test_no_piece_of_a_text_is_too_long_and_nothing_is_lost(value: str) -> None:
    pieces = [one["text"]["content"] for one in written(value, "rich_text")["rich_text"]]
    assert "".join(pieces) == value
    assert all(len(one.encode("utf-16-le", "surrogatepass")) // 2 <= 2000 for one in pieces)


@pytest.mark.parametrize("name", ["Case_ID", "Case ID", "CaseID", "case-id", "🧾 Case ID"])
def test_a_column_is_found_however_its_name_is_spelled(name: str) -> None:
    assert plain_name(name) == plain_name("Case_ID")


def test_a_layout_says_what_is_missing_and_what_does_not_fit() -> None:
    columns = [Column("Case_ID"), Column("Stage", ColumnType.CHOICE), Column("Fix")]
    layout = lay_out(columns, Schema("s", {"Case ID": Property("title"), "Stage": Property("number")}))
    assert [one.name for one in layout.missing] == ["Fix"]
    assert layout.unfit == {"Stage": "number"}
    assert layout.found["Case_ID"][0] == "Case ID"
    assert not layout.title_is_free


def test_a_title_that_is_no_column_of_ours_says_what_the_page_is() -> None:
    layout = lay_out([Column("Case_ID")], Schema("s", {"Name": Property("title"), "Case_ID": Property("rich_text")}))
    content = Content(title="SEV1 · Credit spike", columns={"Case_ID": "CASE-1"})
    assert encode(content, layout) == {
        "Case_ID": {"rich_text": [piece("CASE-1")]},
        "Name": {"title": [piece("SEV1 · Credit spike")]},
    }


@pytest.mark.parametrize(
    ("property_", "says"),
    [
        pytest.param({"type": "select", "select": {"name": "Wave-1 Sent"}}, "Wave-1 Sent", id="a select"),
        pytest.param({"type": "status", "status": {"name": " ✅ ALLOWED "}}, "✅ ALLOWED", id="a status"),
        pytest.param({"type": "select", "select": None}, "", id="a select that is empty"),
        pytest.param(
            {"type": "rich_text", "rich_text": [{"plain_text": "a\x00"}, {"plain_text": "b"}]}, "ab", id="text"
        ),
        pytest.param({"type": "rich_text", "rich_text": []}, "", id="an empty text"),
    ],
)
def test_what_a_page_says_is_read(property_: Any, says: str) -> None:
    assert decode_text(property_) == says


@pytest.mark.parametrize(
    "property_",
    [
        None,
        7,
        {},
        {"type": "number", "number": 7},
        {"type": "select", "select": 7},
        {"type": "rich_text", "rich_text": [7]},
    ],
)
def test_what_is_no_text_is_refused(property_: Any) -> None:
    with pytest.raises(ValueError, match="not a text"):
        decode_text(property_)


def test_times_are_told_with_milliseconds() -> None:
    moment = datetime(2026, 1, 23, 10, 30, 0, 123456, tzinfo=UTC)
    assert written(moment, "rich_text", ColumnType.TIME) == {"rich_text": [piece("2026-01-23T10:30:00.123+00:00")]}
