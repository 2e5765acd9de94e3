"""Speech to text by both ways, against providers that follow a script."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import orjson
import pytest

from app import errors
from app.audio import PCM16_16K, AudioFormat, wav_header
from app.hamsa import connection, wire
from app.hamsa.http import HamsaClient
from app.hamsa.pool import ConnectionPool
from app.stt.base import Utterance
from app.stt.rest import MAX_ANSWER_BYTES, RestTranscriber
from app.stt.websocket import WebSocketTranscriber
from tests import virtual_time
from tests.hamsa.pools import running_pool
from tests.scripted import ACK, END, INFO, Script, Socket, error, forever, scripted_provider
from tests.scripted_http2 import Exchange, Http2Server, scripted_http2, silent
from tests.scripted_http2 import Script as Http2Script

PCM = bytes(range(256)) * 50
UTTERANCE = Utterance(PCM, PCM16_16K)
CLEAN = "<ConnectionPool opening=0 idle=1 leased=0 lingering=0 draining=0 waiting=0>"
EMPTY = "<ConnectionPool opening=0 idle=0 leased=0 lingering=0 draining=0 waiting=0>"


def assert_wav(audio: str) -> None:
    """A WAV file of 16 kHz mono PCM16 that holds the utterance."""
    assert base64.b64decode(audio) == wav_header(AudioFormat("pcm_s16le", 16_000), len(PCM)) + PCM


def hears(*frames: str) -> Script:
    """Answer every utterance by these frames."""

    async def script(socket: Socket) -> None:
        await socket.send(INFO)
        while True:
            await socket.request()
            await socket.send(*frames)

    return script


async def transcribe(script: Script, *, timeout_s: float = 5) -> tuple[str, str]:
    """Return the transcript and the state of the pool after it."""
    async with scripted_provider(script) as provider, running_pool(provider.url) as pool:
        text = await WebSocketTranscriber(pool, timeout_s=timeout_s).transcribe(UTTERANCE)
        return text, repr(pool)


def wrapped(text: str) -> str:
    return json.dumps({"type": "transcription", "payload": {"text": text}})


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        ("أين شحنتي؟", "أين شحنتي؟"),
        ("  أين شحنتي؟\n", "أين شحنتي؟"),
        (wrapped("أين شحنتي؟"), "أين شحنتي؟"),
        (wrapped(" "), ""),
        ("", ""),
        ("42", "42"),
        ("null", "null"),
        ("true", "true"),
        ('"نعم"', '"نعم"'),
        ("[1]", "[1]"),
        ("{", "{"),
    ],
)
@pytest.mark.parametrize("before", [(), (INFO, ACK)], ids=["bare", "acknowledged"])
async def test_a_transcript_is_understood_in_each_of_its_shapes(
    frame: str, text: str, before: tuple[str, ...]
) -> None:
    assert await transcribe(hears(*before, frame)) == (text, CLEAN)


async def test_over_the_socket_one_whole_wav_of_16_khz_mono_is_sent() -> None:
    asked: list[dict[str, object]] = []

    async def script(socket: Socket) -> None:
        asked.append(await socket.request())
        await socket.send("نعم")
        await forever(socket)

    await transcribe(script)
    (message,) = asked
    payload = message["payload"]
    assert isinstance(payload, dict)
    assert message["type"] == "stt"
    assert payload["language"] == "ar"
    assert_wav(payload["audioBase64"])


@pytest.mark.parametrize(
    ("message", "kind", "after"),
    [
        ("Only WAV files are supported", errors.RefusedError, CLEAN),
        ("insufficient funds", errors.QuotaExceededError, CLEAN),
        ("aborted", errors.ProviderUnavailableError, EMPTY),
    ],
)
async def test_an_error_frame_is_told_and_costs_the_socket_unless_it_is_final(
    message: str, kind: type[errors.ProviderError], after: str
) -> None:
    async with (
        scripted_provider(hears(error(message))) as provider,
        running_pool(provider.url) as pool,
    ):
        with pytest.raises(kind):
            await WebSocketTranscriber(pool, timeout_s=5).transcribe(UTTERANCE)
        while repr(pool) != after:
            await asyncio.sleep(0)
        assert len(provider.sockets) == 1


@pytest.mark.parametrize("frames", [(), (ACK,), (INFO, END)])
async def test_a_transcript_that_stays_out_is_a_timeout_and_costs_the_socket(
    frames: tuple[str, ...],
) -> None:
    async with scripted_provider(hears(*frames)) as provider, running_pool(provider.url) as pool:
        with pytest.raises(errors.ProviderTimeoutError):
            await WebSocketTranscriber(pool, timeout_s=0.03).transcribe(UTTERANCE)
        assert repr(pool) == EMPTY
        assert len(provider.sockets) == 1, "what was too slow once is not asked twice"


def dies(times: int) -> Script:
    """Drop the socket of the first utterances."""

    async def script(socket: Socket) -> None:
        await socket.request()
        if socket.number <= times:
            socket.drop()
        else:
            await socket.send("أين شحنتي؟")
            await forever(socket)

    return script


async def test_a_socket_that_dies_is_replaced_once() -> None:
    assert await transcribe(dies(1)) == ("أين شحنتي؟", CLEAN)
    with pytest.raises(errors.ConnectionLostError):
        await transcribe(dies(2))


@pytest.mark.parametrize(
    ("code", "kind"), [(4001, errors.AuthenticationError), (4003, errors.QuotaExceededError)]
)
async def test_a_socket_closed_for_a_final_reason_is_not_replaced(
    code: int, kind: type[errors.ProviderError]
) -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.connection.close(code)

    async with scripted_provider(script) as provider, running_pool(provider.url) as pool:
        with pytest.raises(kind):
            await WebSocketTranscriber(pool, timeout_s=5).transcribe(UTTERANCE)
        assert len(provider.sockets) == 1


@pytest.mark.parametrize("before", [(), (ACK, END)], ids=["nothing", "an end of speech"])
async def test_cancelling_drains_the_socket_and_its_transcript_reaches_nobody(
    before: tuple[str, ...],
) -> None:
    """What came `before` it is no end of an utterance that is abandoned."""
    asked, goes_on = asyncio.Event(), asyncio.Event()

    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(*before)
        asked.set()
        await goes_on.wait()
        await socket.send("الأولى")
        await socket.request()
        await socket.send("الثانية")
        await forever(socket)

    async with (
        scripted_provider(script) as provider,
        running_pool(provider.url, limit=1) as pool,
    ):
        transcriber = WebSocketTranscriber(pool, timeout_s=5)
        task = asyncio.create_task(transcriber.transcribe(UTTERANCE))
        await asked.wait()
        for _ in range(50):  # what was sent arrives
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert "draining=1" in repr(pool)
        next_one = asyncio.create_task(transcriber.transcribe(UTTERANCE))
        await asyncio.sleep(0)
        goes_on.set()
        assert await next_one == "الثانية"


class DiesThenSilent:
    """Leases one socket that breaks after 14 seconds, and then one that never answers."""

    def __init__(self) -> None:
        self.connection = self
        self.leases = 0

    @asynccontextmanager
    async def lease(self, timeout_s: float | None) -> AsyncIterator["DiesThenSilent"]:
        self.leases += 1
        yield self

    async def send(self, request: str, *, last_frame: type[wire.Frame]) -> None:
        """Take it."""

    async def receive(self) -> wire.Frame:
        await asyncio.sleep(14 if self.leases == 1 else 600)
        raise errors.ConnectionLostError("gone")


def test_a_socket_that_is_replaced_does_not_double_the_wait() -> None:
    async def ask() -> float:
        pool = DiesThenSilent()
        with pytest.raises(errors.ProviderTimeoutError):
            await WebSocketTranscriber(cast(ConnectionPool, pool), timeout_s=15).transcribe(
                UTTERANCE
            )
        assert pool.leases == 2
        return asyncio.get_running_loop().time()

    assert virtual_time.run(ask()) == pytest.approx(15)


async def test_a_peer_that_reads_nothing_of_a_long_utterance_costs_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "CLOSE_TIMEOUT_S", 0.03)

    async def deaf(socket: Socket) -> None:
        socket.connection.transport.pause_reading()
        opened.append(socket)
        await forever(socket)

    opened: list[Socket] = []
    utterance = Utterance(bytes(16 * 1024 * 1024), PCM16_16K)  # more than the kernels hold
    async with scripted_provider(deaf) as provider:
        async with running_pool(provider.url) as pool:
            with pytest.raises(errors.ProviderTimeoutError):
                await WebSocketTranscriber(pool, timeout_s=0.05).transcribe(utterance)
            while [task for task in asyncio.all_tasks() if task.get_name() == "hamsa-close"]:
                await asyncio.sleep(0)
            async with pool.lease():  # the pool is none the worse for it
                opened[0].connection.transport.resume_reading()
                await provider.until_open(1)
        for socket in opened:
            socket.drop()


async def test_a_peer_that_does_not_even_read_pings_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def deaf(socket: Socket) -> None:
        socket.connection.transport.pause_reading()
        opened.append(socket)
        await forever(socket)

    opened: list[Socket] = []
    utterance = Utterance(bytes(16 * 1024 * 1024), PCM16_16K)
    async with scripted_provider(deaf) as provider:
        async with running_pool(provider.url, ping_interval_s=0.02, ping_timeout_s=0.02) as pool:
            with pytest.raises(errors.ConnectionLostError):  # well before the transcript is due
                await WebSocketTranscriber(pool, timeout_s=30).transcribe(utterance)
        for socket in opened:
            socket.drop()


async def test_it_warms_up_a_socket() -> None:
    async with scripted_provider(forever) as provider, running_pool(provider.url) as pool:
        await WebSocketTranscriber(pool, timeout_s=5).warm_up()
        await provider.until_open(1)


@asynccontextmanager
async def rest(
    script: Http2Script, *, timeout_s: float = 5
) -> AsyncIterator[tuple[RestTranscriber, Http2Server]]:
    async with scripted_http2(script) as server:
        client = HamsaClient(server.url, "key", connect_timeout_s=5, http2_prior_knowledge=True)
        try:
            yield RestTranscriber(client, timeout_s=timeout_s), server
            assert "streams=1" not in repr(client)
        finally:
            await client.aclose()


def says(body: bytes, status: int = 200) -> Http2Script:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(body, status=status)

    return script


@pytest.mark.parametrize("text", ["أين شحنتي؟", " أين شحنتي؟ \n", "42", "", " "])
async def test_over_rest_the_transcript_is_found_where_it_is_documented(text: str) -> None:
    body = orjson.dumps({"success": True, "data": {"text": text}})
    async with rest(says(body)) as (transcriber, _):
        assert await transcriber.transcribe(UTTERANCE) == text.strip()


async def test_over_rest_one_whole_wav_of_16_khz_mono_is_sent() -> None:
    async with rest(says(b'{"data":{"text":"x"}}')) as (transcriber, server):
        await transcriber.transcribe(UTTERANCE)
        asked = server.exchanges[0]
    assert asked.headers[":path"] == "/v1/realtime/stt"
    payload = orjson.loads(bytes(asked.received))
    assert_wav(payload.pop("audioBase64"))
    assert payload == {"language": "ar", "isEosEnabled": True, "eosThreshold": 0.3}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"data":null}',
        b'{"data":[]}',
        b'{"data":"text"}',
        b'{"data":{}}',
        b'{"data":{"text":null}}',
        b'{"data":{"text":7}}',
        b'{"data":{"text":["a"]}}',
        b"\xff\xfe",
        b'{"data":{"text":"' + b"x" * MAX_ANSWER_BYTES + b'"}}',
    ],
    ids=lambda body: body[:24].decode(errors="replace"),
)
async def test_an_answer_of_another_shape_is_against_the_protocol(body: bytes) -> None:
    async with rest(says(body)) as (transcriber, _):
        with pytest.raises(errors.ProtocolError):
            await transcriber.transcribe(UTTERANCE)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.RefusedError),
        (401, errors.AuthenticationError),
        (429, errors.RateLimitedError),
        (500, errors.ProviderUnavailableError),
    ],
)
async def test_over_rest_an_error_is_told_and_not_asked_again(
    status: int, kind: type[errors.ProviderError]
) -> None:
    async with rest(says(b"", status)) as (transcriber, server):
        with pytest.raises(kind):
            await transcriber.transcribe(UTTERANCE)
        assert len(server.exchanges) == 1


async def test_over_rest_a_transcript_that_stays_out_is_a_timeout() -> None:
    async with rest(silent, timeout_s=0.03) as (transcriber, server):
        with pytest.raises(errors.ProviderTimeoutError):
            await transcriber.transcribe(UTTERANCE)
        await server.exchanges[0].until_reset()
        assert len(server.exchanges) == 1


async def test_over_rest_a_connection_that_dies_is_replaced_once() -> None:
    async def drops(exchange: Exchange) -> None:
        if len(server.sockets) <= dead:
            exchange.socket.drop()
        else:
            await exchange.answer(b'{"data":{"text":"x"}}')

    dead = 1
    async with rest(drops) as (transcriber, server):
        assert await transcriber.transcribe(UTTERANCE) == "x"
        assert len(server.sockets) == 2
    dead = 2
    async with rest(drops) as (transcriber, server):
        with pytest.raises(errors.ConnectionLostError):
            await transcriber.transcribe(UTTERANCE)
        assert len(server.sockets) == 2
