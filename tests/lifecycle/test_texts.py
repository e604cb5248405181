"""What people read: every template has all its parts, says what it must, and lets nothing break out."""

import pytest
from jinja2 import UndefinedError

from lifecycle.kinds import Template
from lifecycle.texts import one_line, render

LINK = "https://bw.example/console/tasks?a=1&b=2"
BLOCKED = {"title": "t", "link": LINK, "automation_name": "Sync", "version": 3, "systems": ["Gmail", "Salesforce"]}
CONTEXTS = {
    Template.AUTOMATION_BLOCKED: {**BLOCKED, "reason": "The credentials for Gmail are invalid."},
    Template.CREDENTIALS_FAILED_CRITICAL: {
        **BLOCKED,
        "tenant_name": "Acme",
        "system_names": "Gmail and Salesforce",
        "task_count": 2,
    },
    Template.WORKFLOW_BLACKLISTED: {
        "title": "t",
        "link": LINK,
        "workflow_name": "Nightly",
        "tenant_name": "Acme",
        "stuck_count": 5,
        "window": "60 minutes",
    },
    Template.SILENCE: {
        "title": "t",
        "link": LINK,
        "what": "“Nightly” of Acme",
        "limit": "90 minutes",
        "last_run_at": "2026-03-02 08:00:00 UTC",
    },
}


@pytest.mark.parametrize(
    ("template", "title", "must_contain"),
    [
        pytest.param(
            Template.AUTOMATION_BLOCKED,
            "“Sync” is blocked",
            ["The credentials for Gmail are invalid.", "Renew the credentials for Salesforce", "Open tasks"],
            id="blocked: reason, instructions, link to the tasks",
        ),
        pytest.param(
            Template.CREDENTIALS_FAILED_CRITICAL,
            "Credentials failed: Acme, “Sync”",
            ["Gmail and Salesforce", "- Gmail", "- Salesforce", "Tasks made: 2"],
            id="credentials failed: systems, tasks",
        ),
        pytest.param(
            Template.WORKFLOW_BLACKLISTED,
            "Workflow “Nightly” is blacklisted",
            ["“Nightly”", "Acme", "5 times within 60 minutes"],
            id="blacklisted: name, count, window",
        ),
        pytest.param(
            Template.SILENCE,
            "No run of “Nightly” of Acme for 90 minutes",
            ["“Nightly” of Acme", "For 90 minutes", "2026-03-02 08:00:00 UTC"],
            id="silence: whose, how long, since when",
        ),
    ],
)
def test_a_template_says_what_it_must(template: Template, title: str, must_contain: list[str]) -> None:
    text = render(template, CONTEXTS[template])
    assert text.title == title
    for words in [*must_contain, LINK]:
        assert words in text.body
    for words in [word.removeprefix("- ") for word in must_contain]:
        assert words in text.html
    assert f'<a href="{LINK.replace("&", "&amp;")}">' in text.html


def test_every_template_is_in_the_tables_above() -> None:
    assert set(CONTEXTS) == set(Template)


@pytest.mark.parametrize("template", list(Template))
def test_names_are_escaped_in_html(template: Template) -> None:
    evil = '<img src=x onerror="a()">'
    context = {name: [evil] if isinstance(value, list) else evil for name, value in CONTEXTS[template].items()}
    assert "<img" not in render(template, context).html
    assert "&lt;img" in render(template, context).html


@pytest.mark.parametrize("template", list(Template))
def test_a_missing_value_is_an_error_and_no_gap(template: Template) -> None:
    with pytest.raises(UndefinedError):
        render(template, {"title": "t"})


@pytest.mark.parametrize(
    ("given", "line"),
    [
        pytest.param("Invoices\r\nBcc: all@acme.example", "Invoices Bcc: all@acme.example", id="a header's end"),
        pytest.param("a\x00b\x1b[2Jc", "a b [2Jc", id="control characters"),
        pytest.param("a\u202egpj.exe", "a gpj.exe", id="reversed writing"),
        pytest.param("x" * 200, "x" * 200, id="as long as may be"),
        pytest.param("x" * 201, "x" * 199 + "…", id="too long"),
    ],
)
def test_a_name_stays_in_its_line(given: str, line: str) -> None:
    assert one_line(given) == line
