"""The workbench on the page."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from app.settings import Settings

from .conftest import ConsoleMonitor, NewPage
from .conversation_page import ask, start
from .library_page import gateway_for, url_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_workbench_changes_the_simulator_and_the_transport(page: Page) -> None:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        allow_client_transport=("true",),
        simulator_profile="instant",
        simulator_voice="hum",
        log_level="warning",
    )
    async with gateway_for(page, settings) as endpoint:
        await start(page, endpoint)
        await page.click("#tab-report")
        await page.keyboard.press("ArrowLeft")
        await expect(page.locator("#tab-workbench")).to_be_focused()
        await page.locator("#throttle").press("Space")
        await expect(page.locator("#throttle")).to_be_checked()
        await page.select_option("#fault-drop", "0.5")
        await expect(page.locator("#fault-drop")).to_have_class("on")
        await page.locator("#time-stt_ms").press("End")
        await expect(page.locator("output[for=time-stt_ms]")).to_have_text(re.compile("^5.00"))
        await page.click("label:has(#transport-rest)")
        await expect(page.locator("#transport-rest")).to_be_checked()
        await expect(page.locator("#workbench .notice")).to_have_count(0)
        shown: dict[str, Any] = {"timing": {"stt_ms": 0}}
        while shown["timing"]["stt_ms"] != 5000:
            shown = await (await page.request.get(url_of(endpoint, "workbench"))).json()
        assert shown["config"]["faults"]["drop"]["probability"] == 0.5
        assert shown["config"]["throttle"]["limit"] == 4
        await page.click("#clear-faults")
        await expect(page.locator("#fault-drop")).to_have_value("0")
        await expect(page.locator("#throttle")).not_to_be_checked()
        await ask(page)
        await page.click("#tab-report")
        await page.click("summary")
        await expect(page.locator("details")).to_contain_text("REST")
        await expect(page.locator("details")).not_to_contain_text("بمقبس")


async def test_the_workbench_is_hidden_where_it_needs_a_key(
    new_page: NewPage, console: ConsoleMonitor
) -> None:
    """Behind a proxy the gateway refuses it to pages, though it has a simulator."""
    console.is_expected = lambda entry: "status of 403" in entry
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        simulator_profile="instant",
        simulator_voice="hum",
        log_level="warning",
    )
    page = await new_page(extra_http_headers={"x-forwarded-for": "203.0.113.9"})
    async with gateway_for(page, settings) as endpoint:
        about = await (await page.request.get(url_of(endpoint, "about.json"))).json()
        assert about["workbench"]
        async with page.expect_response("**/workbench") as refused:
            await start(page, endpoint)
        assert (await refused.value).status == 403
        await ask(page)
        await expect(page.locator("#tab-workbench")).to_be_hidden()
        await expect(page.locator("#workbench .notice")).to_have_count(0)
