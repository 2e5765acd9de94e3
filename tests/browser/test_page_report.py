""" "What happened" on the page: the waterfall, the table and the statistics."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from app.simulator import Simulator
from tests.gateway import settings_for

from .conversation_page import ask, start
from .library_page import gateway_for, url_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_turn_is_shown_as_a_waterfall_and_as_a_table(
    page: Page, simulator: Simulator, agent_url: str
) -> None:
    simulator.configure({"faults": {"truncated": {"times": 1, "channel": "websocket"}}})
    async with gateway_for(page, settings_for(simulator, agent_webhook_url=agent_url)) as endpoint:
        await start(page, endpoint)
        await expect(page.locator("#tab-workbench")).to_be_hidden()
        await ask(page, "الأول")
        await expect(page.locator(".waterfall")).to_be_visible()
        await expect(page.locator(".waterfall .bar.fault")).to_have_count(1)
        await expect(page.locator(".waterfall .bar.selected")).to_have_count(2)
        await expect(page.locator(".waterfall .mark")).to_have_count(3)
        await expect(page.locator(".verdict")).to_contain_text("صوت مبتور")
        await page.click("summary")
        rows = page.locator("details tbody tr")
        await expect(rows).to_have_count(6)  # the agent twice, three attempts, the whole turn
        await expect(page.locator("details")).to_contain_text("صوت مبتور")
        await expect(page.locator(".chip")).to_contain_text("أُصلح 1")
        await ask(page, "الثاني")
        await expect(page.locator(".heading")).to_contain_text("الثاني")
        await expect(page.locator(".spread caption")).to_contain_text("2")
        cells = await page.locator(".spread td").all_inner_texts()
        assert all(re.fullmatch(r"\d+\.\d\d\sث", cell) for cell in cells if cell)
        await page.get_by_role("button", name="الأسبق").press("Enter")
        await expect(page.locator(".heading")).to_contain_text("الأول")
        await expect(page.locator(".waterfall .bar.fault")).to_have_count(1)
        assert "NaN" not in await page.locator("#report").inner_html()


async def test_a_response_that_came_all_at_once_is_drawn(page: Page, simulator: Simulator) -> None:
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.goto(url_of(endpoint))
        drawn: list[str] = await page.evaluate(
            """async () => {
              await import("/page/turn-report.js");  // it adds the texts
              const { waterfall } = await import("/page/waterfall.js");
              const attempt = { started_ms: 4, ttfb_ms: 5, total_ms: 5, fault: null };
              const sentences = [true, false].map((selected, index) =>
                ({ index, attempt_log: [{ ...attempt, heard: selected }] }));
              const metrics = { stt_ms: null, agent_first_token_ms: 2, agent_done_ms: 2,
                first_sentence_ms: 3, first_audio_ms: 9, total_ms: 9, sentences };
              const bars = waterfall({ metrics, firstSoundMs: null }, 400).querySelectorAll(".bar");
              return Array.from(bars, (bar) => bar.getAttribute("class"));
            }"""
        )
    assert drawn == ["bar wait", "bar wait", "bar selected", "bar wait", "bar unused"]


async def test_percentiles_are_values_that_were_measured(page: Page, simulator: Simulator) -> None:
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.goto(url_of(endpoint))
        found: list[Any] = await page.evaluate(
            """async () => {
              const { percentile } = await import("/page/statistics.js");
              const many = Array.from({ length: 100 }, (_, i) => 100 - i);
              return [percentile([], 0.5), percentile([7], 0.95), percentile([3, 1, 2], 0.5),
                percentile(many, 0.5), percentile(many, 0.95)];
            }"""
        )
    assert found == [None, 7, 2, 50, 95]
