"""The web page of docs/clients.md, run as it stands there."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from app.api import page as page_api
from app.simulator import Simulator
from tests.documents import block
from tests.gateway import settings_for
from tests.voices import Scene

from .conftest import HERE
from .driving import address, hear, served
from .listening import listen

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the gateway serve the example, under the policy of its own page; gives its name."""
    for name, language in (("example.html", "html"), ("client.js", "js")):
        (tmp_path / name).write_text(block("clients.md", language), "utf-8")
    files = page_api.PageFiles([page_api.WEB, HERE, tmp_path])
    monkeypatch.setattr(page_api, "make_page", lambda: files)
    return "example.html"


async def test_it_speaks_types_and_is_interrupted(
    page: Page, simulator: Simulator, microphone_file: Path, example: str
) -> None:
    hear(microphone_file, Scene().pause(300).speak("أين شحنتي؟").pause(3000).pcm())
    answer = page.locator("#answer")
    async with served(page, settings_for(simulator)) as endpoint:
        await page.goto(address(endpoint, example))
        await page.click("#begin")
        await expect(page.locator("#status")).to_have_text("متصل بالخادم")
        await page.fill("input", "مرحبا")
        await page.press("input", "Enter")
        await expect(answer).to_have_attribute("data-sentence", "0")
        await page.click("#stop")
        now_s = await page.evaluate("heard.now()")
        await expect(answer).to_contain_text("…")
        await page.hover("#talk")
        await page.mouse.down()
        await page.wait_for_timeout(1300)
        heard = await listen(page)
        await page.mouse.up()
        await expect(page.locator("#said")).not_to_have_text("مرحبا")
        await expect(answer).not_to_be_empty()
    assert heard.loud_s() > 0
    assert heard.after(now_s + 0.05).loud_s() == 0
