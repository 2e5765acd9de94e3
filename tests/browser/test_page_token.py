"""The page of a gateway that needs a token."""

from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, expect

from app.simulator import Simulator
from tests.gateway import calling, of_type, running_gateway, settings_for

from .conftest import ConsoleMonitor, is_connection_refused
from .conversation_page import ask, start
from .library_page import collect_received, gateway_for, url_of
from .token_gateway import KEY, is_refusal, mint, needing_token

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def enter(page: Page, token: str) -> None:
    await page.fill("#token", token)
    await page.press("#token", "Enter")


async def stored(page: Page) -> str:
    """Return all that the browser keeps for the page."""
    kept: str = await page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])")
    return kept


async def test_it_asks_for_a_token_and_keeps_it_for_the_tab(
    page: Page, simulator: Simulator
) -> None:
    """After a reload the same token opens the same session; it is in no address."""
    token = mint()
    events = collect_received(page)
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.on("websocket", lambda socket: addresses.append(socket.url))
    async with gateway_for(page, needing_token(simulator)) as endpoint:
        await page.goto(url_of(endpoint))
        await expect(page.locator("#start")).to_be_hidden()
        field = page.get_by_label("رمز الدخول")
        await expect(field).to_have_attribute("type", "password")
        await page.click("#language")
        await expect(page.get_by_label("Token")).to_be_visible()
        await enter(page, token)
        await expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        await expect(page.locator("#token-form")).to_be_hidden()
        await ask(page)
        await start(page, endpoint)
        await expect(page.locator("#token-form")).to_be_hidden()
        await ask(page)
        assert token in await stored(page)
    assert [event["session_id"] for event in of_type(events, "session")] == ["visit-1", "visit-1"]
    assert not [address for address in addresses if token in address]


async def test_another_tab_does_not_have_the_token(page: Page, simulator: Simulator) -> None:
    async with gateway_for(page, needing_token(simulator)) as endpoint:
        await page.goto(url_of(endpoint))
        await enter(page, mint())
        await expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        other = await page.context.new_page()
        await other.goto(url_of(endpoint))
        await expect(other.locator("#token-form")).to_be_visible()
        await other.close()


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("guessed", "does not accept this token"),
        ("two words", "does not accept this token"),
        (mint(ttl_s=-60), "has expired"),
        (mint("taken", subject="somebody"), "for another conversation"),
    ],
    ids=["invalid", "unsendable", "expired", "foreign"],
)
async def test_a_refused_token_is_forgotten_and_the_reason_told(
    page: Page, simulator: Simulator, console: ConsoleMonitor, token: str, reason: str
) -> None:
    """The reason is shown in the page's language, and a right token goes on from there."""
    console.is_expected = is_refusal
    async with gateway_for(page, needing_token(simulator)) as endpoint:
        async with calling(f"{endpoint}taken/?token={KEY}"):
            pass
        await page.goto(url_of(endpoint))
        await page.click("#language")
        await enter(page, token)
        await expect(page.locator("#token-problem")).to_contain_text(reason)
        await expect(page.locator("#announcer")).to_contain_text(reason)
        await expect(page.locator("#token")).to_be_focused()
        await expect(page.locator("#token")).to_have_attribute("aria-invalid", "true")
        await expect(page.locator("#token")).to_have_value("")
        await expect(page.locator(".notice")).to_have_count(0)
        assert token not in await stored(page)
        await enter(page, KEY)
        await expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        await expect(page.locator("#token-form")).to_be_hidden()
        await ask(page)


async def test_a_token_that_expires_during_the_conversation(
    page: Page, simulator: Simulator, console: ConsoleMonitor
) -> None:
    """After a loss the page asks for a new one, and the conversation goes on."""
    console.is_expected = lambda entry: is_refusal(entry) or is_connection_refused(entry)
    async with running_gateway(needing_token(simulator)) as endpoint:
        await page.goto(url_of(endpoint))
        await enter(page, mint())
        await expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        await ask(page, "الأول")
    # The other secret stands for the time that passes.
    changed = needing_token(simulator, client_jwt_secret="another secret of thirty-two bytes")
    async with running_gateway(changed, port=urlsplit(endpoint).port or 0):
        await page.evaluate("dispatchEvent(new Event('online'))")
        await expect(page.locator("#token-problem")).not_to_be_empty()
        await enter(page, KEY)
        await expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        await expect(page.locator(".turn")).not_to_have_count(0)
        await ask(page, "الثاني")
        await page.goto("about:blank")


async def test_a_full_gateway_says_when_it_tries_again(
    page: Page, simulator: Simulator, console: ConsoleMonitor
) -> None:
    """The token stays, for it was not the reason."""
    console.is_expected = is_refusal
    async with gateway_for(page, needing_token(simulator, max_sessions=1)) as endpoint:
        async with calling(f"{endpoint}?token={KEY}"):
            await page.goto(url_of(endpoint))
            await page.click("#language")
            await enter(page, KEY)
            await expect(page.locator("#connection-text")).to_contain_text("Full, again in 1")
            await expect(page.locator(".notice[data-code=too-busy]")).to_be_visible()
            await expect(page.locator("#token-form")).to_be_hidden()
        await page.click(".notice[data-code=too-busy] button.small")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "open")


async def test_a_token_in_the_address_is_not_read(page: Page, simulator: Simulator) -> None:
    async with gateway_for(page, needing_token(simulator)) as endpoint:
        await page.goto(url_of(endpoint, f"?token={mint()}"))
        await expect(page.locator("#token-form")).to_be_visible()


async def test_an_open_gateway_asks_for_nothing(page: Page, simulator: Simulator) -> None:
    """A token that is left from before is forgotten."""
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.goto(url_of(endpoint))
        await page.evaluate("sessionStorage.setItem('nabra.token', 'old')")
        await start(page, endpoint)
        await expect(page.locator("#token-form")).to_be_hidden()
        assert "old" not in await stored(page)
