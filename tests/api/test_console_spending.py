"""The console's pages of what was spent over time: the band of what was expected, what was told of it, and whose."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from dataflows.decisions import Decision
from lifecycle.credits.spend_history import read_spend_history
from lifecycle.options import LifecycleOptions
from sinks.services import ServicesSink
from tests.api.console_given import signed_in
from tests.api.given import HOSTILE
from tests.api.test_console import text_of
from tests.api.v1_given import running, staff_token
from tests.lifecycle.guard_given import refuse_dead_letter
from tests.lifecycle.ledger_given import entry, spend
from tests.sinks.test_spend_anomaly import burst, drift

PAGE = "/console/credits/spending"
BEGIN = datetime(2026, 2, 2, tzinfo=UTC)
#: An hour of the fifth week.
BURST = BEGIN + timedelta(days=30, hours=9)
HOUR = timedelta(hours=1)
WEEKS = 32 * 24


def given_spending(engine: sa.Engine, *decisions: Decision) -> None:
    """Two workflows of `t1` and one of `t2`, a run an hour each; `wf1` has a hundred in one hour."""
    spend(
        engine,
        [
            *(entry(BEGIN + HOUR * n, 10 + n % 3, workflow_id="wf1") for n in range(WEEKS)),
            *(entry(BEGIN + HOUR * n, 5, workflow_id=HOSTILE) for n in range(WEEKS - 100, WEEKS)),
            *(entry(BEGIN + HOUR * n, 7, workflow_id="wf2", tenant_id="t2") for n in range(WEEKS)),
            *(entry(BURST + timedelta(seconds=n), 11, workflow_id="wf1") for n in range(100)),
            entry(BURST - HOUR, 400, workflow_id="wf1", severity="SEV1", execution_id="x-dear"),
        ],
    )
    ServicesSink(engine, LifecycleOptions(), refuse_dead_letter).apply(decisions)


@contextmanager
def spent(engine: sa.Engine, *decisions: Decision) -> Iterator[TestClient]:
    with running(engine) as (http, _, _):
        given_spending(engine, *decisions)
        yield http


def told() -> Decision:
    return burst(occurred_at=BURST + HOUR)


def test_hours_stand_before_what_was_expected_of_them(engine: sa.Engine) -> None:
    said = told()
    with spent(engine, said) as http, signed_in(http, staff_token("ops_admin")) as client:
        html = client.get(PAGE, params={"tenant_id": "t1", "workflow_id": "wf1"}).text
    page = text_of(html)
    assert "Spending of Nightly invoices wf1" in page
    assert "; tenant Acme" in page
    assert html.count("<rect") == 7 * 24
    assert html.count('class="column marked"') == 1
    assert html.count('class="dot"') == 1
    assert html.count('class="band" points') == 1
    assert ">1,110</text>" in html
    assert "most, 1,110 credits, on 04 Mar at 09:00; 1 told as an anomaly, 1 with incidents" in html
    assert f'href="/console/decisions/{said.decision_id}"' in html
    assert re.search(r"04 Mar 09:00 1,110 anomaly 101 10(\.\d+)? \d\d(\.\d+)? 0", page)
    assert "04 Mar 08:00 412 2 " in page


def test_hours_and_days_are_utc_whatever_time_zone_the_database_has(engine: sa.Engine, database_url: str) -> None:
    given_spending(engine, told())
    elsewhere = sa.create_engine(database_url, connect_args={"options": "-c timezone=Asia/Kolkata"})
    with engine.connect() as here, elsewhere.connect() as there:
        histories = [read_spend_history(one, "t1", "wf1") for one in (here, there)]
    elsewhere.dispose()
    assert repr(histories[0]) == repr(histories[1])
    assert histories[0] is not None
    assert {one.begin.tzinfo for one in histories[0].hours} == {UTC}


def test_days_stand_beside_their_weeks(engine: sa.Engine) -> None:
    said = drift(occurred_at=BEGIN + timedelta(days=28))
    with spent(engine, said, told()) as http, signed_in(http, staff_token("ops_admin")) as client:
        html = client.get(PAGE, params={"tenant_id": "t1", "by": "day"}).text
    page = text_of(html)
    assert "Spending of Acme, all workflows" in page
    assert html.count("<rect") == 32
    assert html.count('class="curve" points') == 1
    assert html.count('class="column marked"') == 1
    assert "Drift until 2026-03-02" in page
    assert "Burst until 2026-03-04" in page  # of a workflow
    assert "01 Mar 284 anomaly 28 " in page
    assert '<a href="/console/credits/spending?tenant_id=t1&amp;by=hour">By hour</a>' in html


def test_the_page_of_credits_leads_there(engine: sa.Engine) -> None:
    said = told()
    with spent(engine, said) as http, signed_in(http, staff_token("ops_admin")) as client:
        html = client.get("/console/credits").text
        only = client.get("/console/credits", params={"tenant_id": "t1"}).text
        links = re.findall(r'href="(/console/credits/spending[^"]*)"', html)
        answers = {client.get(link.replace("&amp;", "&")).status_code for link in links}
    assert len(set(links)) >= 5  # three workflows, two tenants
    assert answers == {200}
    assert HOSTILE not in html
    assert f'href="/console/decisions/{said.decision_id}"' in html
    assert "Nightly invoices Acme , its credits alone 2026-03-04 10:00:00 UTC 1,500 in an hour" in text_of(html)
    assert "Nightly invoices 2026-03-04 10:00:00 UTC 1,500 in an hour" in text_of(only)


def test_others_spending_is_not_shown(engine: sa.Engine) -> None:
    with spent(engine, told()) as http, signed_in(http, staff_token("member", tenants=["t2"])) as client:
        answers = [
            client.get(PAGE, params=params).status_code
            for params in (
                {"tenant_id": "t1"},
                {"tenant_id": "t1", "workflow_id": "wf1"},
                {"tenant_id": "t2", "workflow_id": "wf1"},
                {"tenant_id": "t2", "workflow_id": "wf2"},
                {"tenant_id": "t2", "workflow_id": "wf2", "by": "day"},
            )
        ]
        page = text_of(client.get("/console/credits").text)
    assert answers == [404, 404, 404, 200, 200]
    assert "wf1" not in page


@pytest.mark.parametrize(("by", "below", "numbers"), [("hour", "Mon 00:00", "1 hour,"), ("day", "02 Feb", "1 day,")])
def test_a_first_run_is_shown_without_a_band(engine: sa.Engine, by: str, below: str, numbers: str) -> None:
    with running(engine) as (http, _, _), signed_in(http, staff_token("ops_admin")) as client:
        spend(engine, [entry(BEGIN + timedelta(minutes=20), 3)])
        html = client.get(PAGE, params={"tenant_id": "t1", "by": by}).text
    assert html.count("<rect") == 1
    assert 'class="band" points' not in html
    assert f">{below}</text>" in html
    assert f"{numbers} the newest first" in html


def test_amounts_beyond_all_doubles_are_shown(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, staff_token("ops_admin")) as client:
        spend(engine, [entry(BEGIN + HOUR * n, "1e308") for n in range(400)])
        spend(engine, [entry(BEGIN + HOUR * 399, "1e308", execution_id=f"more-{n}") for n in range(3)])
        answers = {client.get(PAGE, params={"tenant_id": "t1", "by": by}).status_code for by in ("hour", "day")}
    assert answers == {200}


def test_what_is_no_step_is_refused(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, staff_token("ops_admin")) as client:
        answers = [client.get(PAGE, params=params).status_code for params in ({}, {"tenant_id": "t1", "by": "year"})]
    assert answers == [400, 400]
