"""The page of Notion's columns lists those that are written."""

import re
from pathlib import Path

from lifecycle.notion.columns import COLUMNS
from lifecycle.notion.kinds import NotionKind
from lifecycle.notion.values import ColumnType

PAGE = Path(__file__).parents[2] / "docs" / "notion.md"

HEADINGS = {
    NotionKind.CASE: "Cases",
    NotionKind.TASK: "Tasks",
    NotionKind.RECEIPT: "Run receipts",
    NotionKind.REVIEW: "Weekly reviews",
    NotionKind.RUN: "Runs",
}
TYPES = {
    ColumnType.TEXT: "text",
    ColumnType.CHOICE: "select",
    ColumnType.CHOICES: "multi-select",
    ColumnType.NUMBER: "number",
    ColumnType.TIME: "date",
    ColumnType.LINK: "URL",
    ColumnType.PAGES: "relation",
}


def listed(kind: NotionKind) -> list[tuple[str, str]]:
    """Name and first type of each row of a kind's table."""
    section = PAGE.read_text().split(f"### {HEADINGS[kind]}: ")[1].split("\n#")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", section, flags=re.MULTILINE)[1:]
    return [(name, kinds.split(",")[0].split(" to ")[0]) for name, kinds in rows]


def test_every_column_is_listed_with_its_type() -> None:
    for kind, columns in COLUMNS.items():
        assert listed(kind) == [(column.name, TYPES[column.type]) for column in columns]
