"""The console's form that says what a run's cost would mean, and keeps nothing (50.8)."""

import json
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tests.api.console_given import signed_in
from tests.api.given import HOSTILE, form_token
from tests.api.test_console import text_of
from tests.api.v1_given import running, token

PAGE = "/console/credits/classify"


@pytest.fixture
def client(engine: sa.Engine) -> Iterator[TestClient]:
    """Somebody who may look, and no more."""
    with running(engine) as (http, _, _), signed_in(http, token("viewer")) as client:
        yield client


def ask(client: TestClient, **fields: str) -> tuple[int, str]:
    """Send the form; the status, and the page's text."""
    answer = client.post(PAGE, data={"form_token": form_token(client.get(PAGE).text), **fields})
    assert HOSTILE not in answer.text
    return answer.status_code, text_of(answer.text)


RECORD = {"Run_ID": "RUN-1", "Scenario_Name": "Binder", "Credits_Total": 2480, "Retry_Count": 6}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param(
            {"record": json.dumps(RECORD | {"Has_Idempotency_Key": False}), "baseline": "320", "profile": "default"},
            ["Binder", "SEV1 Variance: 7.75×", "7.75×", "High (score 7)", "retry loop", "missing idempotency"],
            id="a record with a baseline",
        ),
        pytest.param(
            {"record": json.dumps(RECORD | {"Baseline_Expected_Credits": 2000})},
            ["SEV4", "1.24×", "Keep it in the ledger ledger_only"],
            id="a record with its own baseline",
        ),
        pytest.param(
            {"credits_total": "300", "baseline": "100", "has_max_items_config": "no", "pii_exposure": "yes"},
            ["SEV0", "Medium (score 4)", "unbounded iterator", "pii exposure", "Hold the workflow", "page_lock"],
            id="fields",
        ),
        pytest.param(
            {"credits_total": "300", "baseline": "100", "is_backfill": "yes", "profile": "sintraprime"},
            ["SEV2", "Low (score -4)", "backfill mode", "Keep a case log_case_optional"],
            id="fields by the other profile",
        ),
        pytest.param(
            {"credits_total": "300", "scenario_name": HOSTILE},
            ["SEV3", "Multiplier not known", "no baseline", "weekly_review_optional"],
            id="nothing to compare with, and a hostile name",
        ),
    ],
)
def test_what_is_said(client: TestClient, fields: dict[str, str], said: list[str]) -> None:
    status, text = ask(client, **fields)
    assert status == 200
    assert [one for one in said if one not in text] == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        pytest.param({}, ["credits_total"], id="nothing"),
        pytest.param({"record": "not JSON"}, ["must be a JSON object"], id="no JSON"),
        pytest.param(
            {"record": '{"credits_total": NaN, "job_type": "Nope", "run_id": "../x"}'},
            ["credits_total", "job_type", "run_id"],
            id="every bad field of a record",
        ),
        pytest.param(
            {"credits_total": "Infinity", "retry_count": "x", "baseline": "much", "profile": "theirs"},
            ["credits_total", "retry_count", "baseline: must be a number", "profile"],
            id="every bad field of the form",
        ),
    ],
)
def test_what_is_wrong_is_named(client: TestClient, fields: dict[str, str], named: list[str]) -> None:
    status, text = ask(client, **fields)
    assert status == 422
    assert [one for one in named if one not in text] == []
    assert "What would follow" not in text


def test_what_was_typed_stays_in_the_form(client: TestClient) -> None:
    fields = {"credits_total": "much", "status": "timed_out", "is_backfill": "no", "regulatory_data": "yes"}
    html = client.post(PAGE, data={"form_token": form_token(client.get(PAGE).text), **fields}).text
    assert 'name="credits_total" value="much"' in html
    assert '<option value="timed_out" selected>' in html
    assert 'name="regulatory_data" value="yes" checked' in html


def test_another_site_s_form_is_refused(client: TestClient) -> None:
    assert client.post(PAGE, data={"form_token": "x", "credits_total": "1"}).status_code == 403


@pytest.mark.parametrize("name", ["record", "scenario_name"])
def test_half_a_character_is_none(client: TestClient, name: str) -> None:
    fields = {"form_token": form_token(client.get(PAGE).text), "credits_total": "x", name: "\\ud800"}
    parts = [f'--b\r\nContent-Disposition: form-data; name="{one}"\r\n\r\n{value}\r\n' for one, value in fields.items()]
    kind = {"content-type": "multipart/form-data; boundary=b; charset=raw_unicode_escape"}
    assert client.post(PAGE, content="".join([*parts, "--b--\r\n"]), headers=kind).status_code == 422


def test_nothing_is_written(client: TestClient, engine: sa.Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        tables = [name for name in sa.inspect(connection).get_table_names() if name != "alembic_version"]
        count = sa.text(" UNION ALL ".join(f'SELECT count(*) FROM "{name}"' for name in tables))
        before = connection.execute(count).scalars().all()
        assert ask(client, credits_total="3000", baseline="10")[0] == 200
        assert connection.execute(count).scalars().all() == before
