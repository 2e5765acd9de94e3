"""What the page shows: languages, marks, the waterfall, the workbench; and who can use it."""

import json
import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from app.settings import Settings
from app.simulator import Simulator
from tests.gateway import settings_for

from .conftest import ANSWER, NewPage
from .driving import address, served

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHONE = {"width": 390, "height": 844}
SMALL_PHONE = {"width": 320, "height": 568}
DESK = {"width": 1280, "height": 800}

TOO_FAINT = """() => {
  const rgba = (text) => text.match(/[0-9.]+/g).map(Number);
  const backdrop = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = rgba(getComputedStyle(at).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((each) => {
      const share = each / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const isText = walker.currentNode.data.trim() && element.checkVisibility();
    if (!isText || element.closest(".unseen, :disabled, noscript, svg")) continue;
    const behind = backdrop(element);
    const { color, opacity } = getComputedStyle(element);
    const blend = (each, i) => each * opacity + behind[i] * (1 - opacity);
    const ink = rgba(color).slice(0, 3).map(blend);
    const [dark, bright] = [light(ink), light(behind)].sort((a, b) => a - b);
    const contrast = (bright + 0.05) / (dark + 0.05);
    if (contrast < 4.5) found.push(`${walker.currentNode.data.trim()}: ${contrast.toFixed(2)}`);
  }
  return found;
}"""
"""Texts with less contrast than WCAG AA asks for, and how much they have."""

OUT_OF_SIGHT = """() => {
  const names = "button, input, select, .pill, .said, .reply, #status";
  return Array.from(document.querySelectorAll(names)).filter((element) => {
    if (!element.checkVisibility() || element.matches(".switch input, .choice input")) return false;
    const box = element.getBoundingClientRect();
    return box.left < 0 || box.right > innerWidth || element.scrollWidth > element.clientWidth + 1;
  }).map((element) => element.id || element.textContent);
}"""
"""What can be used or read, and sticks out of the window or of its own box."""


async def enter(page: Page, endpoint: str) -> None:
    await page.goto(address(endpoint))
    await page.click("#start")
    await expect(page.locator("#connection")).to_have_attribute("data-state", "open")


async def ask(page: Page, text: str = "مرحبا") -> None:
    await page.fill("#text", text)
    await page.press("#text", "Enter")
    await expect(page.locator(".turn").last.locator(".speaking")).to_be_visible()


async def test_the_language_is_switched_and_remembered(page: Page, simulator: Simulator) -> None:
    sent: list[str] = []

    def keep(frame: str) -> None:
        sent.append(frame)

    page.on("websocket", lambda socket: socket.on("framesent", keep))
    async with served(page, settings_for(simulator)) as endpoint:
        await page.goto(address(endpoint))
        await expect(page.locator("html")).to_have_attribute("dir", "rtl")
        await page.click("#language")
        await page.reload()
        await expect(page.locator("html[lang=en]")).to_have_attribute("dir", "ltr")
        await expect(page.locator("#start")).to_have_text("Start the conversation")
        await page.click("#language")
        await page.click("#start")
        await expect(page.locator("#connection")).to_contain_text("متصل")
        await page.click("#language")
        await expect(page.locator("#status")).to_contain_text("Hold to talk")
        await expect(page.locator("#text")).to_have_attribute("placeholder", "Or type here…")
        await ask(page)
    messages = [json.loads(frame) for frame in sent if isinstance(frame, str)]
    asked = [message["language"] for message in messages if "language" in message]
    assert asked == ["en", "ar", "en"]


async def test_every_text_is_there_in_both_languages(page: Page, simulator: Simulator) -> None:
    async with served(page, settings_for(simulator)) as endpoint:
        await page.goto(address(endpoint))
        words: dict[str, list[str]] = await page.evaluate(
            """async () => {
              const names = ["words", "words-report", "words-bench"];
              const parts = await Promise.all(names.map((name) => import(`/page/${name}.js`)));
              return Object.assign({}, ...parts.flatMap(Object.values));
            }"""
        )
    assert len(words) > 100
    for key, texts in words.items():
        arabic, english = texts
        assert arabic and english, key
        blanks = [sorted(re.findall(r"\{\w+\}", text)) for text in texts]
        assert blanks[0] == blanks[1], key


