"""One sentence by one HTTP request, to a server that follows a script."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h2.errors
import orjson
import pytest

from app import errors
from app.audio import PCM16_16K, AudioFormat, wav_header
from app.hamsa.rest import HamsaClient
from app.hamsa.tts_rest import RestTransport
from app.transports.base import SpeechRequest
from app.transports.policy import StreamLimits
from tests.net.scripted_http2 import Exchange, Http2Server, Script, scripted_http2, silent
from tests.transports.fakes import VOICE, OneAttempt, audio_before_error, chunks_of, speak
from tests.waiting import until

SPEECH = bytes(range(256)) * 20
KEY = "secret-key-of-the-test"


def responds(*chunks: bytes, status: int = 200) -> Script:
    """Send these chunks for every request."""

    async def script(exchange: Exchange) -> None:
        await exchange.answer(*chunks, status=status)

    return script


@asynccontextmanager
async def client_of(server: Http2Server) -> AsyncIterator[HamsaClient]:
    client = HamsaClient(server.url, KEY, connect_timeout_s=5, http2_prior_knowledge=True)
    try:
        yield client
    finally:
        await client.aclose()


class LimitedTransport(RestTransport):
    """Tells tests within which limits its attempts are made."""

    limits = StreamLimits(5, 5)


def transport_over(
    client: HamsaClient, *, first_audio_timeout_s: float = 5, stall_timeout_s: float = 5
) -> LimitedTransport:
    transport = LimitedTransport(client)
    transport.limits = StreamLimits(first_audio_timeout_s, stall_timeout_s)
    return transport


@asynccontextmanager
async def rest_transport(
    script: Script, **timeouts: float
) -> AsyncIterator[tuple[LimitedTransport, HamsaClient, Http2Server]]:
    """A transport to a server that follows this script; it must leave no stream behind."""
    async with scripted_http2(script) as server, client_of(server) as client:
        yield transport_over(client, **timeouts), client, server
        assert "streams=1" not in repr(client)


async def test_audio_without_a_header_passes_unchanged() -> None:
    async with rest_transport(responds(SPEECH[:640], SPEECH[640:])) as (transport, _, server):
        async with OneAttempt(transport) as stream:
            assert stream.format == PCM16_16K
            assert b"".join(await chunks_of(stream)) == SPEECH
            assert stream.trailing is None
        assert server.sockets[0].resets == []


async def test_the_request_holds_the_text_the_voice_and_the_format() -> None:
    async with rest_transport(responds(SPEECH)) as (transport, _, server):
        await speak(transport, SpeechRequest("نعم", VOICE, AudioFormat("pcm_s16le", 8000)))
        exchange = server.exchanges[0]
    assert exchange.headers[":path"] == "/v1/realtime/tts-stream"
    assert exchange.headers["authorization"] == f"Token {KEY}"
    assert orjson.loads(bytes(exchange.received)) == {
        "text": "نعم",
        "speaker": "Majd",
        "dialect": "ksa",
        "mulaw": False,
        "sampleRate": "8k",
    }


@pytest.mark.parametrize("size", [1, 7, 44, 45, 640, 10_000])
async def test_a_header_of_unknown_length_is_removed_wherever_chunks_cut_it(size: int) -> None:
    data = wav_header(PCM16_16K, None) + SPEECH
    cut = [data[at : at + size] for at in range(0, len(data), size)]
    async with rest_transport(responds(*cut)) as (transport, _, _):
        async with OneAttempt(transport) as stream:
            chunks = await chunks_of(stream)
    assert all(chunk and len(chunk) % 2 == 0 for chunk in chunks)
    assert b"".join(chunks) == SPEECH


@pytest.mark.parametrize("rate_hz", [8000, 24_000])
async def test_the_format_is_what_the_header_says(rate_hz: int) -> None:
    given = AudioFormat("pcm_s16le", rate_hz)
    async with rest_transport(responds(wav_header(given, None), SPEECH)) as (transport, _, _):
        async with OneAttempt(transport) as stream:
            assert stream.format == given
            assert b"".join(await chunks_of(stream)) == SPEECH


@pytest.mark.parametrize("chunks", [[], [b"\x01"], [wav_header(PCM16_16K, None)]])
async def test_a_response_without_audio_is_incomplete(chunks: list[bytes]) -> None:
    async with rest_transport(responds(*chunks)) as (transport, _, _):
        with pytest.raises(errors.IncompleteAudioError):
            await speak(transport)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"code":400,"message":"Voice not owned by user"}', errors.RefusedError),
        (401, b"", errors.AuthenticationError),
        (429, b'{"code":10429}', errors.QuotaExceededError),
        (429, b"", errors.RateLimitedError),
        (503, b"", errors.ProviderUnavailableError),
    ],
)
async def test_a_refusal_is_the_error_for_its_status(
    status: int, body: bytes, kind: type[errors.ProviderError]
) -> None:
    async with rest_transport(responds(body, status=status)) as (transport, _, server):
        for _ in range(2):
            with pytest.raises(kind):
                await speak(transport)
        assert len(server.sockets) == 1


@pytest.mark.parametrize("how", ["drop", "reset"])
@pytest.mark.parametrize("has_begun", [False, True], ids=["before audio", "after audio"])
async def test_a_response_that_is_cut_is_a_lost_connection_after_what_came(
    how: str, has_begun: bool
) -> None:
    read = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        exchange.head()
        if has_begun:
            await exchange.send(SPEECH)
            await read.wait()
        if how == "drop":
            exchange.socket.drop()
        else:
            exchange.reset()

    received = b""
    async with rest_transport(script) as (transport, _, _):
        with pytest.raises(errors.ConnectionLostError):
            async with OneAttempt(transport) as stream:
                async for chunk in stream:
                    received += chunk
                    read.set()
    assert received == (SPEECH if has_begun else b"")


async def no_audio(exchange: Exchange) -> None:
    exchange.head()
    await exchange.send(b"RIFF")


@pytest.mark.parametrize("script", [silent, no_audio])
async def test_no_first_audio_is_a_timeout_and_the_stream_is_reset(
    script: Script,
) -> None:
    async with rest_transport(script, first_audio_timeout_s=0.03) as (transport, _, server):
        with pytest.raises(errors.ProviderTimeoutError):
            await speak(transport)
        await server.exchanges[0].until_reset()


async def test_a_silence_after_audio_is_a_timeout_and_the_stream_is_reset() -> None:
    async def script(exchange: Exchange) -> None:
        exchange.head()
        await exchange.send(SPEECH)

    async with rest_transport(script, stall_timeout_s=0.03) as (transport, _, server):
        received = await audio_before_error(transport, errors.ProviderTimeoutError)
        await server.exchanges[0].until_reset()
    assert received == SPEECH


async def test_a_stream_tells_whether_its_connection_was_used_before() -> None:
    async with rest_transport(responds(SPEECH)) as (transport, _, _):
        for connection in ("new", "reused"):
            async with OneAttempt(transport) as attempt:
                await chunks_of(attempt)
            assert attempt.record.connection == connection
            assert attempt.record.ttfb_ms is not None


async def test_an_attempt_without_a_connection_names_none() -> None:
    async with scripted_http2(silent) as server:
        pass
    async with client_of(server) as client:
        attempt = OneAttempt(transport_over(client))
        with pytest.raises(errors.ConnectError):
            async with attempt:
                pass
    assert attempt.record.connection is None


async def test_warming_up_opens_the_connection_that_the_first_sentence_takes() -> None:
    async with rest_transport(responds(SPEECH)) as (transport, client, server):
        await transport.warm_up()
        assert repr(client) == (
            "<HamsaClient 127.0.0.1 <Http2Transport [<Http2Connection usable streams=0>]>>"
        )
        await speak(transport)
        assert len(server.sockets) == 1


@pytest.mark.parametrize("stage", ["sent", "headers", "streaming", "ended"])
async def test_cancelling_at_any_stage_resets_the_stream_and_the_connection_is_used_again(
    stage: str,
) -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.id > 1:
            await exchange.answer(SPEECH)
        elif stage != "sent":
            exchange.head()
            if stage != "headers":
                await exchange.send(SPEECH, end=stage == "ended")
        reached.set()

    async def speak_and_stay() -> None:
        async with OneAttempt(transport) as stream:
            async for chunk in stream:
                received.append(chunk)
            await asyncio.Event().wait()

    reached, received = asyncio.Event(), list[bytes]()
    async with rest_transport(script) as (transport, client, server):
        task = asyncio.create_task(speak_and_stay())
        await reached.wait()
        size = len(SPEECH) if stage in ("streaming", "ended") else 0
        await until(lambda: len(b"".join(received)) >= size, state=client)
        assert "streams=1" in repr(client)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert "streams=0" in repr(client)
        if stage != "ended":
            await server.exchanges[0].until_reset()
            assert server.exchanges[0].reset_by == h2.errors.ErrorCodes.CANCEL
        assert await speak(transport) == SPEECH
        assert len(server.sockets) == 1
