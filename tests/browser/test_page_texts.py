"""The languages of the page, and its texts."""

import re

import pytest
from playwright.async_api import Page, expect

from app.simulator import Simulator
from tests.gateway import settings_for

from .conversation_page import ask
from .library_page import collect_sent, gateway_for, url_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_language_is_switched_and_remembered(page: Page, simulator: Simulator) -> None:
    sent = collect_sent(page)
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.goto(url_of(endpoint))
        await expect(page.locator("html")).to_have_attribute("dir", "rtl")
        await page.click("#language")
        await page.reload()
        await expect(page.locator("html[lang=en]")).to_have_attribute("dir", "ltr")
        await expect(page.locator("#start")).to_have_text("Start the conversation")
        await page.click("#language")
        await page.click("#start")
        await expect(page.locator("#connection")).to_contain_text("متصل")
        await page.click("#language")
        await expect(page.locator("#status")).to_contain_text("Hold to talk")
        await expect(page.locator("#text")).to_have_attribute("placeholder", "Or type here…")
        await ask(page)
    assert [message["language"] for message in sent if "language" in message] == ["en", "ar", "en"]


async def test_every_text_exists_in_both_languages(page: Page, simulator: Simulator) -> None:
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.goto(url_of(endpoint))
        texts: dict[str, list[str]] = await page.evaluate(
            """async () => {
              const names = ["texts", "texts-report", "texts-workbench"];
              const parts = await Promise.all(names.map((name) => import(`/page/${name}.js`)));
              return Object.assign({}, ...parts.flatMap(Object.values));
            }"""
        )
    assert len(texts) > 100
    for key, pair in texts.items():
        arabic, english = pair
        assert arabic and english, key
        placeholders = [sorted(re.findall(r"\{\w+\}", text)) for text in pair]
        assert placeholders[0] == placeholders[1], key
