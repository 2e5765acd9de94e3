"""The REST client: its key, its errors, its bounds, and the version of HTTP that it finds."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from structlog.testing import capture_logs

from app import errors
from app.hamsa import http
from app.hamsa.http import HamsaClient
from tests.scripted_http2 import Exchange, echo, scripted_http2

KEY = "secret-key-of-the-test"
VERSIONS = ["HTTP/1.1", "HTTP/2"]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@dataclass
class Http1Server:
    """What arrived at a server that speaks HTTP/1.1, and from how many connections."""

    url: str = ""
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether a client closed a connection."""


Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def whole(body: bytes = b"", status: str = "200 OK", *headers: str) -> Answer:
    """A regular answer."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    return answer


def raw(data: bytes, *, close: bool = True) -> Answer:
    """These bytes."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if close:
            writer.close()

    return answer


@asynccontextmanager
async def http1_server(
    answer: Answer, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Http1Server]:
    served = Http1Server()

    handlers: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        task = asyncio.current_task()
        assert task is not None
        handlers[task] = writer
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    (int(line[15:]) for line in head.split("\r\n") if line.lower()[:15] == LENGTH),
                    0,
                )
                served.heads.append(head)
                served.bodies.append(await reader.readexactly(length))
                await answer(writer)
        served.ended.set()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    served.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.close()
        for writer in handlers.values():
            if not writer.is_closing():  # twice closed is more than TLS bears in Python 3.11.2
                writer.transport.abort()
        await asyncio.gather(*handlers)


LENGTH = "content-length:"


@asynccontextmanager
async def client_of(
    url: str, *, version: str = "HTTP/1.1", connect_timeout_s: float = 5
) -> AsyncIterator[HamsaClient]:
    client = HamsaClient(
        url,
        KEY,
        connect_timeout_s=connect_timeout_s,
        http2_prior_knowledge=version == "HTTP/2",
    )
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def answering(
    version: str, status: int, body: bytes = b"", **headers: str
) -> AsyncIterator[HamsaClient]:
    """A client of a server that answers so, in this version of HTTP."""

    async def answer(exchange: Exchange) -> None:
        await exchange.answer(body, status=status, **headers)

    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    server = (
        scripted_http2(answer)
        if version == "HTTP/2"
        else http1_server(whole(body, f"{status} Status", *lines))
    )
    async with server as running, client_of(running.url, version=version) as client:
        yield client


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", f"{path}.crt",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return path


def tls_of(certificate: Path, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificate}.crt", certificate)
    context.set_alpn_protocols(list(protocols))
    return context


async def test_over_http2_the_key_travels_in_one_header_and_nowhere_else() -> None:
    async with (
        scripted_http2(echo) as server,
        client_of(server.url, version="HTTP/2") as client,
    ):
        assert (
            await client.post_whole("/v1/x", {"text": "مرحبا"}, 100) == '{"text":"مرحبا"}'.encode()
        )
        headers = server.exchanges[0].headers
        assert headers.pop("authorization") == f"Token {KEY}"
        assert headers == {
            ":method": "POST",
            ":scheme": "http",
            ":authority": server.url.removeprefix("http://"),
            ":path": "/v1/x",
            "content-type": "application/json",
            "accept-encoding": "identity",
        }
        assert KEY not in repr(client)


async def test_over_http1_the_key_travels_in_one_header_and_nowhere_else() -> None:
    async with http1_server(whole(b"answer")) as server, client_of(server.url) as client:
        assert await client.post_whole("/v1/x", {"n": 1}, 100) == b"answer"
        assert f"authorization: token {KEY}\r\n" in server.heads[0].lower()
        assert server.heads[0].count(KEY) == 1
        assert server.heads[0].startswith("POST /v1/x HTTP/1.1\r\n")
        assert server.bodies == [b'{"n":1}']
        assert KEY not in repr(client)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("status", [302, 401, 500])
