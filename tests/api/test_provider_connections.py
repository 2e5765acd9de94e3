"""How many connections to the providers a session costs."""

import pytest

from app.simulator import Simulator
from tests.gateway import (
    audio_of,
    calling,
    expected_audio,
    of_type,
    running_gateway,
    settings_for,
)


@pytest.mark.parametrize(("lookahead", "sockets"), [(0, 1), (1, 2)])
async def test_one_socket_for_each_concurrent_sentence_serves_a_session_and_its_transcripts(
    lookahead: int, sockets: int, simulator: Simulator
) -> None:
    settings = settings_for(simulator, tts_lookahead=lookahead)
    async with running_gateway(settings) as url, calling(url) as caller:
        for _ in range(3):
            await caller.send_audio()
            events = await caller.until("done")
            transports = {row["transport"] for row in events[-1]["metrics"]["sentences"]}
            assert transports == {"websocket"}
    assert simulator.stats.sockets_opened == sockets


async def test_rest_sends_all_requests_over_one_http2_connection(simulator: Simulator) -> None:
    settings = settings_for(
        simulator, tts_transport="rest", tts_fallback="none", stt_transport="rest"
    )
    async with running_gateway(settings) as url, calling(url) as caller:
        await caller.send_audio()
        events = await caller.until("done")
    assert simulator.stats.sockets_opened == 0
    assert simulator.stats.http_connections["2"] == 1
    assert {row["connection"] for row in events[-1]["metrics"]["sentences"]} == {"reused"}


async def test_a_provider_without_http2_is_used_over_http_1_1(simulator: Simulator) -> None:
    settings = settings_for(
        simulator, tts_transport="rest", stt_transport="rest", hamsa_rest_http2="auto"
    )
    async with running_gateway(settings) as url, calling(url) as caller:
        for _ in range(2):
            await caller.send_audio()
            events = await caller.until("done")
            assert not of_type(events, "error")
            assert audio_of(events) == expected_audio(simulator, events)
    assert simulator.stats.http_connections["2"] == 0
