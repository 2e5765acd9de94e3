"""A real browser: an installed Chromium, its microphone fed from a file, its console monitored."""

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
RESPONSE = "أهلاً بك في ناقل إكسبرس. شحنتك في الطريق إليك الآن. تصل غداً."
"""Short, because it is played in real time, but of several requests to the provider."""
SHORT_RESPONSE = "أهلاً وسهلاً بك، طلبك يصل غداً."

in_one_loop = pytest_asyncio.fixture(loop_scope="session")
"""All tests share one browser, and therefore one event loop."""


@pytest.fixture(scope="session")
def microphone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file that the browser's microphone plays each time that it is opened."""
    return tmp_path_factory.mktemp("microphone") / "input.wav"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(microphone_file: Path) -> AsyncIterator[Browser]:
    if chromium.EXECUTABLE is None:
        (pytest.fail if chromium.IS_REQUIRED else pytest.skip)(chromium.MISSING)
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=chromium.EXECUTABLE,
            args=[
                "--no-sandbox",
                "--disable-dev-shm-usage",  # containers have little shared memory
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={microphone_file}%noloop",
                "--autoplay-policy=user-gesture-required",
                # the last of these counts, and Playwright gives one of its own
                f"--disable-features={','.join(chromium.DISABLED_FEATURES)}",
            ],
        )
        yield running
        await running.close()


class ConsoleMonitor:
    """Collects the errors and warnings of pages."""

    def __init__(self) -> None:
        self._entries: list[str] = []
        self.is_expected: Callable[[str], bool] = lambda _: False
        """Whether an entry is the browser's own, about a server that a test has stopped."""

    def add_page(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._entries.append(f"uncaught: {error}"))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self._entries.append(f"{message.type}: {message.text}")

    def unexpected(self) -> list[str]:
        return [entry for entry in self._entries if not self.is_expected(entry)]


@in_one_loop
async def console() -> ConsoleMonitor:
    return ConsoleMonitor()


@pytest.fixture(autouse=True, scope="module")
def served_test_files() -> Iterator[None]:
    """Make gateways serve the files of this folder too, under the same content policy."""
    make_page = page_api.make_page
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_api, "make_page", lambda: make_page([page_api.WEB, HERE]))
        yield


NewPage = Callable[..., Awaitable[Page]]


@asynccontextmanager
async def monitored_pages(browser: Browser, console: ConsoleMonitor) -> AsyncIterator[NewPage]:
    """Open pages, each without stored data; fail if any has an unexpected console entry."""
    contexts = []

    async def open_page(**options: Any) -> Page:
        context = await browser.new_context(**{"locale": "ar-SA", **options})
        contexts.append(context)
        context.set_default_timeout(15_000)
        context.on("page", console.add_page)
        await context.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => "
            "console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))"
        )
        await context.add_init_script(path=HERE / "tap.js")
        return await context.new_page()

    yield open_page
    for context in contexts:
        await context.close()
    assert console.unexpected() == []


@in_one_loop
async def new_page(browser: Browser, console: ConsoleMonitor) -> AsyncIterator[NewPage]:
    async with monitored_pages(browser, console) as open_page:
        yield open_page


@in_one_loop
async def page(new_page: NewPage) -> Page:
    return await new_page()


@in_one_loop
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(profile="instant", voice="hum")) as running:
        yield running


@in_one_loop
async def agent_url() -> AsyncIterator[str]:
    """Run an agent that always responds with `RESPONSE`."""
    async with running_agent(RESPONSE) as url:
        yield url


@in_one_loop
async def short_response() -> AsyncIterator[dict[str, Any]]:
    """Yield settings for the shortest response that takes two requests to the provider."""
    async with running_agent(SHORT_RESPONSE) as url:
        yield {"agent_webhook_url": url, "first_chunk_min_chars": 10}


@asynccontextmanager
async def running_agent(
    text: str, *, after: asyncio.Event | None = None, rest: str = ""
) -> AsyncIterator[str]:
    """Run an agent that has one response, whose rest it sends after an event; yield its URL."""
    size = len((text + rest).encode())

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n"
            b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (size, text.encode())
        )
        if after is not None:
            await after.wait()
            writer.write(rest.encode())
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def is_connection_refused(entry: str) -> bool:
    """Tell whether a console entry is the browser's own about a server that is not running."""
    return "net::ERR_CONNECTION_REFUSED" in entry
