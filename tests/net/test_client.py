"""What all our clients have in common, whatever carries them."""

import asyncio
import socket
import traceback
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest
import respx

from app.net.client import EventHooks, client_over, http2_transport, raw_chunks
from app.net.http1 import Http1Transport
from app.net.http2 import Http2Transport
from tests.net.clients import ask, body_of, http1_client, http2_client, post, transport_of
from tests.net.conftest import tls_of
from tests.net.scripted_http1 import scripted_http1, whole
from tests.net.scripted_http2 import Exchange, echo, scripted_http2

URL = "http://server.test/path"
VERSIONS = ["HTTP/1.1", "HTTP/2"]


def mocked(router: respx.MockRouter) -> httpx.AsyncClient:
    return client_over(httpx.MockTransport(router.async_handler), connect_timeout_s=1)


async def test_no_redirect_is_followed() -> None:
    router = respx.MockRouter()
    router.post(URL).respond(307, headers={"Location": "http://elsewhere.test/"})
    elsewhere = router.post("http://elsewhere.test/").respond(200)
    async with mocked(router) as client:
        response = await client.post(URL, headers={"authorization": "Token geheim"})
    assert response.status_code == 307
    assert not elsewhere.called


async def test_no_cookie_is_kept() -> None:
    router = respx.MockRouter()
    route = router.post(URL).respond(200, headers={"Set-Cookie": "caller=1; Path=/"})
    async with mocked(router) as client:
        for _ in range(2):
            assert (await client.post(URL)).is_success
        assert not client.cookies
    assert all("cookie" not in call.request.headers for call in route.calls)


async def test_no_compression_is_asked_for() -> None:
    router = respx.MockRouter()
    route = router.post(URL).respond(200)
    async with mocked(router) as client:
        await client.post(URL)
    assert route.calls[0].request.headers["accept-encoding"] == "identity"


async def test_the_environment_adds_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine server.test login somebody password geheim\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    router = respx.MockRouter()
    route = router.post(URL).respond(200)
    async with mocked(router) as client:
        await client.post(URL)
    assert "authorization" not in route.calls[0].request.headers


async def test_event_hooks_see_requests_and_responses() -> None:
    seen: list[str] = []

    async def on_request(request: httpx.Request) -> None:
        seen.append(request.method)

    async def on_response(response: httpx.Response) -> None:
        seen.append(response.http_version)

    hooks: EventHooks = {"request": [on_request], "response": [on_response]}
    async with scripted_http2(echo) as server:
        transport = http2_transport(
            server.url, keep_alive_s=1, max_connections=1, prior_knowledge=True
        )
        async with client_over(transport, connect_timeout_s=1, event_hooks=hooks) as client:
            assert await ask(client, server.url, b"question") == b"question"
    assert seen == ["POST", "HTTP/2"]


class Endless(httpx.AsyncByteStream):
    """A body that somebody must close."""

    def __init__(self) -> None:
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"chunk"

    async def aclose(self) -> None:
        self.closed = True


async def test_leaving_a_body_in_the_middle_starts_no_task() -> None:
    async def endless(exchange: Exchange) -> None:
        exchange.head()
        await exchange.send(bytes(100_000))

    async with scripted_http2(endless) as server, http2_client(server.url) as client:
        response = await post(client, server.url)
        before = asyncio.all_tasks()
        async with aclosing(raw_chunks(response)) as chunks:
            async for _ in chunks:
                break
        await response.aclose()
        del response, chunks
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before


async def test_raw_chunks_reads_any_response_of_httpx() -> None:
    stream = Endless()
    router = respx.MockRouter()
    router.post(URL).mock(return_value=httpx.Response(200, stream=stream))
    async with mocked(router) as client:
        response = await post(client, URL)
        async with aclosing(raw_chunks(response)) as chunks:
            assert await anext(chunks) == b"chunk"
        await response.aclose()
    assert stream.closed


