"""A conversation on the page: typing, talking, interrupting, and what it sounds like."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from app.simulator import Simulator
from tests.gateway import of_type, settings_for
from tests.voices import Scene

from .conftest import RESPONSE, SHORT_RESPONSE
from .conversation_page import (
    ask,
    expect_silence,
    last_turn,
    observe_spoken,
    observed_spoken,
    speaking,
    start,
)
from .library_page import collect_received, gateway_for, url_of
from .microphone import feed_microphone, make_microphone_playable, play_into_microphone
from .recording import record, wait_for_sound

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = "أين شحنتي رقم خمسة؟"
OBJECTION = "لا لا، ليس هذا العنوان."


async def test_a_typed_turn_is_spoken_sentence_by_sentence(
    page: Page, simulator: Simulator, short_response: dict[str, Any]
) -> None:
    async with gateway_for(page, settings_for(simulator, **short_response)) as endpoint:
        events = collect_received(page)
        await start(page, endpoint)
        await observe_spoken(page)
        await ask(page, "مرحبا")
        await expect(last_turn(page).locator(".user-text")).to_contain_text("مرحبا")
        await expect(page.locator("body")).to_have_attribute("data-marked", "2")
        await expect(speaking(page)).to_have_count(0)
        sentences = [event["text"].strip() for event in of_type(events, "sentence")]
        assert len(sentences) == 2
        assert await observed_spoken(page) == sentences
        recording = await record(page)
        expected = b"".join(
            simulator.expected_audio(event["text"]) for event in of_type(events, "sentence")
        )
        assert recording.loud_s() == pytest.approx(len(expected) / 32000, abs=0.06)
        assert recording.longest_gap_s() == 0
        assert recording.similarity(expected, 16000) > 0.999
        await expect(last_turn(page).locator(".response-text")).to_have_text(SHORT_RESPONSE)


async def test_a_held_button_makes_a_spoken_turn(
    page: Page, simulator: Simulator, microphone_file: Path
) -> None:
    """Hold the button, speak, release; the response comes by REST."""
    feed_microphone(microphone_file, Scene().pause(300).speak(QUESTION).pause(5000).pcm())
    async with gateway_for(page, settings_for(simulator, tts_transport="rest")) as endpoint:
        events = collect_received(page)
        await start(page, endpoint)
        await page.hover("#microphone")
        await page.mouse.down()
        await expect(page.locator("body")).to_have_attribute("data-doing", "listening")
        await page.wait_for_timeout(1500)
        await page.mouse.up()
        await expect(speaking(page)).to_be_visible()
        [transcription] = of_type(events, "transcription")
        await expect(last_turn(page).locator(".user-text")).to_contain_text(transcription["text"])
        await wait_for_sound(page)
        await expect(page.locator("#microphone")).to_have_attribute("aria-pressed", "false")


async def test_hands_free_the_user_interrupts_by_speaking(page: Page, simulator: Simulator) -> None:
    """Without any button: a question, a response, an objection during it, another response."""
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        events = collect_received(page)
        await start(page, endpoint)
        await make_microphone_playable(page)
        await page.check("#hands-free", force=True)
        await expect(page.locator("body")).to_have_attribute("data-doing", "hands-free")
        await play_into_microphone(page, Scene().pause(300).speak(QUESTION).pcm())
        await wait_for_sound(page, 0.2)
        await play_into_microphone(page, Scene().speak(OBJECTION).pcm())
        first, second = page.locator(".turn").nth(0), page.locator(".turn").nth(1)
        await expect(first.locator(".interrupted")).to_be_visible()
        await expect(second.locator(".speaking")).to_be_visible()
        recording = await record(page)
        [interrupted] = of_type(events, "interrupted")
        assert interrupted["reason"] == "barge_in"
        kinds = [event["type"] for event in events if event["type"].startswith("speech_")]
        assert kinds == ["speech_started", "speech_stopped"] * 2
        # The response sounded until it was interrupted. Then it was silent while the user went on
        # speaking, and during the pause that ends an utterance. How long it still sounded after
        # the page's last report is up to how busy the machine is; it was not the whole response.
        assert recording.longest_gap_s() > 0.5
        sent = [one["text"] for one in of_type(events, "sentence") if one["turn"] == 1]
        sent_s = sum(len(simulator.expected_audio(text)) / 32000 for text in sent)
        assert 0.1 < interrupted["played_ms"] / 1000 < recording.first_sound_s() + 0.1
        assert recording.first_sound_s() < sent_s / 2


async def test_the_stop_button_silences_the_page(page: Page, simulator: Simulator) -> None:
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await start(page, endpoint)
        await ask(page)
        await wait_for_sound(page)
        await page.click("#stop")
        await expect_silence(page)


async def test_everything_works_by_keyboard(
    page: Page, simulator: Simulator, microphone_file: Path
) -> None:
    """Start, type, interrupt and talk."""
    feed_microphone(microphone_file, Scene().pause(20_000).pcm())
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.goto(url_of(endpoint))
        await page.locator("#start").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        await expect(page.locator("#microphone")).to_be_focused()
        while await page.evaluate("document.activeElement.id") != "text":
            await page.keyboard.press("Tab")
        await page.keyboard.type("مرحبا")
        await page.keyboard.press("Enter")
        await wait_for_sound(page)
        await page.keyboard.press("Escape")
        await expect_silence(page)
        await page.locator("#microphone").focus()
        await page.keyboard.down(" ")
        await expect(page.locator("body")).to_have_attribute("data-doing", "listening")
        await page.wait_for_timeout(400)
        await page.evaluate(
            "dispatchEvent(new Event('blur'))"
        )  # the key is released in another window
        await expect(page.locator("#microphone")).to_have_attribute("aria-pressed", "false")


async def test_a_tap_listens_until_the_next_and_escape_cancels(
    page: Page, simulator: Simulator
) -> None:
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await start(page, endpoint)
        body, microphone = page.locator("body"), page.locator("#microphone")
        await page.fill("#text", "لا")
        await page.press("#text", "Space")
        await expect(page.locator("#text")).to_have_value("لا ")
        await expect(body).to_have_attribute("data-doing", "idle")
        await microphone.click()
        await expect(body).to_have_attribute("data-doing", "listening")
        await expect(microphone).to_have_attribute("aria-pressed", "true")
        await page.keyboard.press("Escape")
        await expect(body).to_have_attribute("data-doing", "idle")
        await expect(page.locator(".turn")).to_have_count(0)
        await microphone.press("Enter")
        await expect(body).to_have_attribute("data-doing", "listening")
        await microphone.press("Enter")
        await expect(microphone).to_have_attribute("aria-pressed", "false")


async def test_utterances_in_quick_succession_stay_in_order(
    page: Page, simulator: Simulator, short_response: dict[str, Any]
) -> None:
    """The second comes before the gateway has taken up the first."""
    async with gateway_for(page, settings_for(simulator, **short_response)) as endpoint:
        await start(page, endpoint)
        await page.evaluate(
            """() => ["أولاً", "ثانياً"].forEach((text) => {
              document.querySelector("#text").value = text;
              document.querySelector("#typed").requestSubmit();
            })"""
        )
        await expect(last_turn(page).locator(".speaking")).to_be_visible()
        texts = page.locator(".turn .user-text")
        await expect(texts).to_have_text([re.compile("أولاً$"), re.compile("ثانياً$")])


async def test_what_was_not_played_is_greyed_out(
    page: Page, simulator: Simulator, agent_url: str
) -> None:
    async with gateway_for(page, settings_for(simulator, agent_webhook_url=agent_url)) as endpoint:
        await start(page, endpoint)
        await ask(page)
        await expect(page.locator(".response-text")).to_have_text(RESPONSE)
        marked = await page.locator(".speaking").inner_text()
        assert RESPONSE.startswith(marked)
        await page.keyboard.press("Escape")
        await expect(page.locator(".not-played").last).to_be_visible()
        await expect(page.locator("#announcer")).to_have_text("قوطِع")
        await expect(page.locator(".chip")).to_be_visible()
        await expect(page.locator("#stop")).to_be_disabled()
        not_played = "".join(await page.locator(".not-played").all_inner_texts())
        rest = re.sub(r"^.*لم يُسمع:", "", not_played.replace("\n", " ")).strip()
        assert rest and RESPONSE.endswith(rest)
        assert len(rest) > len(RESPONSE) - len(marked)