async def test_what_was_not_heard_is_greyed(page: Page, simulator: Simulator, agent: str) -> None:
    async with served(page, settings_for(simulator, agent_webhook_url=agent)) as endpoint:
        await enter(page, endpoint)
        await ask(page)
        answer = page.locator(".answer-text")
        await expect(answer).to_have_text(ANSWER)
        marked = await page.locator(".speaking").inner_text()
        assert ANSWER.startswith(marked)
        await page.keyboard.press("Escape")
        await expect(page.locator(".unheard").last).to_be_visible()
        await expect(page.locator("#announcer")).to_have_text("قوطِع")
        await expect(page.locator(".chip")).to_be_visible()
        await expect(page.locator("#stop")).to_be_disabled()
        unheard = "".join(await page.locator(".unheard").all_inner_texts())
        rest = re.sub(r"^.*لم يُسمع:", "", unheard.replace("\n", " ")).strip()
        assert rest and ANSWER.endswith(rest)
        assert len(rest) > len(ANSWER) - len(marked)


async def test_a_turn_is_drawn_and_told_as_a_table(
    page: Page, simulator: Simulator, agent: str
) -> None:
    simulator.configure({"faults": {"truncated": {"times": 1, "channel": "websocket"}}})
    async with served(page, settings_for(simulator, agent_webhook_url=agent)) as endpoint:
        await enter(page, endpoint)
        await expect(page.locator("#tab-workbench")).to_be_hidden()
        await ask(page, "الأول")
        await expect(page.locator(".waterfall")).to_be_visible()
        await expect(page.locator(".waterfall .bar.fault")).to_have_count(1)
        await expect(page.locator(".waterfall .bar.heard")).to_have_count(2)
        await expect(page.locator(".waterfall .mark")).to_have_count(3)
        await expect(page.locator(".verdict")).to_contain_text("صوت مبتور")
        await page.click("summary")
        rows = page.locator("details tbody tr")
        await expect(rows).to_have_count(6)  # the agent twice, three attempts, the whole
        await expect(page.locator("details")).to_contain_text("صوت مبتور")
        await expect(page.locator(".chip")).to_contain_text("أُصلح 1")
        await ask(page, "الثاني")
        await expect(page.locator(".heading")).to_contain_text("الثاني")
        await expect(page.locator(".spread caption")).to_contain_text("2")
        cells = await page.locator(".spread td").all_inner_texts()
        assert all(re.fullmatch(r"\d+\.\d\d\sث", cell) for cell in cells if cell)
        await page.get_by_role("button", name="الأسبق").press("Enter")
        await expect(page.locator(".heading")).to_contain_text("الأول")
        await expect(page.locator(".waterfall .bar.fault")).to_have_count(1)
        assert "NaN" not in await page.locator("#report").inner_html()


async def test_an_answer_that_came_all_at_once_is_drawn(page: Page, simulator: Simulator) -> None:
    async with served(page, settings_for(simulator)) as endpoint:
        await page.goto(address(endpoint))
        drawn: list[str] = await page.evaluate(
            """async () => {
              await import("/page/report.js");  // it brings the words
              const { waterfall } = await import("/page/waterfall.js");
              const attempt = { started_ms: 4, ttfb_ms: 5, total_ms: 5, fault: null };
              const sentences = [true, false].map((heard, index) =>
                ({ index, attempt_log: [{ ...attempt, heard }] }));
              const metrics = { stt_ms: null, agent_first_token_ms: 2, agent_done_ms: 2,
                first_sentence_ms: 3, first_audio_ms: 9, total_ms: 9, sentences };
              const bars = waterfall({ metrics, heardMs: null }, 400).querySelectorAll(".bar");
              return Array.from(bars, (bar) => bar.getAttribute("class"));
            }"""
        )
    assert drawn == ["bar wait", "bar wait", "bar heard", "bar wait", "bar unused"]