LOCATIONS = ["/elsewhere", "http://xn--/", "ftp:x", "http://host:port/", "\x7f", "x" * 70_000]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("location", LOCATIONS, ids=lambda location: location[:8])
async def test_a_redirect_to_anything_is_a_response_like_any_other(
    version: str, location: str
) -> None:
    async def redirect(exchange: Exchange) -> None:
        await exchange.answer(status=302, location=location[:10_000])

    server = (
        scripted_http2(redirect)
        if version == "HTTP/2"
        else scripted_http1(whole(b"", "302 Found", f"Location: {location[:7000]}"))
    )
    async with server as running:
        async with http2_client(running.url, prior_knowledge=version == "HTTP/2") as client:
            response = await post(client, running.url)
            assert (response.status_code, response.http_version) == (302, version)
            assert await body_of(response) == b""


async def test_no_failure_holds_the_address_or_a_credential() -> None:
    async with scripted_http2(echo) as server:
        pass
    for prior_knowledge in (True, False):
        async with http2_client(server.url, prior_knowledge=prior_knowledge) as client:
            headers = {"authorization": "Token geheim"}
            with pytest.raises(httpx.ConnectError, match="refused") as caught:
                await ask(client, f"{server.url}/?secret=geheim", headers=headers)
            text = "".join(traceback.format_exception_only(caught.value)) + repr(client)
            assert "geheim" not in text
            assert "127.0.0.1" not in text
            assert caught.value.__suppress_context__  # no traceback shows the cause


async def test_plain_http_is_spoken_in_version_1_1_unless_version_2_is_known() -> None:
    async with scripted_http1(whole(b"ok")) as server:
        async with http2_client(server.url, prior_knowledge=False) as client:
            assert isinstance(transport_of(client), Http1Transport)
            assert await ask(client, server.url) == b"ok"


async def test_tls_that_agrees_on_http2_has_it_spoken(trusted: Path) -> None:
    tls = tls_of(trusted, "h2", "http/1.1")
    async with scripted_http2(echo, tls=tls) as server:
        async with http2_client(server.url, prior_knowledge=False) as client:
            await transport_of(client).warm_up(5)
            response = await post(client, server.url, b"question")
            assert response.http_version == "HTTP/2"
            assert await body_of(response) == b"question"
        assert server.exchanges[0].headers[":scheme"] == "https"
        assert len(server.sockets) == 1


@pytest.mark.parametrize("protocols", [["http/1.1"], []], ids=["HTTP/1.1 only", "no ALPN"])
async def test_tls_that_does_not_agree_on_http2_has_http1_spoken(
    trusted: Path, protocols: list[str]
) -> None:
    async with scripted_http1(whole(b"ok"), tls=tls_of(trusted, *protocols)) as server:
        async with http2_client(server.url, prior_knowledge=False) as client:
            for _ in range(3):
                assert await ask(client, server.url) == b"ok"
            assert repr(transport_of(client)) == "<Http2Transport []>"
        assert server.connections == 2  # one that asked for HTTP/2 in vain, one that serves


async def test_another_origin_is_asked_by_http1() -> None:
    async with scripted_http2(echo) as server, scripted_http1(whole(b"ok")) as other:
        async with http2_client(server.url) as client:
            assert await ask(client, server.url, b"question") == b"question"
            response = await post(client, other.url)
            assert response.http_version == "HTTP/1.1"
            assert await body_of(response) == b"ok"
        assert isinstance(transport_of(client), Http2Transport)
        assert len(server.exchanges) == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_certificate_that_nobody_vouches_for_is_refused(
    certificate: Path, version: str
) -> None:
    create = http2_client if version == "HTTP/2" else http1_client
    async with scripted_http2(echo, tls=tls_of(certificate, "h2")) as server:
        async with create(server.url) as client:
            with pytest.raises(httpx.ConnectError, match="certificate is not trusted"):
                await ask(client, server.url)
        assert not server.exchanges


async def test_a_tls_handshake_that_is_never_answered_is_given_up() -> None:
    listening = socket.create_server(("127.0.0.1", 0))  # the kernel connects, and nobody answers
    url = f"https://127.0.0.1:{listening.getsockname()[1]}"
    with listening:
        async with http2_client(url, connect_timeout_s=0.05, prior_knowledge=False) as client:
            with pytest.raises(httpx.ConnectTimeout, match=r"0\.05 s"):
                await ask(client, url)
