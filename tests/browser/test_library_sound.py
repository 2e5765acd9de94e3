"""The client library's sound: interrupting a response, and browsers that hold sound back."""

import json
from typing import Any

import pytest
from playwright.async_api import Page, WebSocketRoute

from app.simulator import Simulator
from tests.gateway import settings_for

from .library_page import (
    connect_client,
    create_client,
    emitted,
    gateway_for,
    unlock,
    wait_for_event,
)
from .recording import record, wait_for_sound

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def sent_ms(page: Page, simulator: Simulator, *, turn: int) -> float:
    """Return how long the sentences of a turn sound that the page has received."""
    sentences = await emitted(page, kind="message", type="sentence", turn=turn)
    return sum(len(simulator.expected_audio(one["text"])) / 32 for one in sentences)


async def test_an_interruption_silences_within_50_ms_and_reports_what_was_played(
    page: Page, simulator: Simulator
) -> None:
    """Even if the gateway never confirms it."""
    is_cut_off = False

    def relay(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda message: None if is_cut_off else socket.send(message))

    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.route_web_socket("**/ws/agent/**", relay)
        await connect_client(page, endpoint)
        await page.evaluate("nabra.say('مرحبا')")
        await wait_for_sound(page, 0.4)
        is_cut_off = True
        now_s = await page.evaluate("(nabra.interrupt(), loudspeaker.now())")
        idle = await wait_for_event(page, kind="idle")
        await page.wait_for_timeout(300)
        recording = await record(page)
        assert 300 < idle["playedMs"] < await sent_ms(page, simulator, turn=1) / 2
        assert recording.loud_s() == pytest.approx(idle["playedMs"] / 1000, abs=0.05)
        assert recording.after(now_s + 0.05).loud_s() == 0


async def test_a_new_turn_silences_the_one_before(page: Page, simulator: Simulator) -> None:
    """Even if the gateway does not report that it was interrupted."""
    servers: list[WebSocketRoute] = []

    def relay(socket: WebSocketRoute) -> None:
        servers.append(server := socket.connect_to_server())
        server.on_message(lambda message: None if is_end(message) else socket.send(message))

    def is_end(message: str | bytes) -> bool:
        return isinstance(message, str) and json.loads(message)["type"] == "interrupted"

    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.route_web_socket("**/ws/agent/**", relay)
        await connect_client(page, endpoint)
        await page.evaluate("nabra.say('مرحبا')")
        await wait_for_event(page, kind="playing", turn=1)
        now_s = await page.evaluate("loudspeaker.now()")
        servers[0].send(json.dumps({"type": "text", "text": "وعليكم السلام"}))
        await wait_for_event(page, kind="playing", turn=2)
        await wait_for_sound(page, 0.4, since_s=await page.evaluate("loudspeaker.now()"))
        recording = await record(page)
        [first] = await emitted(page, kind="message", type="sentence", turn=2, index=0)
        spoken = simulator.expected_audio(first["text"])[: int(0.3 * 32000)]
        assert recording.after(now_s).similarity(spoken, 16000) > 0.99
        [idle] = await emitted(page, kind="idle")
        assert idle["turn"] == 1
        assert idle["playedMs"] < await sent_ms(page, simulator, turn=1) / 2


async def test_a_response_that_comes_before_the_worklet_is_played_from_its_start(
    page: Page, simulator: Simulator, short_response: dict[str, Any]
) -> None:
    async with gateway_for(page, settings_for(simulator, **short_response)) as endpoint:
        await create_client(page, endpoint)
        await page.evaluate(
            """() => {
              const add = AudioWorklet.prototype.addModule;
              const released = new Promise((resolve) => (globalThis.release = resolve));
              AudioWorklet.prototype.addModule = async function (url) {
                if (String(url).endsWith("playback.js")) await released;
                return add.call(this, url);
              };
            }"""
        )
        await page.click("button")
        await page.evaluate("nabra.connect()")
        await page.evaluate("nabra.say('مرحبا')")
        await wait_for_event(page, kind="message", type="done")
        await page.evaluate("release()")
        idle = await wait_for_event(page, kind="idle")
        sentences = [one["text"] for one in await emitted(page, kind="message", type="sentence")]
        made = b"".join(map(simulator.expected_audio, sentences))
        assert idle["playedMs"] == pytest.approx(len(made) / 32, abs=1)
        assert await emitted(page, kind="problem") == []


async def test_a_system_that_refuses_sound_is_reported(page: Page, simulator: Simulator) -> None:
    """During a phone call iOS rejects `resume` outright."""
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await create_client(page, endpoint)
        await unlock(page)
        await page.evaluate(
            """async () => {
              await nabra.output.context.suspend();
              AudioContext.prototype.resume = () =>
                Promise.reject(new DOMException("", "InvalidStateError"));
            }"""
        )
        assert await page.evaluate("nabra.unlock().catch(({ code }) => code)") == "audio-locked"


async def test_without_a_gesture_locked_audio_is_reported(page: Page, simulator: Simulator) -> None:
    """The conversation continues in writing, and with sound from the gesture on."""
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await create_client(page, endpoint)
        await page.evaluate("nabra.connect()")
        await page.evaluate("nabra.say('مرحبا')")
        problem = await wait_for_event(page, kind="problem")
        assert (problem["code"], problem["recoverable"]) == ("audio-locked", True)
        await wait_for_event(page, kind="message", type="done")
        assert len(await emitted(page, kind="problem")) == 1
        await unlock(page)
        await page.evaluate("nabra.say('مرحبا')")
        await wait_for_event(page, kind="playing", turn=2)
