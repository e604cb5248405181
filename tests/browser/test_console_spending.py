"""What was spent over time, in Chromium: from the workflows to a burst's decision; and whether it can be read."""

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, expect

from lifecycle import tables
from tests.api.test_console_spending import BURST, given_spending, told
from tests.api.v1_given import staff_token
from tests.browser.test_console import _assert_readable
from tests.lifecycle import given
from tests.lifecycle.given import row
from tests.sinks.given import T0
from tests.sinks.test_spend_tasks import of


def test_a_burst_is_found_from_the_list_of_workflows(
    engine: sa.Engine, console_with_sign_in: str, chromium: Browser
) -> None:
    given.given_world(engine)
    given_spending(engine, told())
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{console_with_sign_in}/credits")
    page.get_by_label("Token").fill(staff_token("ops_admin"))
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Nightly invoices").first.click()
    expect(page.get_by_role("img", name="Credits by hour: 168 hours")).to_be_visible()
    page.get_by_text("168 hours, the newest first").click()
    expect(page.get_by_role("row", name="04 Mar 09:00 1,110 anomaly")).to_be_visible()
    page.get_by_role("link", name="Burst").click()
    expect(page.get_by_text("An hour spent more than such an hour ever did.")).to_be_visible()
    expect(page.get_by_role("link", name="Find out why “Nightly invoices” spends more than usual")).to_be_visible()
    context.close()


def test_a_storm_is_one_task_that_leads_to_each_of_its_decisions(
    engine: sa.Engine, console_with_sign_in: str, chromium: Browser
) -> None:
    given.given_world(engine)
    given_spending(engine, *(of(number, after=BURST - T0, spent=100.0 * number) for number in range(1, 13)))
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{console_with_sign_in}/tasks")
    page.get_by_label("Token").fill(staff_token("ops_admin"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("Find out why Acme spends more than usual: 12 bursts")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="scenario:S12")).not_to_be_visible()
    page.get_by_text("12 bursts; the 10 furthest above what was expected").click()
    expect(page.get_by_role("listitem").filter(has_text="scenario:S12")).to_be_visible()
    page.get_by_role("link", name="All 12, each with its evidence").click()
    expect(page.get_by_role("link", name="Spend anomaly")).to_have_count(12)
    page.get_by_role("link", name="Spend anomaly").first.click()
    expect(page.get_by_text("It joined a task that operations have for others like it")).to_be_visible()
    page.get_by_role("link", name="Find out why Acme spends more than usual: 12 bursts").click()
    expect(page.get_by_role("heading", name="Tasks")).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_of_spending_can_be_read(
    engine: sa.Engine, console_with_sign_in: str, chromium: Browser, width: int, scheme: str
) -> None:
    given.given_world(engine)
    many = [of(number, after=BURST - T0) for number in range(12)]
    given_spending(engine, told(), *many, of(20, workflow_id="scenario:" + "x" * 119, after=BURST - T0))
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{console_with_sign_in}/sign-in")
    page.get_by_label("Token").fill(staff_token("ops_admin"))
    page.get_by_role("button", name="Sign in").click()
    task = row(engine, tables.tasks)
    for path in (
        "credits",
        "credits?tenant_id=t1",
        "credits?tenant_id=nobody",
        "credits/spending?tenant_id=t1&workflow_id=wf1",
        "credits/spending?tenant_id=t1&by=day",
        "tasks",
        f"decisions?task_id={task['id']}",
        f"decisions/{task['decision_id']}",
    ):
        page.goto(f"{console_with_sign_in}/{path}")
        for summary in page.locator("summary").all():
            summary.click()
        _assert_readable(page, path)
    context.close()
