"""What people read: every template has all its parts, says what it must, and lets nothing break out."""

from datetime import datetime
from typing import Any

import pytest
from jinja2 import UndefinedError

from lifecycle.kinds import Template
from lifecycle.texts import at_time, masked, one_line, render

LINK = "https://bw.example/console/tasks?a=1&b=2"
SINCE = "2026-03-02 08:00 UTC"
ANY = {"title": "t", "link": LINK}
VERSION = {**ANY, "automation_name": "Sync", "version": 3, "tenant_name": "Acme", "since": SINCE}
BY_HAND = {**VERSION, "by": "Otto", "reason": "Asked for by Ada"}
CONTEXTS: dict[Template, dict[str, Any]] = {
    Template.AUTOMATION_BLOCKED: {
        **VERSION,
        "systems": ["Gmail", "Salesforce"],
        "reason": "The credentials for Gmail are invalid.",
    },
    Template.CREDENTIALS_FAILED_CRITICAL: {
        **VERSION,
        "systems": ["Gmail", "Salesforce"],
        "system_names": "Gmail and Salesforce",
        "task_count": 2,
    },
    Template.WORKFLOW_BLACKLISTED: {
        **ANY,
        "workflow_name": "Nightly",
        "tenant_name": "Acme",
        "stuck_count": 5,
        "window": "60 minutes",
    },
    Template.WORKFLOW_RELEASED: {
        **ANY,
        "workflow_name": "Nightly",
        "tenant_name": "Acme",
        "by": "Otto",
        "blacklisted_for": "2 hours",
        "reason": "stuck 5 times within 60 minutes",
        "note": "The provider is back.",
    },
    Template.SILENCE: {
        **ANY,
        "what": "“Nightly” of Acme",
        "limit": "90 minutes",
        "last_run_at": "2026-03-02 08:00:00 UTC",
    },
    Template.CREDIT_CASE: {
        **ANY,
        "headline": "SEV1 · Credit spike · Export",
        "tenant_name": "Acme",
        "case_id": "CASE-20260302-A1B2C3",
        "scenario": "Export",
        "job_type": "BINDER_EXPORT",
        "credits": "2,480",
        "baseline": "320",
        "multiplier": "7.75",
        "likelihood": "High",
        "flags": "retry_loop",
        "execution_id": "RUN-1",
        "at": SINCE,
        "acknowledge_by": "2026-03-02 09:00 UTC",
        "done": ["the workflow waits for an acknowledgment"],
        "not_done": ["the page was not locked"],
    },
    Template.CREDIT_CASE_OVERDUE: {
        **ANY,
        "headline": "SEV1 · Credit spike · Export",
        "tenant_name": "Acme",
        "case_id": "CASE-20260302-A1B2C3",
        "acknowledge_by": "2026-03-02 09:00 UTC",
        "since": SINCE,
    },
    Template.CREDIT_HEALTH: {
        **ANY,
        "headline": "no run for a day",
        "problem": f"The last run with credits was recorded at {SINCE}.",
        "next_step": "See whether the monitor runs.",
    },
    Template.CREDIT_REVIEW: {
        **ANY,
        "week": "2026-W09",
        "credits": "35,000",
        "runs": "1,200",
        "change": "+20 %",
        "sev0": 0,
        "sev1": 2,
        "failed": 3,
        "top": ["Export: 20,000 credits (1.20× baseline)"],
    },
    Template.BASELINES_UPDATED: {**ANY, "count": 3, "proposed": 1},
    Template.SPEND_ANOMALY: {
        **ANY,
        "plural": None,
        "count": "1",
        "since": SINCE,
        "furthest": ["“Nightly” 1,500 credits in one hour instead of 40"],
        "workflow_name": "Nightly",
        "whose": "“Nightly” of Acme",
        "tenant_name": "Acme",
        "is_burst": True,
        "spent": "1,500",
        "per": "in one hour",
        "expected": "40",
        "limit": "62.5",
        "runs": "150",
        "risen": ["wf2", "wf7"],
        "at": SINCE,
        "credits_link": "https://bw.example/console/credits",
    },
    Template.BUILD_STARTED: VERSION,
    Template.QA_STARTED: VERSION,
    Template.READY_TO_LAUNCH: {**VERSION, "approvals_missing": ["deployment by operations"]},
    Template.AUTOMATION_UNBLOCKED: {**BY_HAND, "at": "2026-03-02 09:00 UTC", "status": "Live"},
    Template.AUTOMATION_LIVE: VERSION,
    Template.DEPLOYMENT_SUCCESS: {**BY_HAND, "bindings": ["workflow wf1"]},
    Template.DEPLOYMENT_PROBLEM: {**VERSION, "problem": "The platform did not answer.", "next_step": "Deploy again."},
    Template.WORKFLOW_PAUSED: BY_HAND,
    Template.WORKFLOW_RESUMED: BY_HAND,
    Template.ARCHIVED: {**BY_HAND, "from_status": "Paused"},
    Template.PROVIDER_INCIDENT: {**ANY, "system_name": "Gmail", "tenant_count": 7, "undone_count": 4, "since": SINCE},
    Template.DECISIONS_HELD: {**ANY, "limit": 10, "window": "10 minutes", "since": SINCE},
    Template.CHANNEL_FAILING: {**ANY, "channel": "Slack", "fault": "unreachable", "since": SINCE},
}


