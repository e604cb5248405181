"""The console as people use it: in Chromium, without scripts, wide and narrow, light and dark."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from lifecycle import tables
from tests.api.given import HOSTILE, apply, blacklisting, decision, given_world, stuck
from tests.api.v1_given import staff_token, token
from tests.lifecycle.guard_given import apply as apply_all
from tests.lifecycle.guard_given import block_of, given_tenants

#: The lowest contrast of any text on the page, and that text. Backgrounds are the nearest that are not transparent.
LOWEST_CONTRAST = """() => {
  const rgba = (value) => value.match(/[\\d.]+/g).map(Number);
  const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  let lowest = [21, "nothing"];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join(" ").trim();
    if (!text || !element.checkVisibility()) continue;
    let behind = element, opacity = 1;
    for (let e = element; e; e = e.parentElement) opacity *= Number(getComputedStyle(e).opacity);
    while (behind && (rgba(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
    const back = rgba(getComputedStyle(behind ?? document.body).backgroundColor);
    const front = rgba(getComputedStyle(element).color).map((c, i) => c * opacity + back[i] * (1 - opacity));
    const [a, b] = [light(front), light(back)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < lowest[0]) lowest = [contrast, text];
  }
  return lowest;
}"""
MEMBERS: dict[str, list[dict[str, object]]] = {
    "users": [{"id": "ada", "email": "ada@northwind.example", "display_name": "Ada"}],
    "memberships": [{"tenant_id": "northwind", "user_id": "ada", "roles": ["ops_qa"]}],
}
#: Rows that are cards on a phone, and are not as high as what is in them.
OVERFLOWING_CARDS = """[...document.querySelectorAll('.list tbody tr')]
  .filter(row => getComputedStyle(row).display === 'flex' && row.scrollHeight > row.clientHeight + 1)
  .map(row => row.innerText)"""
WIDTH = "[document.documentElement.scrollWidth, window.innerWidth]"


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser without scripts and without a past."""
    fresh = chromium.new_context(java_script_enabled=False)
    fresh.set_default_timeout(15_000)
    yield fresh
    fresh.close()


def test_a_block_is_seen_claimed_and_completed(engine: sa.Engine, console: str, context: BrowserContext) -> None:
    given_world(engine, decision("block"))
    page = context.new_page()
    page.goto(console)
    expect(page).to_have_title("Tasks · Breakwater")
    row = page.get_by_role("row").filter(has_text="Renew the credentials for Salesforce")
    expect(row).to_contain_text("Unclaimed")

    row.get_by_role("button", name="Claim").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Who are you?")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_role("button", name="Claim the task").click()
    expect(page.get_by_role("status")).to_have_text("The task is yours.")
    expect(row).to_contain_text("In progress")
    expect(row).to_contain_text("Ada")

    row.get_by_role("link", name="why").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Block for credentials")
    expect(page.get_by_role("row").filter(has_text="Refused in a row")).to_contain_text("at least 3")
    expect(page.get_by_text("run-4713:failure")).to_be_visible()
    expect(page.get_by_text("The automation was blocked.")).to_be_visible()

    page.get_by_role("link", name="Tasks", exact=True).click()
    row.get_by_role("button", name="Complete").click()
    expect(page.get_by_role("status")).to_have_text("The task is complete.")
    expect(row).to_have_count(0)
    page.get_by_label("Show").select_option("complete")
    page.get_by_role("button", name="Filter").click()
    expect(row).to_contain_text("Complete")
    assert page.url.endswith("/console/tasks?status=complete&kind=")


def test_two_people_at_one_task(engine: sa.Engine, console: str, chromium: Browser) -> None:
    given_world(engine, decision("block"))
    pages = []
    for name in ("Ada", "Otto"):
        page = chromium.new_context().new_page()
        page.goto(f"{console}/operator")
        page.get_by_label("Your name").fill(name)
        page.get_by_role("button", name="Keep this name").click()
        expect(page.get_by_role("status")).to_have_text("Your name is kept in this browser.")
        pages.append(page)
    for page in pages:
        page.get_by_role("button", name="Claim: Renew the credentials for Gmail").click()
    expect(pages[0].get_by_role("status")).to_have_text("The task is yours.")
    expect(pages[1].get_by_role("status")).to_contain_text("Somebody changed this task meanwhile")
    expect(pages[1].get_by_role("button", name="Take over: Renew the credentials for Gmail")).to_be_visible()
    for page in pages:
        page.context.close()


def test_hostile_text_stays_text(engine: sa.Engine, console: str, chromium: Browser) -> None:
    hostile = decision(
        "hostile",
        evidence=[HOSTILE[:128]],
        detail={"failed_systems": ["salesforce"], HOSTILE: [HOSTILE]},
        observed={"system_key": "salesforce", HOSTILE: HOSTILE},
    )
    given_world(engine)
    with engine.begin() as connection:
        for table in (tables.tenants, tables.automations, tables.workflows):
            connection.execute(sa.update(table).values(name=HOSTILE))
    apply(engine, hostile)
    context = chromium.new_context()
    page = context.new_page()
    for path in ("tasks", "decisions", f"decisions/{hostile.decision_id}"):
        page.goto(f"{console}/{path}")
        expect(page).to_have_title(("Block for credentials" if "/" in path else path.title()) + " · Breakwater")
        expect(page.get_by_text(HOSTILE[:50]).filter(visible=True)).not_to_have_count(0)
        assert page.locator("script, img:not([src^='/static/'])").count() == 0
    context.close()


def test_somebody_signs_in_sees_the_block_completes_the_task_and_unblocks(
    engine: sa.Engine, console_with_sign_in: str, context: BrowserContext
) -> None:
    given_world(engine, decision("block", detail={"failed_systems": ["salesforce"]}), **MEMBERS)
    page = context.new_page()
    page.goto(f"{console_with_sign_in}/automations?status=Blocked")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.get_by_label("Token").fill("not this one")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This token lets nobody in")
    page.get_by_label("Token").fill(token("ops_qa", subject="ada", tenant_id="northwind"))
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("Automations")
    assert page.url.endswith("/console/automations?status=Blocked"), "signing in leads to what was asked for"
    page.get_by_role("link", name="Invoice sync").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Invoice sync version 3")
    expect(page.get_by_text("The credentials for Salesforce are invalid or have expired.")).to_be_visible()
    expect(page.get_by_role("button", name="Unblock", exact=True)).to_be_disabled()
    expect(page.get_by_role("button", name="Override the block")).to_be_disabled()
    expect(page.get_by_text("It takes ops_admin or admin.")).to_be_visible()

    page.get_by_role("link", name="Work on them").click()
    page.get_by_role("button", name="Complete: Renew the credentials for Salesforce").click()
    expect(page.get_by_role("status")).to_contain_text("the automation can be unblocked now")
    way = page.get_by_role("region", name="Unblock", exact=True)
    way.get_by_label("Reason").fill("Renewed, and tried")
    way.get_by_role("button", name="Unblock").click()
    expect(page.get_by_role("status")).to_have_text("Done. This is how it stands now.")
    expect(page.get_by_role("listitem").filter(has_text="Blocked → Live")).to_contain_text("ada")

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.goto(f"{console_with_sign_in}/tasks")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_what_is_hard_to_take_back_wants_a_box_ticked(engine: sa.Engine, console: str, context: BrowserContext) -> None:
    given_world(engine)
    page = context.new_page()
    page.goto(f"{console}/operator")
    page.get_by_label("Your name").fill("Ada")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Your name is kept in this browser.")
    page.goto(f"{console}/automations/v2")
    page.get_by_role("button", name="Archive").click()
    expect(page.get_by_role("checkbox", name="Archive it: nothing leads back.")).to_be_focused()
    expect(page.get_by_role("heading", level=1)).to_have_text("Order confirmation mails version 1")
    with engine.connect() as connection:
        statuses = connection.execute(sa.select(tables.automation_versions.c.status)).scalars().all()
    assert "Archived" not in statuses


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_new_pages_can_be_read(
    engine: sa.Engine, console_with_sign_in: str, chromium: Browser, width: int, scheme: str
) -> None:
    long_name = "x" * 128
    given_world(
        engine,
        decision("block"),
        automations=[{"id": "a9", "tenant_id": "fabrikam", "name": long_name}],
        automation_versions=[
            {"id": "v9", "tenant_id": "fabrikam", "automation_id": "a9", "version": 1, "status": "QA & Testing"}
        ],
        **MEMBERS,
    )
    with engine.begin() as connection:
        connection.execute(sa.update(tables.automations).where(tables.automations.c.id == "a1").values(name=long_name))
        connection.execute(
            sa.insert(tables.channel_outages).values(channel="email", failures=9, failing_since=sa.func.now())
        )
    given_tenants(engine, 6)
    apply_all(engine, [block_of(number, "crm", at=number) for number in range(6)])
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{console_with_sign_in}/sign-in")
    _assert_readable(page, "sign-in")
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    _assert_readable(page, "sign-in, refused")
    for bearer in (staff_token("ops_admin", "admin", subject="s" * 60), staff_token("viewer")):
        page.goto(f"{console_with_sign_in}/sign-in")
        page.get_by_label("Token").fill(bearer)
        page.get_by_role("button", name="Sign in").click()
        for path in ("automations", "automations?status=Paused", "automations/v1", "automations/v9", "guard", "health"):
            page.goto(f"{console_with_sign_in}/{path}")
            for summary in page.locator("summary").all():
                summary.click()
            _assert_readable(page, path)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_can_be_read(engine: sa.Engine, console: str, chromium: Browser, width: int, scheme: str) -> None:
    trip = blacklisting()
    long_name = "x" * 128
    given_world(
        engine,
        decision("block", evidence=[long_name], detail={"failed_systems": ["gmail"], "execution_id": long_name}),
        *(stuck(f"exec-{number}", number) for number in range(1, 6)),
        trip,
        automations=[{"id": "a9", "tenant_id": "fabrikam", "name": long_name}],
        workflows=[{"workflow_id": "wf9", "tenant_id": "fabrikam", "name": long_name}],
    )
    with engine.begin() as connection:
        connection.execute(sa.update(tables.automations).where(tables.automations.c.id == "a1").values(name=long_name))
        connection.execute(sa.update(tables.tasks).values(assignee_user_id=f"operator:{'y' * 80}"))
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if "400" not in message.text else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    for path in (
        "tasks",
        "tasks?kind=approval",
        "decisions",
        f"decisions/{decision('block').decision_id}",
        f"decisions/{trip.decision_id}",
        "blacklist",
        "operator",
        "tasks?cursor=x",
    ):
        page.goto(f"{console}/{path}")
        _assert_readable(page, path)
    assert faults == []
    context.close()


def _assert_readable(page: Page, path: str) -> None:
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    faults = [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found]
    assert faults == [], f"{path}: {faults}"
    needed, there = page.evaluate(WIDTH)
    assert needed <= there, f"{path} scrolls sideways"
    assert page.evaluate(OVERFLOWING_CARDS) == [], f"{path}: text runs over the edge of its card"
    contrast, text = page.evaluate(LOWEST_CONTRAST)
    assert contrast >= 4.5, f"{path}: {text!r} has a contrast of {contrast:.2f}"
