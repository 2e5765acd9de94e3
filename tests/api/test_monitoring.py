"""`/metrics` and `/healthz` of a running gateway."""

from platform import python_version

import httpx

from app import __version__
from app.api.monitoring import Metrics, ProcessStateCollector
from app.audio import SampleAligner
from app.simulator import Simulator
from app.telemetry.speech_metrics import SpeechMetrics
from app.transports.base import TrailingAudio
from tests.gateway import calling, instant_simulator, of_type, running_gateway, settings_for
from tests.metrics import exemplars, scrape, until_scraped

ALL_IDLE = {
    "idle": 2.0,
    "opening": 0.0,
    "leased": 0.0,
    "lingering": 0.0,
    "draining": 0.0,
}


async def test_provider_sockets_are_counted_by_state(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url:
        await until_scraped(url, lambda metrics: metrics.sockets() == ALL_IDLE)
        async with calling(url) as caller:
            await caller.send({"text": "أين شحنتي؟", "type": "text"})
            await caller.until("tts_chunk")
            assert sum((await scrape(url)).sockets().values()) >= 1
            await caller.until("done")
        await until_scraped(url, lambda metrics: metrics.sockets() == ALL_IDLE)


async def test_attempts_are_counted_by_transport_and_fault() -> None:
    faults = {"truncated": {"probability": 1, "times": 1, "channel": "websocket"}}
    async with (
        instant_simulator(faults=faults) as simulator,
        running_gateway(settings_for(simulator)) as url,
    ):
        assert set((await scrape(url)).attempts().values()) == {0.0}
        async with calling(url) as caller:
            await caller.send({"text": "أين شحنتي؟", "type": "text"})
            sentences = of_type(await caller.until("done"), "sentence")
        attempts = (await scrape(url)).attempts()
        assert attempts["websocket", "incomplete-audio"] == 1
        assert sum(n for (_, fault), n in attempts.items() if fault == "none") == len(sentences)


async def test_late_audio_is_counted() -> None:
    speech = SpeechMetrics()
    trailing = TrailingAudio(0)
    trailing.follow(SampleAligner(2), speech)
    trailing.drain()
    trailing.put(b"\x00" * 640)
    response = Metrics(speech).response()
    assert b"nabra_late_audio_bytes_total 640.0" in bytes(response.body)


async def test_connected_clients_and_the_process_are_measured(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url:
        assert (await scrape(url)).value("nabra_sessions") == 0
        async with calling(url), calling(url):
            metrics = await scrape(url)
            assert metrics.value("nabra_sessions") == 2
            assert metrics.value("process_open_fds") > 4
        await until_scraped(url, lambda metrics: metrics.value("nabra_sessions") == 0)


async def test_a_scrape_that_asks_for_openmetrics_gets_it(simulator: Simulator) -> None:
    """Prometheus does; without traces there are no exemplars, and all else is the same."""
    async with running_gateway(settings_for(simulator)) as url:
        assert await exemplars(url) == []


async def test_a_gateway_that_serves_is_healthy(simulator: Simulator) -> None:
    async with (
        running_gateway(settings_for(simulator)) as url,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        address = url.replace("ws://", "http://").partition("/ws/")[0]
        response = await client.get(f"{address}/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_the_version_is_a_metric() -> None:
    response = Metrics(ProcessStateCollector()).response()
    assert f'nabra_build_info{{python="{python_version()}",version="{__version__}"}} 1.0' in (
        bytes(response.body).decode()
    )
