"""The form that classifies a run, in Chromium, without scripts; and whether it can be read."""

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, expect

from tests.api.v1_given import staff_token
from tests.browser.test_console import _assert_readable
from tests.lifecycle import given


def test_a_run_is_classified(engine: sa.Engine, console_with_sign_in: str, chromium: Browser) -> None:
    given.given_world(engine)
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{console_with_sign_in}/credits")
    page.get_by_label("Token").fill(staff_token("viewer"))
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Classify a run").click()
    pasted = page.get_by_role("region", name="Paste a record")
    pasted.get_by_label("Record", exact=True).fill(
        '{"Scenario_Name": "Binder", "Credits_Total": 2480, "Retry_Count": 6}'
    )
    pasted.get_by_label("Baseline").fill("320")
    pasted.get_by_role("button", name="Classify the record").click()
    found = page.get_by_role("region", name="Binder")
    expect(found).to_contain_text("SEV1")
    expect(found).to_contain_text("Hold the workflow until somebody acknowledges")
    expect(pasted.get_by_label("Baseline")).to_have_value("320")

    filled = page.get_by_role("region", name="Fill in fields")
    filled.get_by_label("Credits", exact=True).fill("much")
    filled.get_by_label("Has an idempotency key").select_option("No")
    filled.get_by_role("button", name="Classify these fields").click()
    expect(page.get_by_role("alert")).to_contain_text("credits_total: must be a number")
    expect(filled.get_by_label("Has an idempotency key")).to_have_value("no")
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_it_can_be_read(
    engine: sa.Engine, console_with_sign_in: str, chromium: Browser, width: int, scheme: str
) -> None:
    given.given_world(engine)
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{console_with_sign_in}/credits/classify")
    page.get_by_label("Token").fill(staff_token("viewer"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Classify a run")
    _assert_readable(page, "empty")
    filled = page.get_by_role("region", name="Fill in fields")
    filled.get_by_label("Credits", exact=True).fill("30000")
    filled.get_by_label("Baseline").fill("100")
    filled.get_by_label("Personal data is exposed").check()
    filled.get_by_role("button", name="Classify these fields").click()
    expect(page.get_by_role("heading", name="What would follow")).to_be_visible()
    _assert_readable(page, "classified")
    context.close()
