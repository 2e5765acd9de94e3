"""The page at `/`: a user speaks, types, interrupts, and hears the answer."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Locator, Page, WebSocketRoute, expect

from app.settings import Settings
from app.simulator import Simulator
from app.simulator.tone_voice import ToneVoice
from tests.gateway import running_gateway, settings_for
from tests.voices import Scene

from .conftest import BRIEF_ANSWER, Watch
from .driving import address, hear, served
from .listening import listen

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = "أين شحنتي رقم خمسة؟"
OBJECTION = "لا لا، ليس هذا العنوان."


async def enter(page: Page, endpoint: str) -> None:
    """Open the page, and begin."""
    await page.goto(address(endpoint))
    await page.click("#start")
    await expect(page.locator("#connection")).to_have_attribute("data-state", "open")
    await page.evaluate("heard.ready")


async def type_in(page: Page, text: str) -> None:
    await page.fill("#text", text)
    await page.press("#text", "Enter")


def last_turn(page: Page) -> Locator:
    return page.locator(".turn").last


def speaking(page: Page) -> Locator:
    """The sentence that sounds now."""
    return page.locator(".answer-text .speaking")


def events_of(page: Page) -> list[dict[str, Any]]:
    """Collect what the gateway tells the page."""
    events: list[dict[str, Any]] = []

    def take(payload: str | bytes) -> None:
        if isinstance(payload, str):
            events.append(json.loads(payload))

    page.on("websocket", lambda socket: socket.on("framereceived", take))
    return events


def of_type(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


async def test_a_typed_turn_is_answered_aloud_sentence_by_sentence(
    page: Page, simulator: Simulator, brief: dict[str, Any]
) -> None:
    async with served(page, settings_for(simulator, **brief)) as endpoint:
        events = events_of(page)
        await enter(page, endpoint)
        await type_in(page, "مرحبا")
        await expect(last_turn(page).locator(".said")).to_contain_text("مرحبا")
        marked = []
        for sentence in (0, 1):
            await expect(speaking(page)).not_to_have_text("".join(marked[-1:]))
            marked.append(await speaking(page).inner_text())
            assert of_type(events, "sentence")[sentence]["text"].strip() == marked[-1].strip()
        await expect(speaking(page)).to_have_count(0)
        heard = await listen(page)
        made = b"".join(
            simulator.expected_audio(event["text"]) for event in of_type(events, "sentence")
        )
        assert heard.loud_s() == pytest.approx(len(made) / 32000, abs=0.06)
        assert heard.longest_hole_s() == 0
        assert heard.likeness(made, 16000) > 0.999
        await expect(last_turn(page).locator(".answer-text")).to_have_text(BRIEF_ANSWER)


async def test_a_spoken_turn_is_heard_and_answered(
    page: Page, simulator: Simulator, microphone_file: Path
) -> None:
    """Hold the button, speak, let go; here it is spoken by REST."""
    hear(microphone_file, Scene().pause(300).speak(QUESTION).pause(5000).pcm())
    async with served(page, settings_for(simulator, tts_transport="rest")) as endpoint:
        events = events_of(page)
        await enter(page, endpoint)
        await page.hover("#microphone")
        await page.mouse.down()
        await expect(page.locator("body")).to_have_attribute("data-doing", "listening")
        await page.wait_for_timeout(1500)
        await page.mouse.up()
        await expect(speaking(page)).to_be_visible()
        [transcription] = of_type(events, "transcription")
        await expect(last_turn(page).locator(".said")).to_contain_text(transcription["text"])
        await page.wait_for_timeout(500)
        assert 0.4 < (await listen(page)).loud_s() < 2
        await expect(page.locator("#microphone")).to_have_attribute("aria-pressed", "false")


async def test_hands_free_the_caller_interrupts_by_speaking(
    page: Page, simulator: Simulator, microphone_file: Path
) -> None:
    """Not a button is pressed: a question, its answer, an objection over it, another answer."""
    scene = Scene().pause(300).speak(QUESTION).pause(1300).speak(OBJECTION)
    hear(microphone_file, scene.pause(20_000).pcm())
    async with served(page, settings_for(simulator)) as endpoint:
        events = events_of(page)
        await enter(page, endpoint)
        await page.check("#hands-free", force=True)
        first, second = page.locator(".turn").nth(0), page.locator(".turn").nth(1)
        await expect(first.locator(".speaking")).to_be_visible()
        await expect(first.locator(".cut")).to_be_visible()
        await expect(second.locator(".speaking")).to_be_visible()
        heard = await listen(page)
        [interrupted] = of_type(events, "interrupted")
        assert interrupted["reason"] == "barge_in"
        kinds = [event["type"] for event in events if event["type"].startswith("speech_")]
        assert kinds == ["speech_started", "speech_stopped"] * 2
        # Until it was interrupted the answer sounded; then it was silent, while the caller spoke
        # on and for the pause by which the gateway knows that he is done.
        assert heard.longest_hole_s() > 0.5
        made_s = len(simulator.expected_audio(of_type(events, "sentence")[0]["text"])) / 32000
        assert 0.3 < interrupted["played_ms"] / 1000 < made_s
        assert heard.first_sound_s() == pytest.approx(interrupted["played_ms"] / 1000, abs=0.3)


async def test_the_button_silences_the_page(page: Page, simulator: Simulator) -> None:
    async with served(page, settings_for(simulator)) as endpoint:
        await enter(page, endpoint)
        await type_in(page, "مرحبا")
        await expect(speaking(page)).to_be_visible()
        await page.wait_for_timeout(300)
        await page.click("#stop")
        await is_silent(page)


async def test_it_takes_no_mouse(page: Page, simulator: Simulator, microphone_file: Path) -> None:
    """Begin, write, interrupt and speak, all by the keyboard."""
    hear(microphone_file, Scene().pause(20_000).pcm())
    async with served(page, settings_for(simulator)) as endpoint:
        await page.goto(address(endpoint))
        await page.locator("#start").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        await expect(page.locator("#microphone")).to_be_focused()
        while await page.evaluate("document.activeElement.id") != "text":
            await page.keyboard.press("Tab")
        await page.keyboard.type("مرحبا")
        await page.keyboard.press("Enter")
        await expect(speaking(page)).to_be_visible()
        await page.wait_for_timeout(300)
        await page.keyboard.press("Escape")
        await is_silent(page)
        await page.locator("#microphone").focus()
        await page.keyboard.down(" ")
        await expect(page.locator("body")).to_have_attribute("data-doing", "listening")
        await page.wait_for_timeout(400)
        await page.evaluate("dispatchEvent(new Event('blur'))")  # the key is let go elsewhere
        await expect(page.locator("#microphone")).to_have_attribute("aria-pressed", "false")


async def is_silent(page: Page) -> None:
    """Prove that there was sound, and that from 50 ms after this moment on there is none."""
    now_s = await page.evaluate("heard.now()")
    await expect(last_turn(page).locator(".cut")).to_be_visible()
    await page.wait_for_timeout(300)
    heard = await listen(page)
    assert heard.loud_s() > 0.2
    assert heard.after(now_s + 0.05).loud_s() == 0


async def test_answers_are_whole_though_the_provider_truncates(
    page: Page, brief: dict[str, Any]
) -> None:
    """The fault, at every third request or so, is switched on in the workbench."""
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        simulator_profile="instant",
        simulator_voice="hum",
        log_level="warning",
        **brief,
    )
    async with served(page, settings) as endpoint:
        events = events_of(page)
        await enter(page, endpoint)
        await page.click("#tab-workbench")
        await page.select_option("#fault-truncated", "0.34")
        await expect(page.locator("#fault-truncated")).to_have_class("on")
        await type_in(page, "مرحبا")
        await expect(speaking(page)).to_be_visible()
        await expect(speaking(page)).to_have_count(0)
        made = b"".join(
            ToneVoice().synthesize(event["text"]) for event in of_type(events, "sentence")
        )
        heard = await listen(page)
        assert heard.likeness(made, 16000) > 0.999
        assert heard.longest_hole_s() == 0
        [done] = of_type(events, "done")
        faults = [sentence["faults"] for sentence in done["metrics"]["sentences"]]
        assert any("incomplete-audio" in each for each in faults)


async def test_the_page_recovers_from_a_restart(
    page: Page, simulator: Simulator, watch: Watch, brief: dict[str, Any]
) -> None:
    """In the middle of an answer the server goes; it comes back, and the conversation goes on."""
    watch.allowed = lambda complaint: "net::ERR_CONNECTION_REFUSED" in complaint
    settings = settings_for(simulator, **brief)
    paths: list[str] = []
    page.on("websocket", lambda socket: paths.append(urlsplit(socket.url).path))
    async with running_gateway(settings) as endpoint:
        await enter(page, endpoint)
        await type_in(page, "مرحبا")
        await expect(speaking(page)).to_be_visible()
    await expect(page.locator("#connection")).not_to_have_attribute("data-state", "open")
    async with running_gateway(settings, port=urlsplit(endpoint).port or 0):
        await page.click(".notice[data-code=server-draining] button.small")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        await expect(page.locator(".notice")).to_have_count(0)
        await expect(speaking(page)).to_have_count(0)
        await expect(page.locator("#stop")).to_be_disabled()
        await type_in(page, "ها أنا من جديد")
        await expect(last_turn(page).locator(".speaking")).to_be_visible()
        assert len(paths) > 1
        assert len(set(paths)) == 1
        await page.goto("about:blank")


async def test_to_try_again_turns_no_microphone_off(
    page: Page, simulator: Simulator, microphone_file: Path
) -> None:
    sockets: list[WebSocketRoute] = []
    streamed = asyncio.Event()

    def relay(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        server = socket.connect_to_server()

        def take(message: str | bytes) -> None:
            if isinstance(message, bytes) and len(sockets) == 2:
                streamed.set()
            server.send(message)

        socket.on_message(take)

    hear(microphone_file, bytes(32000))
    async with served(page, settings_for(simulator)) as endpoint:
        await page.route_web_socket("**/ws/agent/**", relay)
        await enter(page, endpoint)
        await page.click("#microphone")
        await expect(page.locator("body")).to_have_attribute("data-doing", "listening")
        await sockets[0].close(code=1013)
        await page.click(".notice[data-code=too-busy] button.small")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        async with asyncio.timeout(10):
            await streamed.wait()
        await expect(page.locator("#microphone")).to_have_attribute("aria-pressed", "true")


async def test_what_is_said_at_once_stays_in_its_order(
    page: Page, simulator: Simulator, brief: dict[str, Any]
) -> None:
    """The second comes before the gateway has taken up the first."""
    async with served(page, settings_for(simulator, **brief)) as endpoint:
        await enter(page, endpoint)
        await page.evaluate(
            """() => ["أولاً", "ثانياً"].forEach((text) => {
              document.querySelector("#text").value = text;
              document.querySelector("#typed").requestSubmit();
            })"""
        )
        await expect(last_turn(page).locator(".speaking")).to_be_visible()
        said = page.locator(".turn .said")
        await expect(said).to_have_text([re.compile("أولاً$"), re.compile("ثانياً$")])


async def test_a_microphone_that_goes_turns_the_button_off(
    page: Page, simulator: Simulator, microphone_file: Path
) -> None:
    hear(microphone_file, bytes(32000))
    async with served(page, settings_for(simulator)) as endpoint:
        await enter(page, endpoint)
        await page.evaluate(
            """() => {
              const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
              navigator.mediaDevices.getUserMedia = async (wanted) => {
                const stream = await open(wanted);
                globalThis.unplug = () => {
                  navigator.mediaDevices.getUserMedia = () =>
                    Promise.reject(new DOMException("", "NotFoundError"));
                  stream.getAudioTracks()[0].dispatchEvent(new Event("ended"));
                };
                return stream;
              };
            }"""
        )
        await page.click("#microphone")
        await expect(page.locator("body")).to_have_attribute("data-doing", "listening")
        await page.evaluate("unplug()")
        await expect(page.locator(".notice[data-code=no-microphone] p")).not_to_be_empty()
        await expect(page.locator("#microphone")).to_have_attribute("aria-pressed", "false")
        await expect(page.locator(".said.pending")).to_have_count(0)


async def test_without_a_microphone_the_page_says_what_to_do(
    page: Page, simulator: Simulator
) -> None:
    await page.add_init_script(
        "if (navigator.mediaDevices) navigator.mediaDevices.getUserMedia = "
        "() => Promise.reject(new DOMException('', 'NotAllowedError'))"
    )
    async with served(page, settings_for(simulator)) as endpoint:
        await enter(page, endpoint)
        await page.click("#microphone")
        await expect(page.locator(".notice[data-code=microphone-denied] p")).not_to_be_empty()
        await type_in(page, "أكتب إذن")
        await expect(speaking(page)).to_be_visible()


async def test_the_first_load_is_light_and_all_from_here(page: Page, simulator: Simulator) -> None:
    """Under 100 KB unpacked, all files together; and packed much less, with all that follows."""

    async def loaded(size: str) -> dict[str, int]:
        sizes: dict[str, int] = await page.evaluate(
            "size => Object.fromEntries(['navigation', 'resource']"
            ".flatMap((kind) => performance.getEntriesByType(kind))"
            ".map((entry) => [entry.name, entry[size]]))",
            size,
        )
        assert all(name.startswith(address(endpoint)) for name in sizes)
        return sizes

    async with served(page, settings_for(simulator)) as endpoint:
        await page.goto(address(endpoint), wait_until="networkidle")
        first = await loaded("decodedBodySize")
        assert address(endpoint, "nabra.js") in first
        assert sum(first.values()) < 100_000
        await page.click("#start")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        await type_in(page, "مرحبا")
        await expect(speaking(page)).to_be_visible()
        assert sum((await loaded("transferSize")).values()) < 60_000