async def test_the_key_is_in_no_error_and_in_no_log_line(
    version: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with answering(version, status, b"{}", location="/") as client:
        with capture_logs() as lines, pytest.raises(errors.ProviderError) as caught:
            await client.post_whole("/", {}, 100)
    assert lines
    assert KEY not in str(lines)
    assert KEY not in caplog.text
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert KEY not in repr(vars(caught.value))


STATUSES: list[tuple[int, str, type[errors.ProviderError]]] = [
    (400, '{"code":400,"message":"text is too long"}', errors.RefusedError),
    (401, '{"code":401,"message":"bad key"}', errors.AuthenticationError),
    (403, "", errors.AuthenticationError),
    (403, '{"code":403,"message":"insufficient funds"}', errors.QuotaExceededError),
    (404, "<html>", errors.RefusedError),
    (429, '{"code":429,"message":"slow down"}', errors.RateLimitedError),
    (429, '{"code":10429,"message":"usage limit reached"}', errors.QuotaExceededError),
    (500, "", errors.ProviderUnavailableError),
    (503, '{"code":503,"message":"later"}', errors.ProviderUnavailableError),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("status", "body", "kind"), STATUSES)
async def test_each_status_is_the_error_that_it_means(
    version: str, status: int, body: str, kind: type[errors.ProviderError]
) -> None:
    async with answering(version, status, body.encode()) as client:
        with pytest.raises(errors.ProviderError) as caught:
            await client.post_whole("/", {}, 100)
    assert type(caught.value) is kind
    assert str(status) in str(caught.value)


@pytest.mark.parametrize("version", VERSIONS)
async def test_retry_after_comes_with_the_rate_limit(version: str) -> None:
    async with answering(version, 429, retry_after="7") as client:
        with pytest.raises(errors.RateLimitedError) as caught:
            await client.post_whole("/", {}, 100)
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(version: str, status: int) -> None:
    async with (
        http1_server(whole()) as elsewhere,
        answering(version, status, location=elsewhere.url) as client,
    ):
        with pytest.raises(errors.ConnectError, match=str(status)):
            await client.post_whole("/", {}, 100)
        assert elsewhere.connections == 0


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_error_body_that_never_ends_is_read_for_a_bounded_time(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "ERROR_BODY_TIMEOUT_S", 0.02)
    reason = b'{"code":10429,"message":"usage limit reached"}'

    async def stops(exchange: Exchange) -> None:
        exchange.head(429)
        await exchange.send(reason)

    endless = raw(b"HTTP/1.1 429 No\r\nContent-Length: 999\r\n\r\n" + reason, close=False)
    server = scripted_http2(stops) if version == "HTTP/2" else http1_server(endless)
    async with server as running, client_of(running.url, version=version) as client:
        with pytest.raises(errors.QuotaExceededError):
            await client.post_whole("/", {}, 100)
        if version == "HTTP/2":
            assert repr(client).endswith("[<Http2Connection usable streams=0>]>")


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_error_body_that_pours_is_read_to_a_bounded_length(version: str) -> None:
    size = 64 * 1024 * 1024  # more than the windows of all layers hold

    async def pours(exchange: Exchange) -> None:
        exchange.head(503)
        while exchange.reset_by is None and not exchange.socket.closed:
            await exchange.send(bytes(16384))

    async def pours1(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 No\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 65536):
            writer.write(bytes(65536))
            await writer.drain()
        sent.append("all of it")

    sent: list[str] = []
    server = scripted_http2(pours) if version == "HTTP/2" else http1_server(pours1)
    async with server as running, client_of(running.url, version=version) as client:
        with pytest.raises(errors.ProviderUnavailableError):
            await client.post_whole("/", {}, 100)
        assert not sent


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_answer_longer_than_allowed_is_not_read_to_its_end(version: str) -> None:
    async with answering(version, 200, b"x" * 101) as client:
        with pytest.raises(errors.ProtocolError):
            await client.post_whole("/", {}, 100)
        assert await client.post_whole("/", {}, 101) == b"x" * 101


async def test_plain_http_is_spoken_in_version_1_1_unless_version_2_is_known() -> None:
    async with http1_server(whole()) as server, client_of(server.url) as client:
        for reused in (False, True, True):
            async with client.post("/", {}) as response:
                assert (response.http_version, response.reused) == ("HTTP/1.1", reused)
                assert [chunk async for chunk in response.chunks()] == []
        assert server.connections == 1


async def test_an_http1_connection_that_the_server_closed_is_replaced() -> None:
    answer = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    async with http1_server(answer) as server, client_of(server.url) as client:
        for count in (1, 2):
            assert await client.post_whole("/", {}, 100) == b"ok"
            await server.ended.wait()
            assert server.connections == count


async def test_an_abandoned_http1_answer_closes_its_connection() -> None:
    begun = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegins", close=False)
    async with http1_server(begun) as server, client_of(server.url) as client:
        async with client.post("/", {}) as response, aclosing(response.chunks()) as chunks:
            assert await anext(chunks) == b"begins"
        await server.ended.wait()


CUT = {
    "no answer": b"",
    "rubbish": b"\x00\x00\x04\x00\x00\x00\x00\x00\x00",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "short of its length": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    "cut between chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "cut within a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
}


@pytest.mark.parametrize("data", CUT.values(), ids=list(CUT))
async def test_an_http1_answer_that_is_cut_short_is_a_lost_connection(data: bytes) -> None:
    async with http1_server(raw(data)) as server, client_of(server.url) as client:
        with pytest.raises(errors.ConnectionLostError):
            await client.post_whole("/", {}, 100)


async def test_no_fault_of_http1_tells_the_key() -> None:
    async with http1_server(raw(b"")) as server, client_of(server.url) as client:
        with pytest.raises(errors.ConnectionLostError) as caught:
            await client.post_whole("/", {}, 100)
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_that_is_not_there_is_told(version: str) -> None:
    async with http1_server(whole()) as server:
        url = server.url
    async with client_of(url, version=version) as client:
        with pytest.raises(errors.ConnectError):
            await client.post_whole("/", {}, 100)
        with capture_logs() as lines:
            await client.warm_up()  # harmless
        assert [line["log_level"] for line in lines] == ["warning"] * (version == "HTTP/2")


async def test_cancelling_while_http1_waits_for_headers_closes_the_connection() -> None:
    async with http1_server(raw(b"", close=False)) as server, client_of(server.url) as client:
        task = asyncio.create_task(client.post_whole("/", {}, 100))
        while not server.bodies:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await server.ended.wait()


async def test_tls_that_agrees_on_http2_has_it_spoken(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    tls = tls_of(certificate, "h2", "http/1.1")
    async with scripted_http2(echo, tls=tls) as server, client_of(server.url) as client:
        await client.warm_up()
        async with client.post("/", {"a": "b"}) as response:
            assert response.http_version == "HTTP/2"
            assert [chunk async for chunk in response.chunks()] == [b'{"a":"b"}']
        assert server.exchanges[0].headers[":scheme"] == "https"
        assert len(server.sockets) == 1


@pytest.mark.parametrize("protocols", [["http/1.1"], []], ids=["HTTP/1.1 only", "no ALPN"])
async def test_tls_that_does_not_agree_on_http2_has_http1_spoken(
    certificate: Path, protocols: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    tls = tls_of(certificate, *protocols)
    async with http1_server(whole(b"ok"), tls=tls) as server, client_of(server.url) as client:
        for _ in range(3):
            assert await client.post_whole("/", {}, 100) == b"ok"
        assert server.connections == 2  # one that asked for HTTP/2 in vain, one that serves
        assert repr(client) == "<HamsaClient 127.0.0.1 []>"


async def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    tls = tls_of(certificate, "h2")
    async with scripted_http2(echo, tls=tls) as server, client_of(server.url) as client:
        with pytest.raises(errors.ConnectError):
            await client.post_whole("/", {}, 100)
        assert not server.exchanges


async def test_a_tls_handshake_that_is_never_answered_is_given_up() -> None:
    hears = socket.create_server(("127.0.0.1", 0))  # the kernel connects, and nobody answers
    url = f"https://127.0.0.1:{hears.getsockname()[1]}"
    with hears:
        async with client_of(url, connect_timeout_s=0.05) as client:
            with pytest.raises(errors.ConnectError, match=r"0\.05 s"):
                await client.post_whole("/", {}, 100)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
async def test_a_proxy_of_the_environment_is_used_and_does_not_see_the_key(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with http1_server(whole(b"", "502 No")) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        async with client_of("https://hamsa.test") as client:
            with pytest.raises(errors.ProviderError):
                await client.post_whole("/", {}, 100)
        assert proxy.heads[0].startswith("CONNECT hamsa.test:443 HTTP/1.1")
        assert KEY not in "".join(proxy.heads)


async def test_a_name_in_the_address_is_no_part_of_the_authority() -> None:
    async with scripted_http2(echo) as server:
        url = server.url.replace("//", "//somebody@")
        async with client_of(url, version="HTTP/2") as client:
            assert orjson.loads(await client.post_whole("/", {}, 100)) == {}
        assert server.exchanges[0].headers[":authority"] == server.url.removeprefix("http://")
