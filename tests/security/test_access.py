"""Who may not come in, at a real gateway: every refusal has its status and code, for pages too."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bench.attackers import Stranger
from tests.security.gateways import GatewayProcess, gateway_process

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("access")]

KEY, OTHER_KEY = "key-of-acme-7f3a9c", "key-of-other-51b2e8"
SECRET = "a secret of at least thirty-two bytes"
HOUR_S = 3600


def signed(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    payload = {"sub": "user-1", "sid": "own", "exp": time.time() + HOUR_S, **claims}
    return jwt.encode(payload, secret, algorithm=algorithm)


def cases() -> dict[str, tuple[str, dict[str, str], int, str]]:
    """Path, headers, and the refusal."""

    def bearer(token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    good, foreign = signed(), signed("another secret of thirty-two bytes")
    return {
        "nothing": ("own", {}, 401, "credential-missing"),
        "a wrong key": ("own", bearer("key-of-nobody"), 401, "token-invalid"),
        "expired": ("own", bearer(signed(exp=time.time() - 60)), 401, "token-expired"),
        "foreign": ("own", bearer(foreign), 401, "token-invalid"),
        "unsigned": ("own", bearer(signed("", "none")), 401, "token-invalid"),
        "malformed": ("own", bearer("a.b.c"), 401, "token-invalid"),
        "cut": ("own", bearer(good[:-5]), 401, "token-invalid"),
        "too long": ("own", bearer("x" * 8000), 401, "token-invalid"),
        "replayed for another session": ("else", bearer(good), 403, "session-not-yours"),
        "somebody's session": ("of-acme", bearer(OTHER_KEY), 403, "session-not-yours"),
        "an evil page": ("own", {**bearer(good), "Origin": "https://evil.example"}, 403,
                         "origin-not-allowed"),
        "a wrong id": ("a%20b", bearer(KEY), 400, "invalid-session-id"),
    }  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcess]:
    """Run a gateway that wants a key or a token."""
    settings = {"CLIENT_KEYS": f"acme:{KEY},other:{OTHER_KEY}", "CLIENT_JWT_SECRET": SECRET}
    async with gateway_process(tmp_path_factory.mktemp("guarded"), settings) as gateway:
        yield gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_to_all(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcess]:
    """Run a gateway on loopback, as it is without any setting."""
    async with gateway_process(tmp_path_factory.mktemp("open")) as gateway:
        yield gateway


async def refusal(gateway: GatewayProcess, path: str, headers: dict[str, str]) -> tuple[int, Any]:
    """Ask for a WebSocket as a program does."""
    with pytest.raises(InvalidStatus) as caught:
        url, origin = gateway.endpoint + path, headers.get("Origin")
        rest = {name: value for name, value in headers.items() if name != "Origin"}
        async with connect(url, proxy=None, additional_headers=rest, origin=origin):  # type: ignore[arg-type]
            pass
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"{}")


async def test_no_session_is_joined_and_every_refusal_has_its_code(
    guarded: GatewayProcess,
) -> None:
    gateway = guarded
    async with httpx.AsyncClient(trust_env=False) as page:
        acme = {"Authorization": f"Bearer {KEY}"}
        async with connect(
            gateway.endpoint + "of-acme", proxy=None, additional_headers=acme
        ) as own:
            await own.recv()
            for name, (path, headers, status, code) in cases().items():
                refused, body = await refusal(gateway, path, headers)
                assert (refused, body["code"]) == (status, code), name
                url = gateway.endpoint.replace("ws", "http", 1) + path
                explained = await page.get(url, headers=headers)
                assert (explained.status_code, explained.json()) == (status, body), name
                token = headers.get("Authorization", "x" * 99).removeprefix("Bearer ")
                assert token not in explained.text + gateway.log()
            metrics = (await page.get(f"{gateway.url}/metrics", headers=acme)).text
            assert '\nnabra_sessions{protocol="native"} 1.0' in metrics
        assert "Traceback" not in gateway.log()


async def test_a_good_token_comes_in_and_appears_nowhere(guarded: GatewayProcess) -> None:
    token = signed()
    ways: list[tuple[str, dict[str, Any]]] = [
        ("", {"additional_headers": {"Authorization": f"Bearer {token}"}}),
        ("", {"subprotocols": ["nabra", f"nabra.token.{token}"]}),
        (f"?token={token}", {}),
    ]
    for query, options in ways:
        async with connect(guarded.endpoint + "own" + query, proxy=None, **options) as socket:
            assert json.loads(await socket.recv())["session_id"] == "own"
            assert socket.subprotocol in (None, "nabra")
    assert token not in guarded.log()


async def test_40_sockets_of_an_evil_page_start_nothing(open_to_all: GatewayProcess) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:

        async def attempt() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", open_to_all.port)
            stranger = Stranger(reader, writer)
            try:
                return await stranger.upgrade("https://evil.example")
            finally:
                stranger.abort()

        for head in await asyncio.gather(*(attempt() for _ in range(40))):
            assert head.startswith(b"HTTP/1.1 403")
        metrics = (await client.get(f"{open_to_all.url}/metrics")).text
        assert '\nnabra_sessions{protocol="native"} 0.0' in metrics
        assert not re.search(r"^nabra_tts_attempts_total\{.*\} [1-9]", metrics, re.MULTILINE)


async def test_a_host_that_is_none_is_refused_without_a_traceback(
    open_to_all: GatewayProcess,
) -> None:
    for host in ("[::1", "", "a b", "[", "x" * 9000, "127.0.0.1:99999999", "\x7f"):
        for path in ("/ws/agent/", "/faults", "/v1/sessions", "/", "/metrics"):
            reader, writer = await asyncio.open_connection("127.0.0.1", open_to_all.port)
            request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            writer.write(request.encode())
            status = (await reader.read()).split(b" ", 2)[1]
            writer.close()
            assert not status.startswith(b"5"), (path, host, status)
    assert "Traceback" not in open_to_all.log()
