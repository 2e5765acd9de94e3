"""Behind the proxies of `deploy/`: TLS, a sub-path, sticky sessions, and what stays closed."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.asyncio.client import connect

from app.simulator import Simulator
from tests.deploy.proxies import EXECUTABLES, proxy
from tests.gateway import (
    Caller,
    audio_of,
    expected_audio,
    instant_simulator,
    running_gateway,
    settings_for,
)
from tests.net.scripted_http1 import scripted_http1, whole

KINDS = [
    pytest.param(
        kind,
        marks=pytest.mark.skipif(executable is None, reason=f"there is no {kind} to run"),
    )
    for kind, executable in EXECUTABLES.items()
]
RATES = (8000, 16000)
"""Sample rates that tell the two gateways apart."""


@dataclass
class Site:
    """What a client knows: the address, and whose certificates it trusts."""

    url: str
    trusted: ssl.SSLContext
    simulator: Simulator

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, verify=self.trusted, trust_env=False)

    @asynccontextmanager
    async def call(self, session_id: str, query: str = "") -> AsyncIterator[tuple[Caller, int]]:
        """Connect as a page of this origin does; give the rate of the gateway, too."""
        async with connect(
            f"{self.url.replace('http', 'ws')}/voice/ws/agent/{session_id}/{query}",
            ssl=self.trusted,
            origin=self.url,  # type: ignore[arg-type]
            compression=None,
            proxy=None,
        ) as socket:
            caller = Caller(socket)
            (session, *_) = await caller.until("status")
            yield caller, int(session["output"]["sample_rate"])

    async def gateway_of(self, session_id: str, query: str = "") -> int:
        """Return the rate of the gateway that serves a session."""
        async with self.call(session_id, query) as (_, rate):
            return rate


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=f"{certificate}.crt")


@asynccontextmanager
async def site(kind: str, directory: Path, certificate: Path, **second: Any) -> AsyncIterator[Site]:
    """Run two gateways behind a proxy; `second` are settings of the second one."""
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(instant_simulator())
        addresses = []
        for rate, changes in zip(RATES, ({}, second), strict=True):
            settings = settings_for(
                simulator, tts_sample_rate=rate, trusted_proxies=("127.0.0.1",), **changes
            )
            url = await stack.enter_async_context(running_gateway(settings))
            addresses.append(urlsplit(url).netloc)
        url = await stack.enter_async_context(proxy(kind, directory, addresses, certificate))
        yield Site(url, trusting(certificate), simulator)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_turn_is_spoken_whole_under_the_sub_path(
    kind: str, tmp_path: Path, certificate: Path
) -> None:
    async with site(kind, tmp_path, certificate) as served, served.http() as http:
        page = await http.get("/voice/")
        assert page.status_code == 200 and "Nabra" in page.text
        assert (await http.get("/voice/nabra.js")).status_code == 200
        moved = await http.get("/voice")
        assert (moved.status_code, moved.headers["location"].removeprefix(served.url)) == (
            308,
            "/voice/",
        )
        ids = iter(f"call-{number}" for number in range(100))
        while await served.gateway_of(session_id := next(ids)) != RATES[1]:
            pass  # the rate of the expected audio
        async with served.call(session_id) as (caller, _):
            await caller.send_audio()
            events = await caller.until("done")
        assert audio_of(events) == expected_audio(served.simulator, events)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_for_operators_is_closed_however_it_is_written(
    kind: str, tmp_path: Path, certificate: Path
) -> None:
    async with site(kind, tmp_path, certificate) as served, served.http() as http:
        for path in (
            *("metrics", "readyz", "/metrics", "./metrics", "%6detrics", "x/../metrics"),
            *("voice/metrics", "voice/readyz", "/voice//metrics", "voice/voice/metrics"),
        ):
            request = http.build_request("GET", "/voice/")
            request.url = request.url.copy_with(raw_path=f"/voice/{path}".encode())
            response = await http.send(request)
            assert response.status_code == 404, path
            assert "nabra_" not in response.text
        assert (await http.get("/metrics")).status_code in (200, 404)
        assert "nabra_" not in (await http.get("/metrics")).text
        large = await http.post("/voice/v1/sessions", content=b"x" * 20_000)
        assert large.status_code in (413, 502), "502 is what Caddy 2.6 says"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_session_comes_back_to_its_gateway(
    kind: str, tmp_path: Path, certificate: Path
) -> None:
    async with site(kind, tmp_path, certificate) as served:
        ids = [f"session-{number}" for number in range(12)]
        first = [await served.gateway_of(each) for each in ids]
        again = [await served.gateway_of(each, "?other=query") for each in ids]
    assert set(first) == set(RATES), "both gateways serve"
    assert first == again


@pytest.mark.skipif(EXECUTABLES["nginx"] is None, reason="there is no nginx to run")
async def test_a_session_that_its_gateway_refuses_goes_to_the_other(
    tmp_path: Path, certificate: Path
) -> None:
    """Caddy learns of a full gateway by its next question for health."""
    async with site("nginx", tmp_path, certificate, max_sessions=1) as served:
        ids = iter(f"session-{number}" for number in range(100))
        while await served.gateway_of(held := next(ids)) != RATES[1]:
            pass
        async with served.call(held):
            assert {await served.gateway_of(next(ids)) for _ in range(12)} == {RATES[0]}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_gateway_is_told_whom_it_serves_and_the_log_keeps_no_token(
    kind: str, tmp_path: Path, certificate: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with scripted_http1(whole(b"{}")) as gateway:
        address = urlsplit(gateway.url).netloc
        async with proxy(kind, tmp_path, (address, address), certificate) as url:
            async with httpx.AsyncClient(verify=trusting(certificate), trust_env=False) as http:
                spoofed = {"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Prefix": "/evil"}
                path = "/voice/ws/agent/one/?token=secret-token"
                assert (await http.get(url + path, headers=spoofed)).status_code == 200
    (asked,) = [each for each in gateway.exchanges if b"/ws/agent/" in each.head]
    assert asked.head.startswith(b"GET /ws/agent/one/?token=secret-token HTTP/1.1")
    assert asked.fields("host") == [urlsplit(url).netloc]
    assert asked.fields("x-forwarded-for") == ["127.0.0.1"]
    assert asked.fields("x-forwarded-prefix") == ["/voice"]
    log = tmp_path / "access.log"
    written = (log.read_text() if log.exists() else "") + "".join(capfd.readouterr())
    assert "secret-token" not in written
    if kind == "nginx":
        assert "GET /voice/ws/agent/one/ 200" in written


@pytest.mark.skipif(EXECUTABLES["caddy"] is None, reason="there is no caddy to run")
async def test_the_log_of_caddy_keeps_no_token_when_no_gateway_is_there(
    tmp_path: Path, certificate: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    nowhere = ("127.0.0.1:9", "127.0.0.1:9")
    async with proxy("caddy", tmp_path, nowhere, certificate) as url:
        async with httpx.AsyncClient(verify=trusting(certificate), trust_env=False) as http:
            path = "/voice/ws/agent/one/?token=secret-token"
            assert (await http.get(url + path)).status_code == 503
    written = "".join(capfd.readouterr())
    assert "/voice/ws/agent/one/" in written
    assert "secret-token" not in written
