"""Addresses of the console's pages in a task's text are links to this console, and nothing else is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.console.links import link_pages


@pytest.mark.parametrize(
    ("text", "html"),
    [
        pytest.param(
            "Resolve it. https://ops.example/console/cases/CASE-1.",
            'Resolve it. <a href="/console/cases/CASE-1">/console/cases/CASE-1</a>.',
            id="a case, and the full stop behind it",
        ),
        pytest.param(
            "http://127.0.0.1:8080/console/tasks?automation_version_id=v1&status=open",
            '<a href="/console/tasks?automation_version_id=v1&amp;status=open">'
            "/console/tasks?automation_version_id=v1&amp;status=open</a>",
            id="a filtered list",
        ),
        pytest.param("https://evil.example/page", "https://evil.example/page", id="another site is text"),
        pytest.param(
            'x https://evil.example/console/"onclick=a <b>',
            "x https://evil.example/console/&#34;onclick=a &lt;b&gt;",
            id="what is hostile is text",
        ),
        pytest.param("javascript:alert(1)", "javascript:alert(1)", id="no address of ours"),
    ],
)
def test_only_pages_of_the_console_are_links(text: str, html: str) -> None:
    assert str(link_pages(text)) == html


@given(st.text() | st.text(alphabet='https://ab.console/<>"& ').map("https://a/console/".__add__))
def test_nothing_but_own_links_is_markup(text: str) -> None:
    html = str(link_pages(text))
    assert html.count("<") == 2 * html.count('<a href="/console/')