@pytest.mark.parametrize(
    ("template", "title", "must_contain"),
    [
        pytest.param(
            Template.AUTOMATION_BLOCKED,
            "Blocked: Acme, “Sync”",
            ["The credentials for Gmail are invalid.", "Renew the credentials for Salesforce", "Open tasks", SINCE],
            id="blocked: reason, instructions, link to the tasks, since when",
        ),
        pytest.param(
            Template.CREDENTIALS_FAILED_CRITICAL,
            "Credentials failed: Acme, “Sync”",
            ["Gmail and Salesforce", "- Gmail", "- Salesforce", "Tasks made: 2", SINCE],
            id="credentials failed: systems, tasks, since when",
        ),
        pytest.param(
            Template.WORKFLOW_BLACKLISTED,
            "Blacklisted: Acme, workflow “Nightly”",
            ["“Nightly”", "Acme", "5 times within 60 minutes"],
            id="blacklisted: name, count, window",
        ),
        pytest.param(
            Template.WORKFLOW_RELEASED,
            "Off the blacklist: Acme, workflow “Nightly”",
            ["“Nightly”", "Acme", "Otto", "2 hours", "stuck 5 times within 60 minutes", "The provider is back."],
            id="released: name, count, window, by whom, why",
        ),
        pytest.param(
            Template.SILENCE,
            "No run of “Nightly” of Acme for 90 minutes",
            ["“Nightly” of Acme", "For 90 minutes", "2026-03-02 08:00:00 UTC"],
            id="silence: whose, how long, since when",
        ),
        pytest.param(
            Template.BUILD_STARTED,
            "Work has begun: Acme, “Sync”",
            ["Acme", SINCE, "Project checklist"],
            id="build started: link to the project's checklist",
        ),
        pytest.param(
            Template.QA_STARTED,
            "Being tested: Acme, “Sync”",
            ["Acme", SINCE, "QA checklist"],
            id="QA started: checklist",
        ),
        pytest.param(
            Template.READY_TO_LAUNCH,
            "Ready to launch: Acme, “Sync”",
            ["Acme", SINCE, "- deployment by operations"],
            id="ready to launch: approvals missing",
        ),
        pytest.param(
            Template.AUTOMATION_UNBLOCKED,
            "No longer blocked: Acme, “Sync”",
            [f"since {SINCE}", "At 2026-03-02 09:00 UTC", "by Otto", "“Live”", "Asked for by Ada"],
            id="unblocked: since when, by whom",
        ),
        pytest.param(Template.AUTOMATION_LIVE, "Live: Acme, “Sync”", ["(version 3)", SINCE], id="live"),
        pytest.param(
            Template.DEPLOYMENT_SUCCESS,
            "Deployed: Acme, “Sync” version 3",
            ["Version 3", "- workflow wf1", "by Otto", SINCE],
            id="deployed: version, bindings",
        ),
        pytest.param(
            Template.DEPLOYMENT_PROBLEM,
            "Deployment needs you: Acme, “Sync”",
            ["The platform did not answer.", "What to do: Deploy again.", SINCE],
            id="deployment problem: what happened, what to do",
        ),
        pytest.param(
            Template.WORKFLOW_PAUSED,
            "Paused: Acme, “Sync”",
            ["by Otto", SINCE, "Asked for by Ada"],
            id="paused: reason",
        ),
        pytest.param(
            Template.WORKFLOW_RESUMED,
            "Runs again: Acme, “Sync”",
            ["by Otto", SINCE, "Asked for by Ada"],
            id="resumed: reason",
        ),
        pytest.param(
            Template.ARCHIVED,
            "Archived: Acme, “Sync” version 3",
            ["Acme", "“Paused”", "by Otto", SINCE, "Asked for by Ada"],
            id="archived: by whom, from where",
        ),
        pytest.param(
            Template.PROVIDER_INCIDENT,
            "Provider incident: Gmail",
            ["7 tenants", "4 of the last ones were undone", SINCE],
            id="provider incident: system, tenants, what was undone",
        ),
        pytest.param(
            Template.DECISIONS_HELD,
            "Automatic stops wait for approval",
            ["10 within 10 minutes", SINCE],
            id="held: how many pass, since when",
        ),
        pytest.param(
            Template.CREDIT_CASE,
            "SEV1 · Credit spike · Export · Acme",
            ["Acme", "2,480 credits", "7.75 times the 320", "CASE-20260302-A1B2C3", "RUN-1", "09:00", "was not locked"],
            id="credit case: what it cost, what it is compared with, what was done and what was not",
        ),
        pytest.param(
            Template.CREDIT_CASE_OVERDUE,
            "Nobody has acknowledged CASE-20260302-A1B2C3: Acme, SEV1 · Credit spike · Export",
            ["Acme", "“SEV1 · Credit spike · Export”", "2026-03-02 09:00 UTC", SINCE],
            id="credit case overdue: which, since when",
        ),
        pytest.param(
            Template.CREDIT_HEALTH,
            "Credit monitoring: no run for a day",
            [SINCE, "See whether the monitor runs."],
            id="credit health: what is wrong, what to do",
        ),
        pytest.param(
            Template.CREDIT_REVIEW,
            "Weekly credit review 2026-W09: 35,000 credits",
            ["1,200 runs", "+20 % against", "SEV1 incidents: 2", "Export: 20,000 credits (1.20× baseline)"],
            id="credit review: what was spent, on what, how that changed",
        ),
        pytest.param(
            Template.BASELINES_UPDATED,
            "Baselines updated for 3 scenarios",
            ["3 scenarios", "1 more"],
            id="baselines updated: how many, and how many wait",
        ),
        pytest.param(
            Template.SPEND_ANOMALY,
            "Spends more than usual: Acme, “Nightly”, 1,500 credits in one hour",
            ["Acme", SINCE, "150 runs", "usually spends 40", "up to 62.5", "wf2, wf7", "Nothing was stopped."],
            id="spend anomaly: what was spent, what was expected, that nothing was stopped",
        ),
        pytest.param(
            Template.CHANNEL_FAILING,
            "Notifications by Slack fail",
            ["(unreachable)", SINCE],
            id="channel: which, why, since when",
        ),
    ],
)
def test_a_template_says_what_it_must(template: Template, title: str, must_contain: list[str]) -> None:
    text = render(template, CONTEXTS[template])
    assert text.title == title
    for words in [*must_contain, LINK]:
        assert words in text.body
    for words in [word.removeprefix("- ") for word in must_contain]:
        assert words in " ".join(text.html.split())
    assert f'<a href="{LINK.replace("&", "&amp;")}"' in text.html


