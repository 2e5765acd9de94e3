"""Handshakes that the provider refuses: errors of ours, and no key in any log."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app import errors
from app.hamsa.connection import Connection
from app.telemetry import logs
from tests.pool.pools import running_pool
from tests.telemetry.log_lines import FORMATS, KEY, Format, lines_of

REFUSALS = {
    "unauthorized": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}",
    "slow down": b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "no WebSocket": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a wrong upgrade": b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: wrong\r\n\r\n",
    "no HTTP": b"\x00\x01\x02 what?\r\n\r\n",
    "nothing": b"",
}


@asynccontextmanager
async def refusing(response: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve these bytes to every handshake; yield the address, and the requests."""
    requests: list[bytes] = []
    handlers: list[asyncio.Task[None] | None] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(response)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime/ws", requests
        await asyncio.gather(*(task for task in handlers if task))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=list(REFUSALS))
async def test_a_refused_handshake_logs_no_key(
    refusal: bytes,
    format: Format,
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("debug", format)
    async with refusing(refusal) as (url, requests):
        with pytest.raises(errors.ProviderError) as caught:
            await Connection.open(url, KEY, connect_timeout_s=5)
        async with running_pool(url) as running:
            with pytest.raises(errors.ProviderError):
                async with running.lease():
                    pass
    assert KEY.encode() in requests[0], "it was sent"
    text = "\n".join(lines_of(capsys))
    assert "no socket could be opened" in text
    assert KEY not in text.replace("\n", "")
    assert KEY not in str(caught.value) + repr(caught.value) + repr(vars(caught.value))


async def test_a_redirect_of_the_handshake_is_not_followed() -> None:
    async with refusing(REFUSALS["unauthorized"]) as (elsewhere, requests):
        redirect = REFUSALS["a redirect"].replace(b"ws://127.0.0.1:1/", elsewhere.encode())
        async with refusing(redirect) as (url, _):
            with pytest.raises(errors.ConnectError, match="302"):
                await Connection.open(url, KEY, connect_timeout_s=5)
        assert requests == []


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        ("unauthorized", errors.AuthenticationError),
        ("slow down", errors.RateLimitedError),
        ("no WebSocket", errors.ConnectError),
        ("not found", errors.ConnectError),
        ("a wrong upgrade", errors.ConnectError),
        ("no HTTP", errors.ConnectError),
        ("nothing", errors.ConnectError),
    ],
)
async def test_a_refused_handshake_is_an_error_of_ours(
    refusal: str, kind: type[errors.ProviderError]
) -> None:
    async with refusing(REFUSALS[refusal]) as (url, _):
        with pytest.raises(errors.ProviderError) as caught:
            await Connection.open(url, KEY, connect_timeout_s=5)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "proxy",
    [f"socks5://me:{KEY}@127.0.0.1:9", f"http://me:{KEY}@127.0.0.1:9", f"{KEY}://127.0.0.1:9"],
    ids=["a kind that needs a library", "one that is not there", "no kind at all"],
)
async def test_a_proxy_that_cannot_be_used_is_an_error_of_ours_without_its_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(errors.ConnectError) as caught:
        await Connection.open("wss://hamsa.test/ws", "another", connect_timeout_s=5)
    assert KEY not in str(caught.value)
