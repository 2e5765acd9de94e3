"""One sentence over one socket, to a provider that follows a script."""

import asyncio

import pytest

from app import errors
from app.audio import AudioFormat
from app.hamsa.connection import Connection
from app.pool.terms import LeaseTerms
from app.transports.base import SpeechRequest
from app.transports.policy import Policy
from app.transports.resilient import ResilientTransport
from tests.hamsa.sockets import SPEECH, transport_over, websocket_transport
from tests.pool.pools import EMPTY, ONE_IDLE, Open, running_pool, until_pool
from tests.scripted import ACK, INFO, Socket, error, responds, scripted_provider, stays_open
from tests.transports.fakes import VOICE, OneAttempt, audio_before_error, chunks_of, speak

GREETING_ACK = '{"type":"ack","payload":{"message":"Connected"}}'


async def test_the_request_holds_the_text_the_voice_and_the_format() -> None:
    requests: list[dict[str, object]] = []

    async def script(socket: Socket) -> None:
        while True:
            requests.append(await socket.respond(SPEECH))

    async with websocket_transport(script) as (transport, _, _):
        await speak(transport, SpeechRequest("نعم", VOICE, AudioFormat("pcm_s16le", 8000), "en"))
    payload = {"text": "نعم", "speaker": "Majd", "dialect": "ksa", "mulaw": False}
    assert requests == [
        {"type": "tts", "payload": {**payload, "sampleRate": "8k", "languageId": "en"}}
    ]


@pytest.mark.parametrize("greeting", [GREETING_ACK, INFO])
async def test_a_greeting_of_either_kind_is_no_response(greeting: str) -> None:
    async def script(socket: Socket) -> None:
        await socket.send(greeting)
        while True:
            await socket.respond(SPEECH)

    async with websocket_transport(script) as (transport, _, _):
        assert await speak(transport) == SPEECH
        assert await speak(transport) == SPEECH


@pytest.mark.parametrize("before", [[], [b"RI"], [SPEECH[:640]]], ids=["ack", "stump", "audio"])
@pytest.mark.parametrize(
    ("message", "kind", "after"),
    [
        ("Voice not owned by user", errors.RefusedError, ONE_IDLE),
        ("insufficient funds", errors.QuotaExceededError, ONE_IDLE),
        ("aborted", errors.ProviderUnavailableError, EMPTY),
        ("rate limit exceeded", errors.RateLimitedError, EMPTY),
    ],
)
async def test_an_error_frame_ends_the_stream_and_closes_the_socket_unless_it_is_final(
    before: list[bytes], message: str, kind: type[errors.ProviderError], after: str
) -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, *before, error(message))
        await stays_open(socket)

    async with websocket_transport(script) as (transport, pool, _):
        received = await audio_before_error(transport, kind)
        assert received == (SPEECH[:640] if before == [SPEECH[:640]] else b"")
        await until_pool(pool, after)


@pytest.mark.parametrize("has_begun", [False, True], ids=["before audio", "after audio"])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (4001, errors.AuthenticationError),
        (4003, errors.QuotaExceededError),
        (1000, errors.ConnectionLostError),
        (1001, errors.ConnectionLostError),
        (None, errors.ConnectionLostError),
    ],
)
async def test_a_socket_closed_during_a_sentence_fails_by_its_close_code(
    code: int | None, kind: type[errors.ProviderError], has_begun: bool
) -> None:
    read = asyncio.Event()

    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK)
        if has_begun:
            await socket.send(SPEECH)
            await read.wait()
        if code is None:
            socket.drop()
        else:
            await socket.connection.close(code)

    received = b""
    async with websocket_transport(script) as (transport, pool, _):
        with pytest.raises(errors.ProviderError) as caught:
            async with OneAttempt(transport) as stream:
                async for chunk in stream:
                    received += chunk
                    read.set()
        assert type(caught.value) is kind
        assert received == (SPEECH if has_begun else b"")
        await until_pool(pool, EMPTY)


@pytest.mark.parametrize("frames", [[], [ACK], [INFO, ACK], [ACK, b"", b"\x01"], [ACK, b"RIFF"]])
async def test_no_first_audio_is_a_timeout_and_closes_the_socket(
    frames: list[str | bytes],
) -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(*frames)
        await stays_open(socket)

    async with websocket_transport(script, first_audio_timeout_s=0.03) as (
        transport,
        pool,
        provider,
    ):
        with pytest.raises(errors.ProviderTimeoutError):
            await speak(transport)
        await until_pool(pool, EMPTY)
        await provider.until_open(0)


async def test_a_stream_tells_whether_its_socket_was_used_before() -> None:
    async with websocket_transport(responds(SPEECH)) as (transport, pool, _):
        for connection in ("new", "reused"):
            async with OneAttempt(transport) as attempt:
                await chunks_of(attempt)
            assert attempt.record.connection == connection
            assert attempt.record.ttfb_ms is not None
            await until_pool(pool, ONE_IDLE)


async def test_an_attempt_whose_socket_could_not_be_opened_names_no_connection() -> None:
    async with scripted_provider(stays_open) as provider:
        url = provider.url
    async with running_pool(url) as pool:
        attempt = OneAttempt(transport_over(pool))
        with pytest.raises(errors.ConnectError):
            async with attempt:
                pass
    assert attempt.record.connection is None


async def test_the_wait_for_a_socket_is_no_silence_of_the_provider() -> None:
    async with (
        scripted_provider(responds(SPEECH)) as provider,
        running_pool(provider.url, max_connections=1) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        transport = transport_over(pool, first_audio_timeout_s=0.2)
        async with pool.lease():
            speaking = tasks.create_task(speak(transport))
            await asyncio.wait([speaking], timeout=0.3)
            assert not speaking.done()
        assert await speaking == SPEECH


@pytest.mark.parametrize("allow_connect", [False, True])
async def test_a_socket_is_leased_on_the_terms_of_the_attempt(allow_connect: bool) -> None:
    async with scripted_provider(responds(SPEECH)) as provider, running_pool(provider.url) as pool:
        terms = LeaseTerms(0.2, allow_connect=allow_connect)
        attempt = OneAttempt(transport_over(pool), terms=terms)
        if allow_connect:
            async with attempt:
                assert b"".join(await chunks_of(attempt)) == SPEECH
        else:
            with pytest.raises(errors.PoolExhaustedError):
                async with attempt:
                    pass


async def test_a_throttled_handshake_does_not_keep_an_open_socket_from_serving() -> None:
    async def open_once(open_connection: Open) -> Connection:
        if pool.opened:
            raise errors.RateLimitedError("too many", 60)
        return await open_connection()

    async with (
        scripted_provider(responds(SPEECH * 8)) as provider,
        running_pool(provider.url, opener=open_once) as pool,
    ):
        resilient = ResilientTransport([transport_over(pool)], Policy(attempts=1, deadline_s=1))
        async with OneAttempt(transport_over(pool)) as stream:
            with pytest.raises(errors.RateLimitedError):
                await speak(resilient)
            await chunks_of(stream)
        assert await speak(resilient) == SPEECH * 8
