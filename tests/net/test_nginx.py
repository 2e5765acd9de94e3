"""Behind a real nginx, which closes an HTTP/2 connection after so many requests."""

import asyncio
from pathlib import Path

import pytest

from app.hamsa.rest import HamsaClient
from app.hamsa.tts_rest import RestTransport
from app.simulator import Simulator, SimulatorConfig
from tests.net.clients import body_of, http2_client, post
from tests.net.nginx import EXECUTABLE, MISSING, nginx
from tests.net.scripted_http1 import scripted_http1, whole
from tests.transports.fakes import speak

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason=MISSING)

AT_ONCE, EACH = 8, 20


async def test_no_request_is_lost_when_nginx_closes_a_connection(tmp_path: Path) -> None:
    async with (
        scripted_http1(whole(b"ok")) as upstream,
        nginx(tmp_path, upstream.url, requests=3) as url,
        http2_client(url) as client,
    ):

        async def asks() -> set[str]:
            versions = set()
            for _ in range(EACH):
                response = await post(client, url)
                versions.add(response.http_version)
                assert await body_of(response) == b"ok"
            return versions

        spoken = await asyncio.gather(*(asks() for _ in range(AT_ONCE)))
        assert spoken == [{"HTTP/2"}] * AT_ONCE
        assert len(upstream.exchanges) == AT_ONCE * EACH  # and none arrived twice


async def test_no_attempt_at_a_sentence_fails_when_nginx_closes_a_connection(
    tmp_path: Path,
) -> None:
    config = SimulatorConfig(profile="instant", voice="hum")
    async with (
        Simulator(config) as simulator,
        nginx(tmp_path, simulator.urls.hamsa_rest_url, requests=3) as url,
    ):
        client = HamsaClient(url, "key", connect_timeout_s=5, http2_prior_knowledge=True)
        transport = RestTransport(client)

        async def speaks() -> None:
            for _ in range(EACH):
                assert await speak(transport)

        try:
            await asyncio.gather(*(speaks() for _ in range(AT_ONCE)))
        finally:
            await client.aclose()