def test_several_spend_anomalies_are_told_by_their_number_and_the_furthest() -> None:
    many = {"plural": "drifts", "count": "1,200", "furthest": ["“<b>” 9 credits a day instead of 4", "“B” 2"]}
    text = render(Template.SPEND_ANOMALY, {**CONTEXTS[Template.SPEND_ANOMALY], **many})
    assert text.title == "Spends more than usual: Acme, 1,200 drifts"
    assert f"Acme had 1,200 drifts of spending between {SINCE} and {SINCE}." in text.body
    assert "- “<b>” 9 credits a day instead of 4\n- “B” 2\n\nNo run need be dear" in text.body
    assert f"All of them: {LINK}" in text.body
    assert "<li>“&lt;b&gt;” 9 credits a day instead of 4</li>" in text.html
    assert "All of them</a>" in text.html


def test_every_template_is_in_the_tables_above() -> None:
    assert set(CONTEXTS) == set(Template)


OF_A_TENANT = [template for template, context in CONTEXTS.items() if "tenant_name" in context]


@pytest.mark.parametrize("template", OF_A_TENANT)
def test_a_title_names_the_tenant_whose_it_is(template: Template) -> None:
    assert "Acme" in render(template, CONTEXTS[template]).title


@pytest.mark.parametrize("template", OF_A_TENANT)
def test_no_name_is_so_long_that_it_hides_the_others_or_what_is_said(template: Template) -> None:
    names = ("tenant_name", "automation_name", "workflow_name", "headline")
    context = CONTEXTS[template]
    title = render(template, context).title
    long = {name: value * 99 for name, value in context.items() if name in names}
    words = [word for word in title.split() if not any(context[name] in word for name in long)]
    stretched = render(template, {**context, **long}).title
    assert len(stretched) <= 200
    for name in long:
        if context[name] in title:
            assert (context[name] * 99)[:50] in stretched
    assert [word for word in words if word in stretched] == words


