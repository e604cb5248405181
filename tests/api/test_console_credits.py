"""The console's pages of credits: spending, proposals, weekly reviews, and whose they are."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from api.console.credits import SCENARIOS, WORKFLOWS
from lifecycle import tables
from lifecycle.actors import WORKER
from lifecycle.credits.baselines import update_baselines
from lifecycle.credits.iso_weeks import period_of
from lifecycle.credits.reviews import make_reviews
from lifecycle.options import LifecycleOptions
from tests.api.console_given import signed_in
from tests.api.given import HOSTILE, form_token
from tests.api.test_console import text_of
from tests.api.v1_given import running, staff_token, token
from tests.lifecycle.given import row
from tests.lifecycle.ledger_given import entry, spend

PAGE = "/console/credits"
REVIEW = f"{PAGE}/reviews/2026-W10"
MONDAY, END = period_of("2026-W10")


@contextmanager
def spent(engine: sa.Engine, folder: Path) -> Iterator[TestClient]:
    """Two tenants with a week of runs, its reviews, and a baseline of the first one that waits for approval."""
    with running(engine) as (http, _, _):
        spend(
            engine,
            [
                *[entry(MONDAY - timedelta(days=20, hours=hour), 100, scenario=HOSTILE) for hour in range(8)],
                *[entry(MONDAY + timedelta(hours=12 * number), 200, scenario=HOSTILE) for number in range(13)],
                entry(MONDAY, 990, severity="SEV1", risk_flags=["retry_loop"], execution_id="x-odd", scenario="odd"),
                entry(MONDAY, 7, tenant_id="t2", scenario="import", workflow_id="wf2"),
            ],
        )
        options = LifecycleOptions(reviews_dir=folder)
        with engine.begin() as connection:
            update_baselines(connection, MONDAY - timedelta(days=19), actor_context=WORKER, options=options)
            update_baselines(connection, END, actor_context=WORKER, options=options)
            make_reviews(connection, "2026-W10", END, actor_context=WORKER, options=options)
        yield http


def test_what_was_spent_is_shown_to_staff_for_all_tenants(engine: sa.Engine, tmp_path: Path) -> None:
    with spent(engine, tmp_path) as http, signed_in(http, staff_token("ops_admin")) as client:
        html = client.get(PAGE).text
        only = text_of(client.get(PAGE, params={"tenant_id": "t2"}).text)
    page = text_of(html)
    assert "4,397 credits in 23 runs" in page
    assert HOSTILE not in html
    assert "<svg" in html
    assert "Credits by day: " in html
    assert "02 Mar 1,397" in html
    assert "7 credits in 1 run," in only
    assert "odd" not in only


def test_staff_find_a_tenant_by_its_name(engine: sa.Engine, tmp_path: Path) -> None:
    """The filter takes ids, which nobody knows by heart: names lead there, and are offered."""
    with spent(engine, tmp_path) as http, signed_in(http, staff_token("ops_admin")) as client:
        html = client.get(PAGE).text
        (link,) = set(re.findall(rf'href="({PAGE}\?tenant_id=t2)"', html))
        only = client.get(link).text
    assert '<option value="t1">Acme</option><option value="t2">Globex</option>' in html
    scenarios = text_of(html.split("By scenario</h2>")[1].split("</table>")[0])
    assert "import Globex , its credits alone 7 1" in scenarios
    assert "<h1>Credits of Globex</h1>" in only
    assert f'href="{PAGE}?tenant_id=t2"' not in only
    assert f'href="{PAGE}">Show all tenants</a>' in only


@pytest.mark.parametrize(
    ("tenant_id", "said"),
    [
        pytest.param("t3", "No run of Initech with credits is known yet.", id="one without runs"),
        pytest.param("Acme", "There is no tenant with the id “Acme”, or not for you.", id="no tenant's id"),
    ],
)
def test_a_filter_that_finds_nothing_says_why(engine: sa.Engine, tmp_path: Path, tenant_id: str, said: str) -> None:
    with spent(engine, tmp_path) as http, signed_in(http, staff_token("ops_admin")) as client:
        with engine.begin() as connection:
            connection.execute(sa.insert(tables.tenants).values(id="t3", name="Initech"))
        page = text_of(client.get(PAGE, params={"tenant_id": tenant_id}).text)
    assert said in page


def test_one_tenants_people_are_offered_no_tenants(engine: sa.Engine, tmp_path: Path) -> None:
    with spent(engine, tmp_path) as http, signed_in(http, token("viewer")) as client:
        html = client.get(PAGE).text
        elsewhere = text_of(client.get(PAGE, params={"tenant_id": "t2"}).text)
    assert "<datalist" not in html
    assert "its credits alone" not in html
    assert "Globex" not in html + elsewhere
    assert "There is no tenant with the id “t2”, or not for you." in elsewhere


def test_lists_that_are_cut_off_say_so(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, staff_token("ops_admin")) as client:
        runs = [
            entry(MONDAY, 10, scenario=f"s{n}", workflow_id=f"w{n}", execution_id=f"x{n}") for n in range(SCENARIOS)
        ]
        spend(engine, runs[:-1])
        before = text_of(client.get(PAGE).text)
        spend(engine, runs[-1:])
        after = text_of(client.get(PAGE).text)
    assert f"The {WORKFLOWS} most expensive, of whatever tenant. Each leads" in before
    assert f"The {SCENARIOS} most expensive" not in before
    assert f"The {SCENARIOS} most expensive, of whatever tenant; one tenant alone shows more of its own." in after


def test_a_tenant_sees_its_own_alone(engine: sa.Engine, tmp_path: Path) -> None:
    with spent(engine, tmp_path) as http, signed_in(http, staff_token("member", tenants=["t2"])) as client:
        page = text_of(client.get(PAGE).text)
        other = client.get(REVIEW, params={"tenant_id": "t1"})
        together = client.get(REVIEW)
        own = client.get(REVIEW, params={"tenant_id": "t2"})
    assert "7 credits in 1 run," in page
    assert "All together" not in page
    assert (other.status_code, together.status_code, own.status_code) == (404, 404, 200)


def test_a_review_says_what_happened(engine: sa.Engine, tmp_path: Path) -> None:
    with spent(engine, tmp_path) as http, signed_in(http, staff_token("ops_admin")) as client:
        html = client.get(REVIEW, params={"tenant_id": "t1"}).text
    page = text_of(html)
    assert "Week 2026-W10 · Acme" in page
    assert "3,590 credits" in page
    assert "0 of them failed, for 0 credits" in page
    assert re.search(r"Against the mean of the four weeks before, spending is \w+ \.", page)
    assert "1 SEV1" in page
    assert "x-odd odd 990 100 (9.90×) SEV1 retry loop" in page
    assert html.count("<svg") == 3
    assert HOSTILE not in html
    assert row(engine, tables.credit_reviews, tenant_id="t1")["sha256"] in html


def test_an_admin_of_operations_approves_a_baseline(engine: sa.Engine, tmp_path: Path) -> None:
    with spent(engine, tmp_path) as http, signed_in(http, staff_token("ops_admin")) as client:
        waiting = row(engine, tables.credit_baselines, status="proposed")
        html = client.get(PAGE).text
        assert "100 200 (+100%)" in text_of(html)
        data = {"form_token": form_token(html), "tenant_id": "t1"}
        done = client.post(f"{PAGE}/baselines/{waiting['id']}/approve", data={**data, "only": "t1"})
        again = client.post(f"{PAGE}/baselines/{waiting['id']}/approve", data=data)
    assert (done.status_code, again.status_code) == (303, 404)
    assert done.headers["location"] == f"{PAGE}?tenant_id=t1"
    current = row(engine, tables.credit_baselines, status="current")
    assert (current["median_credits"], current["origin"]) == (200, "approved")
    assert row(engine, tables.tasks, kind="approval")["status"] == "complete"


@pytest.mark.parametrize("word", ["approve", "reject"])
def test_others_may_look(engine: sa.Engine, tmp_path: Path, word: str) -> None:
    with spent(engine, tmp_path) as http, signed_in(http, token("ops_build")) as client:
        waiting = row(engine, tables.credit_baselines, status="proposed")
        html = client.get(PAGE).text
        assert "To approve takes ops_admin or admin" in text_of(html)
        data = {"form_token": form_token(html), "tenant_id": "t1"}
        refused = client.post(f"{PAGE}/baselines/{waiting['id']}/{word}", data=data)
    assert refused.status_code == 403
    assert row(engine, tables.credit_baselines, status="proposed")["id"] == waiting["id"]


def test_a_console_without_runs_says_where_they_come_from(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _), signed_in(http, staff_token("ops_admin")) as client:
        page = text_of(client.get(PAGE).text)
        missing = client.get(f"{PAGE}/reviews/2026-W11")
        no_week = client.get(f"{PAGE}/reviews/later")
    assert "No run with credits is known yet." in page
    assert (missing.status_code, no_week.status_code) == (404, 404)
