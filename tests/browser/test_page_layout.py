"""The layout of the page: contrast, overflow, and the sheet on phones."""

import pytest
from playwright.async_api import ViewportSize, expect

from app.simulator import Simulator
from tests.gateway import settings_for

from .conftest import NewPage
from .conversation_page import ask, start
from .library_page import gateway_for

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHONE = ViewportSize(width=390, height=844)
SMALL_PHONE = ViewportSize(width=320, height=568)
DESKTOP = ViewportSize(width=1280, height=800)

LOW_CONTRAST = """() => {
  const rgba = (text) => text.match(/[0-9.]+/g).map(Number);
  const backdrop = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = rgba(getComputedStyle(at).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((each) => {
      const share = each / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const isText = walker.currentNode.data.trim() && element.checkVisibility();
    if (!isText || element.closest(".visually-hidden, :disabled, noscript, svg")) continue;
    const behind = backdrop(element);
    const { color, opacity } = getComputedStyle(element);
    const blend = (each, i) => each * opacity + behind[i] * (1 - opacity);
    const ink = rgba(color).slice(0, 3).map(blend);
    const [dark, bright] = [light(ink), light(behind)].sort((a, b) => a - b);
    const contrast = (bright + 0.05) / (dark + 0.05);
    if (contrast < 4.5) found.push(`${walker.currentNode.data.trim()}: ${contrast.toFixed(2)}`);
  }
  return found;
}"""
"""Finds texts with less contrast than WCAG AA requires."""

OVERFLOWING = """() => {
  const names = "button, input, select, .pill, .user-text, .response, #status";
  return Array.from(document.querySelectorAll(names)).filter((element) => {
    if (!element.checkVisibility() || element.matches(".switch input, .choice input")) return false;
    const box = element.getBoundingClientRect();
    return box.left < 0 || box.right > innerWidth || element.scrollWidth > element.clientWidth + 1;
  }).map((element) => element.id || element.textContent);
}"""
"""Finds controls and texts that reach out of the window or of their own box."""


@pytest.mark.parametrize("language", ["ar", "en"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_texts_are_legible_and_nothing_is_cut_off(
    new_page: NewPage, simulator: Simulator, agent_url: str, language: str, scheme: str
) -> None:
    """On a desktop and on phones, where the panel is a sheet that Escape closes."""
    page = await new_page(viewport=DESKTOP, color_scheme=scheme, reduced_motion="reduce")
    async with gateway_for(page, settings_for(simulator, agent_webhook_url=agent_url)) as endpoint:
        await start(page, endpoint)
        if language == "en":
            await page.click("#language")
        assert await page.evaluate(LOW_CONTRAST) == []
        await ask(page)
        await expect(page.locator(".waterfall")).to_be_visible()
        for size in (DESKTOP, SMALL_PHONE, PHONE):
            await page.set_viewport_size(size)
            assert await page.evaluate(LOW_CONTRAST) == []
            assert await page.evaluate(OVERFLOWING) == []
        await expect(page.locator("#panel")).to_be_hidden()
        await page.locator("#open-panel").press("Enter")
        await expect(page.locator("#report")).to_be_visible()
        assert await page.evaluate(OVERFLOWING) == []
        await page.keyboard.press("Escape")
        await expect(page.locator("#panel")).to_be_hidden()
        await expect(page.locator("#open-panel")).to_be_focused()
        await expect(page.locator(".interrupted")).to_be_hidden()  # nothing was interrupted
        await page.keyboard.press("Escape")
        await expect(page.locator(".interrupted")).to_be_visible()