@pytest.mark.parametrize("template", OF_A_TENANT)
def test_no_name_ends_the_line_of_a_title(template: Template) -> None:
    evil = "A\r\nBcc: eve@globex.example\u2028\u202e"
    context = {name: evil if isinstance(value, str) else value for name, value in CONTEXTS[template].items()}
    assert not set(render(template, context).title) & set("\r\n\u2028\u202e")


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


def test_a_block_by_hand_refers_to_its_tasks_and_texts_have_no_holes() -> None:
    by_hand = render(Template.AUTOMATION_BLOCKED, {**CONTEXTS[Template.AUTOMATION_BLOCKED], "systems": []})
    assert "- Do what the open tasks say." in by_hand.body
    assert "<li>Do what the open tasks say.</li>" in by_hand.html
    for template, context in CONTEXTS.items():
        bare = {name: None if name in ("reason", "note") else value for name, value in context.items()}
        if template in (Template.AUTOMATION_BLOCKED, Template.WORKFLOW_RELEASED):
            bare["reason"] = context["reason"]
        assert "None" not in render(template, bare).body
        assert "\n\n\n" not in render(template, bare).body


def test_moments_are_told_in_utc() -> None:
    assert at_time(datetime.fromisoformat("2026-03-02T09:30:59+01:30")) == "2026-03-02 08:00:59 UTC"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        pytest.param("The API changed; ask Ada.", "The API changed; ask Ada.", id="plain words"),
        pytest.param("password: hunter2 is wrong", "password: *** is wrong", id="a password"),
        pytest.param('{"api_key":"abc"}', '{"api_key":"***"}', id="a key in JSON"),
        pytest.param("Authorization: Bearer abc.def", "Authorization: ***", id="a header"),
        pytest.param("used sk-live_9f8e7d6c5b4a39281706 for it", "used *** for it", id="a long token"),
        pytest.param("https://ada:pw@crm.example/x", "https://***@crm.example/x", id="a login in a link"),
        pytest.param("postgresql+psycopg://u:p@db", "postgresql+psycopg://***@db", id="a login of a database"),
        pytest.param("see https://bw.example/console/tasks", "see https://bw.example/console/tasks", id="a link"),
        pytest.param("internationalization of counterrevolutionaries", None, id="long words"),
        pytest.param("ticket 00000000-0000-5000-8000-000000000001", None, id="an id"),
        pytest.param("a\r\nb", "a b", id="lines"),
    ],
)
def test_what_people_type_is_shown_without_what_looks_secret(typed: str, shown: str | None) -> None:
    assert masked(typed) == (typed if shown is None else shown)
