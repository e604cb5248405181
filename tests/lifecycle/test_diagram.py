"""The page of the lifecycle says what the code does."""

import re
from pathlib import Path

import pytest

from lifecycle.diagram import render
from lifecycle.errors import ErrorCode
from lifecycle.statuses import TRANSITIONS, Operation, Prerequisite, Status

PAGE = Path(__file__).parents[2] / "docs" / "lifecycle.md"


def test_the_page_is_as_the_code_makes_it() -> None:
    page = PAGE.read_text()
    assert render(page) == page
    assert page.count("<!-- made: ") == 3


def test_the_diagram_has_every_status_and_every_move_but_those_from_anywhere() -> None:
    diagram = PAGE.read_text().split("```")[1]
    assert all(f'"{status}"' in diagram for status in Status)
    drawn = re.findall(r"^    (\w+) --> (\w+): (\w+)$", diagram, re.MULTILINE)
    anywhere = (Operation.BLOCK, Operation.BLOCK_FOR_CREDENTIALS, Operation.ARCHIVE)
    assert drawn == [
        (row.source.name.lower(), row.target.name.lower(), row.operation)
        for row in TRANSITIONS
        if row.target is not None and row.operation not in anywhere
    ]


def test_the_page_explains_every_prerequisite() -> None:
    explained = re.findall(r"^\| `(\w+)` \| (?!`)", PAGE.read_text(), re.MULTILINE)
    assert [name for name in explained if name in set(Prerequisite)] == list(Prerequisite)


def test_the_codes_of_the_page_are_codes() -> None:
    section = PAGE.read_text().split("## Refusals")[1].split("## Who may what")[0]
    codes = re.findall(r"\| `(\w+)` \| \d{3} \|$", section, re.MULTILINE)
    assert len(codes) == 11
    assert set(codes) <= set(ErrorCode)


def test_a_section_that_nobody_makes_is_an_error() -> None:
    with pytest.raises(KeyError, match="nothing"):
        render("<!-- made: nothing -->\n<!-- end -->")
