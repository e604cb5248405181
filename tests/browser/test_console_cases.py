"""Credit cases as people work on them: in Chromium, without scripts; and whether the pages can be read."""

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, expect

from tests.api.v1_given import staff_token
from tests.browser.test_console import _assert_readable
from tests.lifecycle import given
from tests.lifecycle.cases_given import apply, case, holds, incident

LONG = "x" * 110


def given_cases(engine: sa.Engine) -> str:
    """A case of a SEV0 with a long name, and one of a SEV2; the id of the first."""
    given.given_world(engine)
    apply(engine, incident("SEV0", LONG, scenario=LONG, flags=("pii_exposure",)), incident("SEV2", "RUN-2"))
    return str(case(engine, severity="SEV0")["case_id"])


def test_a_case_is_acknowledged_resolved_and_reopened(
    engine: sa.Engine, console_with_sign_in: str, chromium: Browser
) -> None:
    given.given_world(engine)
    apply(engine, incident("SEV1"))
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{console_with_sign_in}/cases")
    page.get_by_label("Token").fill(staff_token("ops_admin"))
    page.keyboard.press("Enter")
    page.get_by_role("link", name="SEV1 · Credit spike · BINDER_EXPORT").click()
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("status")).to_have_text("Done. This is how it stands now.")
    assert holds(engine) == []
    found = page.get_by_role("region", name="What was found")
    found.get_by_role("button", name="Resolve").click()
    expect(page.get_by_role("alert")).to_contain_text("Say how it is kept from happening again.")
    found.get_by_label("Root cause").select_option("Misconfig")
    found.get_by_label("How it is kept from happening again").fill("The iterator has a limit.")
    found.get_by_role("button", name="Resolve").click()
    expect(page.get_by_text("The iterator has a limit.")).to_be_visible()
    page.get_by_role("button", name="Reopen").click()
    expect(page.get_by_text("Goes on from", exact=True)).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_of_cases_can_be_read(
    engine: sa.Engine, console_with_sign_in: str, chromium: Browser, width: int, scheme: str
) -> None:
    case_id = given_cases(engine)
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    for bearer in (staff_token("ops_admin"), staff_token("viewer")):
        page.goto(f"{console_with_sign_in}/sign-in")
        page.get_by_label("Token").fill(bearer)
        page.get_by_role("button", name="Sign in").click()
        for path in ("cases", "cases?status=Resolved", f"cases/{case_id}"):
            page.goto(f"{console_with_sign_in}/{path}")
            _assert_readable(page, path)
    context.close()
