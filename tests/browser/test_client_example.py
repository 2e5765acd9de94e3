"""The web page of docs/clients.md, run as it is printed there."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from app.api import page as page_api
from app.simulator import Simulator
from tests.documents import block
from tests.gateway import settings_for
from tests.voices import Scene

from .conftest import HERE
from .library_page import gateway_for, url_of
from .microphone import feed_microphone
from .recording import record

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the gateway serve the example under its own content policy; return its name."""
    for name, language in (("example.html", "html"), ("client.js", "js")):
        (tmp_path / name).write_text(block("clients.md", language), "utf-8")
    files = page_api.PageFiles([page_api.WEB, HERE, tmp_path])
    monkeypatch.setattr(page_api, "make_page", lambda: files)
    return "example.html"


async def test_it_types_interrupts_and_speaks(
    page: Page, simulator: Simulator, microphone_file: Path, example: str
) -> None:
    feed_microphone(microphone_file, Scene().pause(300).speak("أين شحنتي؟").pause(3000).pcm())
    response = page.locator("#response")
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.goto(url_of(endpoint, example))
        await page.click("#begin")
        await expect(page.locator("#status")).to_have_text("متصل بالخادم")
        await page.fill("input", "مرحبا")
        await page.press("input", "Enter")
        await expect(response).to_have_attribute("data-sentence", "0")
        await page.click("#stop")
        now_s = await page.evaluate("loudspeaker.now()")
        await expect(response).to_contain_text("…")
        await page.hover("#talk")
        await page.mouse.down()
        await page.wait_for_timeout(1300)
        recording = await record(page)
        await page.mouse.up()
        await expect(page.locator("#question")).not_to_have_text("مرحبا")
        await expect(response).not_to_be_empty()
    assert recording.loud_s() > 0
    assert recording.after(now_s + 0.05).loud_s() == 0
