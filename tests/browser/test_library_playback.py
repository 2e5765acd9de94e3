"""What the client library plays, recorded where it reaches the loudspeaker."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest
from playwright.async_api import Page

from app.simulator import Simulator
from tests.gateway import running_gateway, settings_for

from .conftest import NewPage
from .library_page import (
    collect_sent,
    connect_client,
    emitted,
    gateway_for,
    wait_for_event,
)
from .recording import record

pytestmark = pytest.mark.asyncio(loop_scope="session")

BY_TRANSPORT: dict[str, list[dict[str, Any]]] = {
    "websocket": [{}, {"framing": "base64", "encoding": "mulaw"}],
    "rest": [{"sample_rate": 24000}, {"framing": "base64"}],
}
"""With each transport both framings (binary is the library's default), and all formats."""


async def test_a_response_is_played_whole_and_without_gaps(
    new_page: NewPage, simulator: Simulator, short_response: dict[str, Any]
) -> None:
    """What reaches the loudspeaker is what the provider sent, in every framing and format."""

    async def play_with(endpoint: str, output: dict[str, Any]) -> None:
        page = await new_page()
        sent = collect_sent(page)
        await connect_client(page, endpoint, options={"output": output})
        await page.evaluate("nabra.say('مرحبا')")
        idle = await wait_for_event(page, kind="idle")
        recording = await record(page)
        sentences = [m["text"] for m in await emitted(page, kind="message", type="sentence")]
        assert len(sentences) > 1
        spoken = b"".join(map(simulator.expected_audio, sentences))
        length_s = len(spoken) / 32000
        assert recording.similarity(spoken, 16000) > 0.999
        assert recording.loud_s() == pytest.approx(length_s, abs=0.06)
        assert recording.longest_gap_s() == 0
        assert idle["playedMs"] == pytest.approx(length_s * 1000, abs=1)
        started = await emitted(page, kind="playing")
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

    async with asyncio.TaskGroup() as pages:
        for transport, outputs in BY_TRANSPORT.items():
            pages.create_task(_play_each(transport, outputs, play_with, simulator, short_response))


async def test_sound_that_the_system_stopped_continues_with_a_gesture(
    page: Page, simulator: Simulator, short_response: dict[str, Any]
) -> None:
    """As in a phone call: the response is not lost, and the problem is reported."""
    async with gateway_for(page, settings_for(simulator, **short_response)) as endpoint:
        await connect_client(page, endpoint)
        await page.evaluate("nabra.say('مرحبا')")
        await wait_for_event(page, kind="playing")
        await page.evaluate("nabra.output.context.suspend()")
        await wait_for_event(page, kind="problem", code="audio-locked")
        await wait_for_event(page, kind="message", type="done")
        assert not await emitted(page, kind="idle")
        await page.click("html")
        idle = await wait_for_event(page, kind="idle")
        assert idle["playedMs"] == pytest.approx((await record(page)).loud_s() * 1000, abs=60)


async def _play_each(
    transport: str,
    outputs: list[dict[str, Any]],
    play_with: Callable[[str, dict[str, Any]], Awaitable[None]],
    simulator: Simulator,
    short_response: dict[str, Any],
) -> None:
    settings = settings_for(simulator, tts_transport=transport, **short_response)
    async with running_gateway(settings) as endpoint:
        await asyncio.gather(*(play_with(endpoint, output) for output in outputs))
