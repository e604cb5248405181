"""A proposed baseline is approved in the inbox: in Chromium, without scripts; and whether that can be read."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, expect

from lifecycle.actors import WORKER
from lifecycle.credits.baselines import update_baselines
from lifecycle.credits.iso_weeks import period_of
from lifecycle.options import LifecycleOptions
from tests.api.v1_given import staff_token
from tests.browser.test_console import _assert_readable
from tests.lifecycle import given
from tests.lifecycle.ledger_given import entry, spend

MONDAY, END = period_of("2026-W10")
TASK = "Approve the baseline of “export”: 100 → 200 credits"


def given_proposal(engine: sa.Engine) -> None:
    """A scenario whose runs cost twice as much as they did."""
    given.given_world(engine)
    before = [entry(MONDAY - timedelta(days=20, hours=hour), 100) for hour in range(8)]
    spend(engine, [*before, *[entry(MONDAY + timedelta(hours=12 * number), 200) for number in range(13)]])
    with engine.begin() as connection:
        for at in (MONDAY - timedelta(days=19), END):
            update_baselines(connection, at, actor_context=WORKER, options=LifecycleOptions())


def test_it_is_approved(engine: sa.Engine, console: str, chromium: Browser) -> None:
    given_proposal(engine)
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{console}/tasks")
    row = page.get_by_role("row").filter(has_text=TASK)
    expect(row).to_contain_text("100 → 200 credits (+100%), from 21 healthy runs")
    expect(row.get_by_role("button", name="Complete")).to_have_count(0)
    row.get_by_role("button", name=f"Approve: {TASK}").click()
    page.get_by_label("Your name").fill("Ada")
    page.get_by_role("button", name="Approve the baseline").click()
    expect(page.get_by_role("status")).to_have_text("The baseline is in force. Runs are compared with it from now on.")
    expect(row).to_have_count(0)
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_it_can_be_read(
    engine: sa.Engine, console_with_sign_in: str, chromium: Browser, width: int, scheme: str
) -> None:
    given_proposal(engine)
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    for bearer in (staff_token("ops_admin"), staff_token("viewer")):
        page.goto(f"{console_with_sign_in}/sign-in")
        page.get_by_label("Token").fill(bearer)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Tasks")
        _assert_readable(page, "tasks")
    context.close()
