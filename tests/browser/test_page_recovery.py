"""What the page does when a provider, the gateway or the microphone fails."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from app.settings import Settings
from app.simulator import Simulator
from app.simulator.tone_voice import ToneVoice
from tests.gateway import of_type, running_gateway, settings_for

from .conftest import ConsoleMonitor, is_connection_refused
from .conversation_page import ask, speaking, start
from .library_page import collect_received, gateway_for
from .microphone import fail_microphone, feed_microphone, track_microphones, unplug
from .recording import record

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_responses_are_whole_though_the_provider_truncates(
    page: Page, short_response: dict[str, Any]
) -> None:
    """The fault, in about every third request, is switched on in the workbench."""
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        simulator_profile="instant",
        simulator_voice="hum",
        log_level="warning",
        **short_response,
    )
    async with gateway_for(page, settings) as endpoint:
        events = collect_received(page)
        await start(page, endpoint)
        await page.click("#tab-workbench")
        await page.select_option("#fault-truncated", "0.34")
        await expect(page.locator("#fault-truncated")).to_have_class("on")
        await ask(page)
        await expect(speaking(page)).to_have_count(0)
        expected = b"".join(
            ToneVoice().synthesize(event["text"]) for event in of_type(events, "sentence")
        )
        recording = await record(page)
        assert recording.similarity(expected, 16000) > 0.999
        assert recording.longest_gap_s() == 0
        [done] = of_type(events, "done")
        faults = [sentence["faults"] for sentence in done["metrics"]["sentences"]]
        assert any("incomplete-audio" in each for each in faults)


async def test_the_page_recovers_from_a_restart(
    page: Page, simulator: Simulator, console: ConsoleMonitor, short_response: dict[str, Any]
) -> None:
    """The gateway stops during a response; when it is back, the conversation continues."""
    console.is_expected = is_connection_refused
    settings = settings_for(simulator, **short_response)
    paths: list[str] = []
    page.on("websocket", lambda socket: paths.append(urlsplit(socket.url).path))
    async with running_gateway(settings) as endpoint:
        await start(page, endpoint)
        await ask(page)
    await expect(page.locator("#connection")).not_to_have_attribute("data-state", "open")
    await expect(page.locator(".notice[data-code=server-draining] button.small")).to_be_visible()
    async with running_gateway(settings, port=urlsplit(endpoint).port or 0):
        await expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        await expect(page.locator(".notice")).to_have_count(0)
        await expect(speaking(page)).to_have_count(0)
        await expect(page.locator("#stop")).to_be_disabled()
        await ask(page, "ها أنا من جديد")
        assert len(paths) > 1
        assert len(set(paths)) == 1
        await page.goto("about:blank")


async def test_trying_again_leaves_the_microphone_on(
    page: Page, simulator: Simulator, microphone_file: Path
) -> None:
    sockets: list[WebSocketRoute] = []
    streamed = asyncio.Event()

    def relay(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        server = socket.connect_to_server()

        def on_message(message: str | bytes) -> None:
            if isinstance(message, bytes) and len(sockets) == 2:
                streamed.set()
            server.send(message)

        socket.on_message(on_message)

    feed_microphone(microphone_file, bytes(32000))
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.route_web_socket("**/ws/agent/**", relay)
        await start(page, endpoint)
        await page.click("#microphone")
        await expect(page.locator("body")).to_have_attribute("data-doing", "listening")
        await sockets[0].close(code=1013)
        await page.click(".notice[data-code=too-busy] button.small")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        async with asyncio.timeout(10):
            await streamed.wait()
        await expect(page.locator("#microphone")).to_have_attribute("aria-pressed", "true")


async def test_losing_the_microphone_turns_the_button_off(
    page: Page, simulator: Simulator, microphone_file: Path
) -> None:
    feed_microphone(microphone_file, bytes(32000))
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await start(page, endpoint)
        await track_microphones(page)
        await page.click("#microphone")
        await expect(page.locator("body")).to_have_attribute("data-doing", "listening")
        await fail_microphone(page, "NotFoundError")
        await unplug(page, 0)
        await expect(page.locator(".notice[data-code=no-microphone] p")).not_to_be_empty()
        await expect(page.locator("#microphone")).to_have_attribute("aria-pressed", "false")
        await expect(page.locator(".user-text.pending")).to_have_count(0)


async def test_without_a_microphone_the_page_says_what_to_do(
    page: Page, simulator: Simulator
) -> None:
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await start(page, endpoint)
        await fail_microphone(page, "NotAllowedError")
        await page.click("#microphone")
        await expect(page.locator(".notice[data-code=microphone-denied] p")).not_to_be_empty()
        await ask(page, "أكتب إذن")
