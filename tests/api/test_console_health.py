"""The console's page of what does not work."""

import sqlalchemy as sa

from lifecycle import tables
from lifecycle.credits.job_records import NEWEST
from tests.api.console_given import signed_in
from tests.api.test_console import text_of
from tests.api.v1_given import running, staff_token, token

PAGE = "/console/health"


def given_trouble(engine: sa.Engine) -> None:
    """Mail fails, and a deploy of each tenant hangs."""
    with engine.begin() as connection:
        connection.execute(
            sa.insert(tables.channel_outages).values(channel="email", failures=7, failing_since=sa.func.now())
        )
        connection.execute(
            sa.insert(tables.notion_outages).values(
                part="api", fault="busy", failures=6, failing_since=sa.func.now(), left_alone_until=sa.func.now()
            )
        )
        connection.execute(
            sa.insert(tables.platform_intents),
            [
                {
                    "tenant_id": f"t{n}",
                    "automation_version_id": f"v{n}",
                    "kind": "deploy",
                    "wrk_workflow_id": f"wf{n}",
                    "idempotency_key": f"deploy:{n}",
                    "actor": "u9",
                }
                for n in (1, 2)
            ],
        )


def test_staff_see_what_fails_and_tenants_their_own_questions_alone(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _):
        with signed_in(http, staff_token("viewer")) as client:
            quiet = text_of(client.get(PAGE).text)
            assert "None is failing." in quiet
            assert "the platform is as it should be" in quiet
            given_trouble(engine)
            page = text_of(client.get(PAGE).text)
            assert "Email 2" in page
            assert "UTC 7 Notion 2" in page
            assert "UTC 6 What could not be delivered" in page
            assert ("v1 Deploy Open" in page, "v2 Deploy Open" in page) == (True, True)
        with signed_in(http, token("viewer")) as client:
            page = text_of(client.get(PAGE).text)
            assert "staff for all tenants see them" in page
            assert ("v1 Deploy Open" in page, "v2 Deploy Open" in page) == (True, False)


def given_jobs(engine: sa.Engine) -> None:
    """A tick of the calendar that failed, and since then more records of a webhook than are shown."""
    at = sa.text("timestamptz '2026-01-25 23:00+00'")
    common = {"tick": at, "started_at": at, "ended_at": at, "leased_until": at}
    with engine.begin() as connection:
        connection.execute(
            sa.insert(tables.credit_job_runs).values(
                **common, job="update_baselines", tries=3, outcome="failed", error="TimedOutError"
            )
        )
        for number in range(NEWEST + 1):
            later = sa.text(f"timestamptz '2026-01-26 10:0{number}+00'")
            brought = {"job": "log", "tries": 1, "outcome": "done", "made": 12, "origin": "webhook", "asked_by": "make"}
            connection.execute(
                sa.insert(tables.credit_job_runs).values(
                    **common | brought | {"started_at": later, "request_key": str(number)}
                )
            )


def test_staff_see_what_became_of_jobs_whatever_webhooks_bring(engine: sa.Engine) -> None:
    with running(engine) as (http, _, _):
        with signed_in(http, staff_token("viewer")) as client:
            assert "None has run yet." in text_of(client.get(PAGE).text)
            given_jobs(engine)
            page = text_of(client.get(PAGE).text)
        with signed_in(http, token("viewer")) as client:
            of_a_tenant = text_of(client.get(PAGE).text)
    assert "Update baselines Calendar 2026-01-25 23:00:00 UTC Failed TimedOutError 3 — 2026-01-25" in page
    assert page.count("Log Webhook: make") == NEWEST
    assert page.index("Log Webhook") < page.index("Update baselines")
    assert "Update baselines" not in of_a_tenant
