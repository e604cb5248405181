"""The console's page of the guard: what waits, who decides, and what tenants see of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from lifecycle import tables
from tests.api.console_given import signed_in
from tests.api.given import HOSTILE, browser, form_token
from tests.api.test_console import text_of
from tests.api.v1_given import running, staff_token, token
from tests.lifecycle.given import row, rows
from tests.lifecycle.guard_given import apply, block_of, given_tenants, statuses

PAGE = "/console/guard"
ADMIN = "ops_admin"
NOBODY = "00000000-0000-4000-8000-000000000000"


@contextmanager
def outage(engine: sa.Engine) -> Iterator[TestClient]:
    """Salesforce refuses the credentials of six tenants at once."""
    with running(engine) as (http, _, _):
        given_tenants(engine, 6)
        apply(engine, [block_of(number, "crm", at=number) for number in range(6)])
        assert statuses(engine) == {}
        yield http


def hold_of(engine: sa.Engine, number: int) -> Any:
    """The hold of a tenant's automation."""
    return row(engine, tables.holds, tenant_id=f"t{number:03}")


def answer(client: TestClient, address: str, **fields: str) -> tuple[int, str]:
    """Send a form of the page; the status, and the text of the page that comes of it."""
    data = {"form_token": form_token(client.get(PAGE).text), **fields}
    response = client.post(f"{PAGE}/{address}", data=data)
    if response.status_code == 303:
        return 303, text_of(client.get(response.headers["location"]).text)
    return response.status_code, text_of(response.text)


def test_an_outage_is_shown_with_what_it_holds(engine: sa.Engine) -> None:
    with outage(engine) as http, signed_in(http, staff_token(ADMIN)) as client:
        html = client.get(PAGE).text
    page = text_of(html)
    assert "Salesforce open Refuses the credentials of 6 tenants at once." in page
    assert page.count("Block for credentials Automation 00") == 6
    assert "Provider incident had been done, and was taken back Tenant 000 Salesforce" in page
    assert 'href="/console/automations/v003"' in html


def test_an_incident_ends_by_hand_and_what_it_held_with_it(engine: sa.Engine) -> None:
    with outage(engine) as http, signed_in(http, staff_token(ADMIN)) as client:
        incident = row(engine, tables.provider_incidents)["id"]
        status, page = answer(client, f"incidents/{incident}/end")
        assert (status, "The incident is over. What it held is judged again on fresh evidence." in page) == (303, True)
        assert "None is open." in page
        assert "Nothing waits." in page
        assert page.count("Ended with its incident") == 6
        assert "That was done already." in answer(client, f"incidents/{incident}/end")[1]
    assert row(engine, tables.provider_incidents)["closed_by"] == "u9"


def test_the_task_of_an_incident_is_in_the_inbox_of_staff_for_all_tenants(engine: sa.Engine) -> None:
    title = "Salesforce refuses the credentials of many tenants at once"
    with outage(engine) as http:
        for bearer, sees in [
            (staff_token("ops_qa"), True),
            (staff_token("ops_qa", tenants=["t001"]), False),
            (token("ops_qa"), False),
        ]:
            with signed_in(http, bearer) as client:
                assert (title in client.get("/console/tasks").text) is sees
        with signed_in(http, staff_token("ops_qa")) as client:
            tasks = client.get("/console/tasks").text
            found = re.search(r'formaction="(/console/tasks/[^"]+/complete)"', tasks)
            assert found is not None
            data = {"form_token": form_token(tasks), "version": "1"}
            with signed_in(http, token("ops_admin")) as other:
                theirs = {**data, "form_token": form_token(other.get("/console/guard").text)}
                assert other.post(found[1], data=theirs).status_code == 404
            assert client.post(found[1], data=data).status_code == 303
    assert row(engine, tables.tasks, title=title)["status"] == "complete"


def test_a_released_decision_is_done_in_ones_own_name(engine: sa.Engine) -> None:
    with outage(engine) as http, signed_in(http, staff_token(ADMIN)) as client:
        hold = hold_of(engine, 3)["id"]
        status, page = answer(client, f"holds/{hold}/release", reason="This one is really revoked")
        assert (status, "The decision was released." in page) == (303, True)
        assert "Released Tenant 003 This one is really revoked" in page
        assert "That was done already." in answer(client, f"holds/{hold}/release")[1]
        status, page = answer(client, f"holds/{hold}/reject", reason="No")
        assert (status, "Nothing was done. This decision no longer waits" in page) == (409, True)
    assert statuses(engine) == {"v003": "Blocked"}
    assert hold_of(engine, 3)["ended_by"] == "u9"


def test_a_decision_is_rejected_with_a_reason_only(engine: sa.Engine) -> None:
    with outage(engine) as http, signed_in(http, staff_token(ADMIN)) as client:
        hold = hold_of(engine, 2)["id"]
        status, page = answer(client, f"holds/{hold}/reject", reason="  ")
        assert (status, "Nothing was done. Say why the decision is rejected." in page) == (400, True)
        status, page = answer(client, f"holds/{hold}/reject", reason="They never used it")
        assert (status, "Rejected Tenant 002 They never used it" in page) == (303, True)
    assert statuses(engine) == {}


