"""The page behind the nginx of `deploy/`: TLS, a sub-path, and two gateways; one drains."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from signal import SIGTERM
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import expect

from app.audio.format import AudioFormat
from app.serving.server import DrainingServer
from app.simulator import Simulator
from tests.deploy.proxies import EXECUTABLES, proxy
from tests.gateway import of_type, running_server, settings_for
from tests.net.conftest import certificate

from .conftest import NewPage, running_agent
from .conversation_page import ask, speaking, start
from .library_page import collect_received, url_of
from .recording import record

__all__ = ["certificate"]

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(EXECUTABLES["nginx"] is None, reason="there is no nginx to run"),
]

RATES = (8000, 16000)
"""Sample rates that tell the two gateways apart."""

Gateways = dict[int, tuple[DrainingServer, str]]
"""Server and endpoint of each, by its rate."""


@asynccontextmanager
async def site(
    simulator: Simulator, agent_url: str, directory: Path, certificate: Path
) -> AsyncIterator[tuple[str, Gateways]]:
    """Run both behind nginx; yield where the page finds its endpoint, and the gateways."""
    async with AsyncExitStack() as stack:
        gateways: Gateways = {}
        for rate in RATES:
            settings = settings_for(
                simulator,
                agent_webhook_url=agent_url,
                first_chunk_min_chars=10,
                tts_sample_rate=rate,
                trusted_proxies=("127.0.0.1",),
            )
            gateways[rate] = await stack.enter_async_context(running_server(settings))
        addresses = [urlsplit(endpoint).netloc for _, endpoint in gateways.values()]
        url = await stack.enter_async_context(proxy("nginx", directory, addresses, certificate))
        yield f"{url}/voice/ws/agent/", gateways


async def drain(server: DrainingServer, endpoint: str) -> None:
    """Send the signal, and wait until the drain has begun."""
    server.handle_exit(SIGTERM, None)
    async with httpx.AsyncClient(trust_env=False) as client:
        async with asyncio.timeout(10):
            while (await client.get(url_of(endpoint, "readyz"))).status_code != 503:
                pass


async def test_a_drain_in_mid_answer_loses_no_sound_and_the_other_gateway_goes_on(
    new_page: NewPage, simulator: Simulator, tmp_path: Path, certificate: Path
) -> None:
    has_drain_begun = asyncio.Event()
    page = await new_page(ignore_https_errors=True)
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.on("websocket", lambda socket: addresses.append(socket.url.replace("wss:", "https:")))
    events = collect_received(page)
    async with (
        running_agent("أهلاً وسهلاً بك. ", after=has_drain_begun, rest="طلبك يصل غداً.") as agent_url,
        site(simulator, agent_url, tmp_path, certificate) as (endpoint, gateways),
    ):
        await start(page, endpoint)
        await ask(page)
        [session] = of_type(events, "session")
        rate = session["output"]["sample_rate"]
        await drain(*gateways[rate])
        assert not of_type(events, "done")
        has_drain_begun.set()
        await expect(page.locator(".notice[data-code=server-draining]")).to_be_visible()
        await expect(page.locator(".notice")).to_have_count(0)
        await expect(speaking(page)).to_have_count(0)
        recording = await record(page)
        sentences = of_type(events, "sentence")
        assert len(sentences) == 2
        for sentence in sentences:
            spoken = simulator.expected_audio(sentence["text"], AudioFormat("pcm_s16le", rate))
            assert recording.similarity(spoken, rate) > 0.999
        await ask(page, "ها أنا من جديد")
        [_, other] = of_type(events, "session")
        assert other["session_id"] == session["session_id"]
        assert {rate, other["output"]["sample_rate"]} == set(RATES)
        assert all(address.startswith(url_of(endpoint)) for address in addresses), addresses
        await page.goto("about:blank")
