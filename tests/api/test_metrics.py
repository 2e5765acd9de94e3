"""`/metrics` of a running gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from prometheus_client.parser import text_string_to_metric_families

from app.api.metrics import Metrics
from app.simulator import Simulator, SimulatorConfig
from app.telemetry.speech_metrics import SpeechMetrics
from app.transports.base import TrailingAudio
from tests.gateway import calling, of_type, running_gateway, settings_for

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

FREE = {"idle": 2.0, "opening": 0.0, "leased": 0.0, "lingering": 0.0, "draining": 0.0}


class Scraper:
    """Reads what Prometheus would."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = f"http://{url.removeprefix('ws://').partition('/')[0]}/metrics"
        self._client = client

    async def scrape(self) -> Samples:
        response = await self._client.get(self._url)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(response.text)
            for sample in family.samples
        }

    async def sockets(self) -> dict[str, float]:
        """Count the sockets by state."""
        samples = await self.scrape()
        return {
            dict(labels)["state"]: value
            for (name, labels), value in samples.items()
            if name == "nabra_provider_sockets"
        }

    async def attempts(self) -> dict[tuple[str, str], float]:
        """Count the attempts by transport and fault."""
        samples = await self.scrape()
        return {
            (dict(labels)["transport"], dict(labels)["fault"]): value
            for (name, labels), value in samples.items()
            if name == "nabra_tts_attempts_total"
        }


@asynccontextmanager
async def scraped(simulator: Simulator, **changes: object) -> AsyncIterator[tuple[str, Scraper]]:
    async with (
        running_gateway(settings_for(simulator, **changes)) as url,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        yield url, Scraper(url, client)


def simulator(**values: object) -> Simulator:
    return Simulator(
        SimulatorConfig.model_validate({"profile": "instant", "voice": "hum", **values})
    )


async def test_the_states_of_the_sockets_are_told_as_they_are() -> None:
    async with simulator() as provider, scraped(provider) as (url, scraper):
        while (await scraper.sockets()) != {**FREE, "waiting": 0}:
            await asyncio.sleep(0)
        async with calling(url) as caller:
            await caller.send({"text": "أين شحنتي؟", "type": "text"})
            await caller.until("tts_chunk")
            assert sum((await scraper.sockets()).values()) >= 1
            await caller.until("done")
        while (await scraper.sockets()) != {**FREE, "waiting": 0}:
            await asyncio.sleep(0)


async def test_attempts_are_counted_by_transport_and_fault() -> None:
    faults = {"truncated": {"probability": 1, "times": 1, "channel": "websocket"}}
    async with simulator(faults=faults) as provider, scraped(provider) as (url, scraper):
        assert await scraper.attempts() == {}
        async with calling(url) as caller:
            await caller.send({"text": "أين شحنتي؟", "type": "text"})
            sentences = of_type(await caller.until("done"), "sentence")
        attempts = await scraper.attempts()
        assert attempts["websocket", "incomplete-audio"] == 1
        assert sum(n for (_, fault), n in attempts.items() if fault == "none") == len(sentences)


async def test_late_audio_that_was_not_played_is_counted() -> None:
    speech = SpeechMetrics()
    late = TrailingAudio(0, speech)
    late.drain()
    late.put(b"\x00" * 640)
    response = Metrics(dict, speech, lambda: 0).response()
    assert b"nabra_late_audio_bytes_total 640.0" in bytes(response.body)


async def test_the_clients_that_are_here_are_counted_and_the_process_is_told() -> None:
    async with (
        Simulator(SimulatorConfig(profile="instant", voice="hum")) as simulator,
        running_gateway(settings_for(simulator)) as url,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        scraper = Scraper(url, client)

        async def value(name: str) -> float:
            return (await scraper.scrape())[(name, frozenset())]

        assert await value("nabra_sessions") == 0
        async with calling(url), calling(url):
            assert await value("nabra_sessions") == 2
            assert await value("process_open_fds") > 4
        while await value("nabra_sessions"):
            await asyncio.sleep(0.01)