@pytest.mark.parametrize(
    ("roles", "may"),
    [
        pytest.param([ADMIN], True, id="operations' admins decide"),
        pytest.param(["ops_qa"], False, id="other operations look"),
        pytest.param(["platform_admin"], False, id="platform admins look"),
        pytest.param(["viewer"], False, id="viewers look"),
    ],
)
def test_roles_decide_who_decides(engine: sa.Engine, roles: list[str], may: bool) -> None:
    with outage(engine) as http, signed_in(http, staff_token(*roles)) as client:
        html = client.get(PAGE).text
        assert ("To decide takes ops_admin or admin." in html) is not may
        assert ("<button disabled" in html) is not may
        assert (f"{PAGE}/holds/" in html) is may
        incident = row(engine, tables.provider_incidents)["id"]
        expected = 303 if may else 403
        assert answer(client, f"holds/{hold_of(engine, 1)['id']}/release")[0] == expected
        assert answer(client, f"incidents/{incident}/end")[0] == expected
    assert len(statuses(engine)) == (1 if may else 0)


def test_a_tenant_sees_its_own_holds_and_no_incident(engine: sa.Engine) -> None:
    with outage(engine) as http:
        with engine.begin() as connection:
            connection.execute(
                sa.insert(tables.memberships).values(tenant_id="t001", user_id="u1", roles=[ADMIN, "viewer"])
            )
        with signed_in(http, token(ADMIN, subject="u1", tenant_id="t001")) as client:
            page = text_of(client.get(PAGE).text)
            assert page.count("Block for credentials Automation 00") == 1
            assert "Automation 001" in page
            assert "They are of the platform" in page
            assert "Refuses the credentials" not in page
            assert answer(client, f"holds/{hold_of(engine, 2)['id']}/release")[0] == 404
            assert answer(client, f"incidents/{row(engine, tables.provider_incidents)['id']}/end")[0] == 403
            assert answer(client, f"holds/{hold_of(engine, 1)['id']}/release")[0] == 303
    assert statuses(engine) == {"v001": "Blocked"}


def test_staff_of_some_tenants_see_theirs(engine: sa.Engine) -> None:
    with outage(engine) as http, signed_in(http, staff_token(ADMIN, tenants=["t004"])) as client:
        page = text_of(client.get(PAGE).text)
        assert page.count("Block for credentials Automation 00") == 1
        assert answer(client, f"holds/{hold_of(engine, 0)['id']}/reject", reason="No")[0] == 404


@pytest.mark.parametrize(
    ("address", "status"),
    [
        pytest.param(f"holds/{NOBODY}/release", 404, id="no such hold"),
        pytest.param(f"incidents/{NOBODY}/end", 404, id="no such incident"),
        pytest.param("holds/1/release", 404, id="no id"),
        pytest.param(f"holds/{NOBODY}/forget", 404, id="no such answer"),
    ],
)
def test_what_there_is_not_is_not_found(engine: sa.Engine, address: str, status: int) -> None:
    with running(engine) as (http, _, _), signed_in(http, staff_token(ADMIN)) as client:
        assert "Nothing waits." in client.get(PAGE).text
        assert answer(client, address)[0] == status


def test_hostile_text_is_shown_as_text(engine: sa.Engine) -> None:
    with outage(engine) as http, signed_in(http, staff_token(ADMIN)) as client:
        with engine.begin() as connection:
            for table in (tables.tenants, tables.automations, tables.workflows):
                connection.execute(sa.update(table).values(name=HOSTILE))
            connection.execute(sa.update(tables.systems).values(display_name=HOSTILE))
        assert answer(client, f"holds/{hold_of(engine, 2)['id']}/reject", reason=HOSTILE)[0] == 303
        html = client.get(PAGE).text
    assert "<script" not in html
    assert "<img src=x" not in html
    assert len(re.findall("&lt;script&gt;", html)) > 6


def test_without_sign_in_the_operator_decides_under_their_name(engine: sa.Engine, database_url: str) -> None:
    with outage(engine):
        pass
    hold = hold_of(engine, 5)["id"]
    with browser(database_url, name=None) as client:
        data = {"form_token": form_token(client.get(PAGE).text)}
        assert client.post(f"{PAGE}/holds/{hold}/release", data=data).headers["location"] == "/console/operator"
    with browser(database_url, name="Ada") as client:
        assert answer(client, f"holds/{hold}/release")[0] == 303
        incident = row(engine, tables.provider_incidents)["id"]
        assert answer(client, f"incidents/{incident}/end")[0] == 303
    assert row(engine, tables.provider_incidents)["closed_by"] == "operator:Ada"
    assert {one["status"] for one in rows(engine, tables.holds)} == {"released", "ended"}
