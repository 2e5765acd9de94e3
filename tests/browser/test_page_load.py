"""How the page loads: its size, where from, and what it does if a part is missing."""

import pytest
from playwright.async_api import Page, expect

from app.simulator import Simulator
from tests.gateway import settings_for

from .conftest import ConsoleMonitor
from .conversation_page import ask
from .library_page import gateway_for, url_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_page_is_small_and_loads_nothing_from_elsewhere(
    page: Page, simulator: Simulator
) -> None:
    """Unpacked at the first load, and compressed with all that follows."""

    async def loaded(size: str) -> dict[str, int]:
        sizes: dict[str, int] = await page.evaluate(
            "size => Object.fromEntries(['navigation', 'resource']"
            ".flatMap((kind) => performance.getEntriesByType(kind))"
            ".map((entry) => [entry.name, entry[size]]))",
            size,
        )
        assert all(name.startswith(url_of(endpoint)) for name in sizes)
        return sizes

    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.goto(url_of(endpoint), wait_until="networkidle")
        first = await loaded("decodedBodySize")
        assert url_of(endpoint, "nabra.js") in first
        assert sum(first.values()) < 100_000
        await page.click("#start")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        await ask(page)
        assert sum((await loaded("transferSize")).values()) < 75_000


async def test_a_part_that_does_not_load_is_reported(
    page: Page, simulator: Simulator, console: ConsoleMonitor
) -> None:
    """The network may be lost between the first load and the start."""
    console.is_expected = lambda entry: "net::ERR_FAILED" in entry
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.goto(url_of(endpoint))
        await page.route("**/conversation.js", lambda route: route.abort())
        await page.click("#start")
        await expect(page.locator(".notice[data-code=page-incomplete]")).to_be_visible()
        await page.unroute("**/conversation.js")
        await page.click(".notice button.small")
        await expect(page.locator(".notice")).to_have_count(0)
        await page.click("#start")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "open")


@pytest.mark.parametrize("address", ["voice", "voice/"])
async def test_it_works_under_the_path_of_a_proxy(
    page: Page, simulator: Simulator, address: str
) -> None:
    async with gateway_for(page, settings_for(simulator, root_path="/voice")) as endpoint:
        page.on("request", lambda request: requested.append(request.url))
        requested: list[str] = []
        await page.goto(url_of(endpoint, address))
        await page.click("#start")
        await ask(page)
        assert len(requested) > 10
        assert all(url.startswith(url_of(endpoint, "voice")) for url in requested), requested
