"""What the client library plays, heard where it reaches the loudspeaker."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest
from playwright.async_api import Page

from app.simulator import Simulator
from tests.gateway import running_gateway, settings_for

from .conftest import NewPage
from .driving import converse, frames_sent, served, told, until
from .listening import listen

pytestmark = pytest.mark.asyncio(loop_scope="session")

BY_TRANSPORT: dict[str, list[dict[str, Any]]] = {
    "websocket": [{}, {"framing": "base64", "encoding": "mulaw"}],
    "rest": [{"sample_rate": 24000}, {"framing": "base64"}],
}
"""With either transport both framings (binary is the library's own choice), and all formats."""


async def test_an_answer_is_heard_whole_and_without_a_hole(
    new_page: NewPage, simulator: Simulator, brief: dict[str, Any]
) -> None:
    """What reaches the loudspeaker is what the provider made, in every framing and format."""

    async def listen_to(endpoint: str, output: dict[str, Any]) -> None:
        page = await new_page()
        sent = frames_sent(page)
        await converse(page, endpoint, options={"output": output})
        await page.evaluate("nabra.say('مرحبا')")
        idle = await until(page, kind="idle")
        heard = await listen(page)
        sentences = [m["text"] for m in await told(page, kind="message", type="sentence")]
        assert len(sentences) > 1
        spoken = b"".join(map(simulator.expected_audio, sentences))
        length_s = len(spoken) / 32000
        assert heard.likeness(spoken, 16000) > 0.999
        assert heard.loud_s() == pytest.approx(length_s, abs=0.06)
        assert heard.longest_hole_s() == 0
        assert idle["playedMs"] == pytest.approx(length_s * 1000, abs=1)
        started = await told(page, kind="playing")
        assert [(one["turn"], one["index"]) for one in started] == [(1, 0), (1, 1)]
        assert started[1]["playedMs"] == pytest.approx(
            len(simulator.expected_audio(sentences[0])) / 32, abs=1
        )
        reports = [message for message in sent if message["type"] == "playback"]
        played_ms = [report["played_ms"] for report in reports]
        assert {report["turn"] for report in reports} == {1}
        assert played_ms[-1] == round(idle["playedMs"])
        assert all(0 < later - earlier < 500 for earlier, later in pairwise(played_ms))
        await page.goto("about:blank")  # before the gateway goes

    async with asyncio.TaskGroup() as listeners:
        for transport, outputs in BY_TRANSPORT.items():
            listeners.create_task(_each(transport, outputs, listen_to, simulator, brief))


async def test_sound_that_the_system_took_away_goes_on_with_a_gesture(
    page: Page, simulator: Simulator, brief: dict[str, Any]
) -> None:
    """A phone call, say: the answer is not lost, and it is told what is the matter."""
    async with served(page, settings_for(simulator, **brief)) as endpoint:
        await converse(page, endpoint)
        await page.evaluate("nabra.say('مرحبا')")
        await until(page, kind="playing")
        await page.evaluate("nabra.output.context.suspend()")
        await until(page, kind="problem", code="audio-locked")
        await until(page, kind="message", type="done")
        assert not await told(page, kind="idle")
        await page.click("html")
        idle = await until(page, kind="idle")
        assert idle["playedMs"] == pytest.approx((await listen(page)).loud_s() * 1000, abs=60)


async def _each(
    transport: str,
    outputs: list[dict[str, Any]],
    listen_to: Callable[[str, dict[str, Any]], Awaitable[None]],
    simulator: Simulator,
    brief: dict[str, Any],
) -> None:
    settings = settings_for(simulator, tts_transport=transport, **brief)
    async with running_gateway(settings) as endpoint:
        await asyncio.gather(*(listen_to(endpoint, output) for output in outputs))
