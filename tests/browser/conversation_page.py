"""Drives the gateway's own page, as a user does."""

from playwright.async_api import Locator, Page, expect

from .library_page import url_of
from .recording import record


async def start(page: Page, endpoint: str) -> None:
    """Open the page, start the conversation, and wait until its sound is recorded."""
    await page.goto(url_of(endpoint))
    await page.click("#start")
    await expect(page.locator("#connection")).to_have_attribute("data-state", "open")
    await page.evaluate("loudspeaker.ready")


async def type_text(page: Page, text: str) -> None:
    await page.fill("#text", text)
    await page.press("#text", "Enter")


async def ask(page: Page, text: str = "مرحبا") -> None:
    """Type a question, and wait until its response is spoken."""
    await type_text(page, text)
    await expect(speaking(last_turn(page))).to_be_visible()


def last_turn(page: Page) -> Locator:
    return page.locator(".turn").last


def speaking(within: Page | Locator) -> Locator:
    """Return the sentence that sounds now."""
    return within.locator(".response-text .speaking")


async def observe_spoken(page: Page) -> None:
    """Keep, in the page itself, each sentence that is marked as the one that sounds."""
    await page.evaluate(
        """() => {
          window.marked = [];
          new MutationObserver(() => {
            const text = document.querySelector(".response-text .speaking")?.textContent.trim();
            if (!text || text === window.marked.at(-1)) return;
            document.body.dataset.marked = window.marked.push(text);
          }).observe(document.body, { subtree: true, childList: true, attributes: true });
        }"""
    )


async def observed_spoken(page: Page) -> list[str]:
    return list(await page.evaluate("marked"))


async def expect_silence(page: Page) -> None:
    """Check that there was sound, and none from 50 ms after this moment on."""
    now_s = await page.evaluate("loudspeaker.now()")
    await expect(last_turn(page).locator(".interrupted")).to_be_visible()
    await page.wait_for_timeout(300)
    recording = await record(page)
    assert recording.loud_s() > 0.2
    assert recording.after(now_s + 0.05).loud_s() == 0
