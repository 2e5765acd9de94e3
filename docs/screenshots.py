"""Draws the README's pictures of the page: `make screenshots`, with an installed Chromium.

A gateway with its simulator answers; every third answer of the provider is truncated, so that the
pictures show what the gateway does about it. The fonts are those of the machine.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

IMAGES = Path(__file__).parent / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUESTIONS = ("السلام عليكم، أبغى أستعلم عن شحنة.", "تأخرت علي ثلاثة أيام، وش السبب؟")


@dataclass(frozen=True)
class Picture:
    """Which page is drawn."""

    name: str
    width: int
    height: int
    language: str
    scheme: str


PICTURES = (
    Picture("page", 1280, 800, "ar", "light"),
    Picture("page-phone", 390, 844, "en", "dark"),
)


@asynccontextmanager
async def gateway() -> AsyncIterator[str]:
    """Run one on a free port; gives its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", "from app.serving.process import serve; serve()"),
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PORT": "0", "LOG_LEVEL": "error"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        while b"Open" not in (line := await process.stdout.readline()):
            if not line:
                raise RuntimeError("the gateway did not start")
        yield line.decode().split()[1]
    finally:
        process.terminate()
        await process.wait()


async def converse(page: Page) -> None:
    """Have two turns; stop while the second is spoken, and all of it is written."""
    await page.click("#start")
    await page.wait_for_selector("#connection[data-state=open]")
    for number, question in enumerate(QUESTIONS, 1):
        await page.fill("#text", question)
        await page.press("#text", "Enter")
        turn = page.locator(".turn").nth(number - 1)
        await turn.locator(".chip").wait_for()
        await turn.locator(".speaking").wait_for()
        await page.wait_for_timeout(1500)
    await page.locator("#text").blur()


async def draw(browser: Browser, address: str, picture: Picture) -> None:
    """Draw one picture."""
    page = await browser.new_page(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme="dark" if picture.scheme == "dark" else "light",
    )
    await page.request.patch(f"{address}/workbench", data={"faults": {"truncated": 0.34}})
    await page.goto(address)
    if picture.language == "en":
        await page.click("#language")
    await converse(page)
    await page.screenshot(path=IMAGES / f"{picture.name}.png")
    await page.close()


async def main() -> None:
    """Draw all pictures."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        sys.exit("there is no Chromium here; on Debian: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    async with gateway() as address, async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"]
        )
        for picture in PICTURES:
            await draw(browser, address, picture)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