async def test_percentiles_are_values_that_were_measured(page: Page, simulator: Simulator) -> None:
    async with served(page, settings_for(simulator)) as endpoint:
        await page.goto(address(endpoint))
        found: list[Any] = await page.evaluate(
            """async () => {
              const { percentile } = await import("/page/statistics.js");
              const many = Array.from({ length: 100 }, (_, i) => 100 - i);
              return [percentile([], 0.5), percentile([7], 0.95), percentile([3, 1, 2], 0.5),
                percentile(many, 0.5), percentile(many, 0.95)];
            }"""
        )
    assert found == [None, 7, 2, 50, 95]


async def test_the_workbench_changes_the_simulator_and_the_way_of_speaking(page: Page) -> None:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        allow_client_transport=True,
        simulator_profile="instant",
        simulator_voice="hum",
        log_level="warning",
    )
    async with served(page, settings) as endpoint:
        await enter(page, endpoint)
        await page.click("#tab-report")
        await page.keyboard.press("ArrowLeft")
        await expect(page.locator("#tab-workbench")).to_be_focused()
        await page.locator("#throttle").press("Space")
        await expect(page.locator("#throttle")).to_be_checked()
        await page.select_option("#fault-drop", "0.5")
        await expect(page.locator("#fault-drop")).to_have_class("on")
        await page.locator("#time-stt_ms").press("End")
        await expect(page.locator("output[for=time-stt_ms]")).to_have_text(re.compile("^5.00"))
        await page.check("#transport-rest", force=True)
        await expect(page.locator("#workbench .notice")).to_have_count(0)
        shown = {"timing": {"stt_ms": 0}}
        while shown["timing"]["stt_ms"] != 5000:
            shown = await (await page.request.get(address(endpoint, "workbench"))).json()
        assert shown["config"]["faults"]["drop"]["probability"] == 0.5
        assert shown["config"]["throttle"]["limit"] == 4
        await page.click("#mend")
        await expect(page.locator("#fault-drop")).to_have_value("0")
        await expect(page.locator("#throttle")).not_to_be_checked()
        await ask(page)
        await page.click("#tab-report")
        await page.click("summary")
        await expect(page.locator("details")).to_contain_text("REST")
        await expect(page.locator("details")).not_to_contain_text("بمقبس")


async def test_a_tap_listens_until_the_next_and_escape_calls_it_off(
    page: Page, simulator: Simulator
) -> None:
    async with served(page, settings_for(simulator)) as endpoint:
        await enter(page, endpoint)
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


@pytest.mark.parametrize("language", ["ar", "en"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_all_can_be_read_and_nothing_is_cut_off(
    new_page: NewPage, simulator: Simulator, agent: str, language: str, scheme: str
) -> None:
    """On a desk and on a phone; there the panel is a sheet, which Escape closes."""
    page = await new_page(viewport=DESK, color_scheme=scheme, reduced_motion="reduce")
    async with served(page, settings_for(simulator, agent_webhook_url=agent)) as endpoint:
        await enter(page, endpoint)
        if language == "en":
            await page.click("#language")
        assert await page.evaluate(TOO_FAINT) == []
        await ask(page)
        await expect(page.locator(".waterfall")).to_be_visible()
        for size in (DESK, SMALL_PHONE, PHONE):
            await page.set_viewport_size(size)
            assert await page.evaluate(TOO_FAINT) == []
            assert await page.evaluate(OUT_OF_SIGHT) == []
        await expect(page.locator("#panel")).to_be_hidden()
        await page.locator("#open-panel").press("Enter")
        await expect(page.locator("#report")).to_be_visible()
        assert await page.evaluate(OUT_OF_SIGHT) == []
        await page.keyboard.press("Escape")
        await expect(page.locator("#panel")).to_be_hidden()
        await expect(page.locator("#open-panel")).to_be_focused()
        await expect(page.locator(".cut")).to_be_hidden()  # nothing was interrupted
        await page.keyboard.press("Escape")
        await expect(page.locator(".cut")).to_be_visible()
