"""Pages of other origins: what they may read by HTTP, and what only the gateway's own page may."""

from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Origin

from app.simulator import Simulator
from tests.gateway import running_gateway, settings_for

SHOP = "https://shop.example"
KEY = "0123456789abcdef"
SOCKET = "/ws/agent/s1/"
READABLE = "Access-Control-Allow-Origin"


@pytest.fixture
async def url(simulator: Simulator) -> AsyncIterator[str]:
    settings = settings_for(simulator, client_keys=f"acme:{KEY}", allowed_origins=SHOP)
    async with running_gateway(settings) as running:
        yield running


async def ask(
    url: str, method: str, path: str, *, origin: str = SHOP, **headers: str
) -> httpx.Response:
    base = url.replace("ws://", "http://").partition("/ws/")[0]
    async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.request(method, path, headers={"Origin": origin, **fields})


async def preflight(
    url: str, path: str, *, origin: str = SHOP, method: str = "GET"
) -> httpx.Response:
    return await ask(
        url,
        "OPTIONS",
        path,
        origin=origin,
        Access_Control_Request_Method=method,
        Access_Control_Request_Headers="authorization",
    )


async def test_an_allowed_page_reads_why_its_handshake_is_refused(url: str) -> None:
    asked = await preflight(url, SOCKET)
    assert (asked.status_code, asked.headers[READABLE]) == (200, SHOP)
    assert "authorization" in asked.headers["Access-Control-Allow-Headers"].lower()
    assert asked.headers["Access-Control-Allow-Methods"] == "GET"
    response = await ask(url, "GET", SOCKET, Authorization="Bearer no-token")
    assert (response.status_code, response.json()["code"]) == (401, "token-invalid")
    assert response.headers[READABLE] == SHOP
    assert response.headers["Access-Control-Expose-Headers"] == "Retry-After"
    assert "Origin" in response.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in {**asked.headers, **response.headers}


@pytest.mark.parametrize("path", ["/about.json", "/nabra.js", "/worklet.js"])
async def test_it_reads_what_the_library_needs(url: str, path: str) -> None:
    response = await ask(url, "GET", path)
    assert (response.status_code, response.headers[READABLE]) == (200, SHOP)


@pytest.mark.parametrize("path", [SOCKET, "/about.json", "/nabra.js"])
async def test_a_page_of_another_origin_reads_nothing(url: str, path: str) -> None:
    asked = await preflight(url, path, origin="https://evil.example")
    assert asked.status_code == 400
    assert READABLE not in asked.headers
    response = await ask(url, "GET", path, origin="https://evil.example")
    assert READABLE not in response.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/metrics"), ("GET", "/healthz"), ("PATCH", "/workbench"), ("POST", "/v1/sessions")],
)
async def test_what_is_for_operators_and_servers_is_for_no_page(
    url: str, method: str, path: str
) -> None:
    asked = await preflight(url, path, method=method)
    assert asked.status_code in (404, 405)
    assert READABLE not in asked.headers
    assert READABLE not in (await ask(url, method, path, Authorization=f"Bearer {KEY}")).headers


async def test_it_reads_the_same_under_the_path_of_a_proxy(simulator: Simulator) -> None:
    settings = settings_for(simulator, allowed_origins=SHOP, root_path="/voice")
    async with running_gateway(settings) as url:
        for prefix in ("", "/voice"):
            readable = await ask(url, "GET", f"{prefix}/about.json")
            assert (readable.status_code, readable.headers[READABLE]) == (200, SHOP)
            assert READABLE not in (await ask(url, "GET", f"{prefix}/healthz")).headers


async def test_an_allowed_page_connects(url: str) -> None:
    page = Origin(SHOP)
    async with connect(f"{url}s1/?token={KEY}", origin=page, proxy=None) as socket:
        assert '"session"' in str(await socket.recv())


async def test_without_allowed_origins_no_page_of_another_origin_reads(
    simulator: Simulator,
) -> None:
    async with running_gateway(settings_for(simulator)) as url:
        for response in [await preflight(url, SOCKET), await ask(url, "GET", "/about.json")]:
            assert READABLE not in response.headers
