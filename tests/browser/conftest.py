"""A real browser: Debian's Chromium, its microphone fed from a file, its console watched."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from app.api import page as page_api
from app.simulator import Simulator, SimulatorConfig

from . import chromium

HERE = Path(__file__).parent
ANSWER = "أهلاً بك في ناقل إكسبرس. شحنتك في الطريق إليك الآن. تصل غداً."
"""Short, because it is played in real time, and yet of two requests to the provider."""
BRIEF_ANSWER = "أهلاً وسهلاً بك، طلبك يصل غداً."

in_one_loop = pytest_asyncio.fixture(loop_scope="session")
"""There is one browser for all tests, and so one loop."""


@pytest.fixture(scope="session")
def microphone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser's microphone hears, each time that it is opened."""
    return tmp_path_factory.mktemp("microphone") / "heard.wav"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(microphone_file: Path) -> AsyncIterator[Browser]:
    if chromium.EXECUTABLE is None:
        (pytest.fail if chromium.IS_REQUIRED else pytest.skip)(chromium.MISSING)
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=chromium.EXECUTABLE,
            args=[
                "--no-sandbox",
                "--disable-dev-shm-usage",  # containers have little of it
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={microphone_file}%noloop",
                "--autoplay-policy=user-gesture-required",
            ],
        )
        yield running
        await running.close()


class Watch:
    """Everything that a page complains about."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.allowed: Callable[[str], bool] = lambda _: False
        """What a browser says by itself of a server that a test has taken away."""

    def page(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self.complaints.append(f"{message.type}: {message.text}")

    def verdict(self) -> list[str]:
        return [complaint for complaint in self.complaints if not self.allowed(complaint)]


@in_one_loop
async def watch() -> Watch:
    return Watch()


@pytest.fixture(autouse=True, scope="session")
def files_of_the_tests() -> Iterator[None]:
    """Let gateways serve these files too, under the policy that holds for their own."""
    make_page = page_api.make_page
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_api, "make_page", lambda: make_page([page_api.WEB, HERE]))
        yield


NewPage = Callable[..., Awaitable[Page]]


@asynccontextmanager
async def watched(browser: Browser, watch: Watch) -> AsyncIterator[NewPage]:
    """Open pages with nothing remembered, each for itself; a complaint of any is a failure."""
    contexts = []

    async def open_page(**options: Any) -> Page:
        context = await browser.new_context(**{"locale": "ar-SA", **options})
        contexts.append(context)
        context.set_default_timeout(15_000)
        context.on("page", watch.page)
        await context.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => "
            "console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))"
        )
        await context.add_init_script(path=HERE / "tap.js")
        return await context.new_page()

    yield open_page
    for context in contexts:
        await context.close()
    assert watch.verdict() == []


@in_one_loop
async def new_page(browser: Browser, watch: Watch) -> AsyncIterator[NewPage]:
    async with watched(browser, watch) as open_page:
        yield open_page


@in_one_loop
async def page(new_page: NewPage) -> Page:
    return await new_page()


@in_one_loop
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(profile="instant", voice="hum")) as running:
        yield running


@in_one_loop
async def agent() -> AsyncIterator[str]:
    """An agent that always answers `ANSWER`; gives its URL."""
    async with answering(ANSWER) as url:
        yield url


@in_one_loop
async def brief() -> AsyncIterator[dict[str, Any]]:
    """Settings for an answer as short as can be, and yet of two requests to the provider."""
    async with answering(BRIEF_ANSWER) as url:
        yield {"agent_webhook_url": url, "first_chunk_min_chars": 10}


@asynccontextmanager
async def answering(text: str) -> AsyncIterator[str]:
    """Run an agent that knows but one answer; gives its URL."""
    body = text.encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n"
            b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
