"""One sentence over one socket, to a provider that follows a script."""

import asyncio
from typing import Any

import pytest

from app import errors
from app.audio import AudioFormat
from app.hamsa.connection import Connection
from app.hamsa.lease import PoolLimits
from app.hamsa.pool import ConnectionPool
from app.transports.base import SpeechRequest
from app.transports.policy import Policy
from app.transports.resilient import ResilientTransport
from tests.hamsa.pools import EMPTY, ONE_IDLE, Open, running_pool, until_pool
from tests.scripted import ACK, INFO, Socket, error, responds, scripted_provider, stays_open
from tests.transports.fakes import VOICE, chunks_of, speak, speech_request
from tests.transports.sockets import SPEECH, transport_over, websocket_transport

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

    received = b""
    async with websocket_transport(script) as (transport, pool, _):
        with pytest.raises(kind):
            async with transport.synthesize(speech_request()) as stream:
                async for chunk in stream:
                    received += chunk
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
    request = speech_request()
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
            async with transport.synthesize(request) as stream:
                async for chunk in stream:
                    received += chunk
                    read.set()
        assert type(caught.value) is kind
        assert received == (SPEECH if has_begun else b"")
        await until_pool(pool, EMPTY)
    assert request.attempts[0].fault == kind.code


@pytest.mark.parametrize("frames", [[], [ACK], [INFO, ACK], [ACK, b"", b"\x01"], [ACK, b"RIFF"]])
async def test_no_first_audio_is_a_timeout_and_closes_the_socket(
    frames: list[str | bytes],
) -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(*frames)
        await stays_open(socket)

    request = speech_request()
    async with websocket_transport(script, first_audio_timeout_s=0.03) as (
        transport,
        pool,
        provider,
    ):
        with pytest.raises(errors.ProviderTimeoutError):
            await speak(transport, request)
        await until_pool(pool, EMPTY)
        await provider.until_open(0)
    assert request.attempts[0].ttfb_ms is None
    assert request.attempts[0].fault == "provider-timeout"


async def test_the_request_records_each_attempt() -> None:
    request = speech_request()
    async with websocket_transport(responds(SPEECH)) as (transport, pool, _):
        await speak(transport, request)
        await until_pool(pool, ONE_IDLE)
        await speak(transport, request)
    assert [attempt.transport for attempt in request.attempts] == ["websocket", "websocket"]
    assert [attempt.connection for attempt in request.attempts] == ["new", "reused"]
    for attempt in request.attempts:
        assert attempt.fault is None
        assert attempt.ttfb_ms is not None
        assert attempt.total_ms is not None
        assert 0 < attempt.ttfb_ms <= attempt.total_ms


async def test_an_attempt_whose_socket_could_not_be_opened_names_no_connection() -> None:
    async with scripted_provider(stays_open) as provider:
        url = provider.url
    request = speech_request()
    async with running_pool(url) as pool:
        with pytest.raises(errors.ConnectError):
            await speak(transport_over(pool), request)
    assert [attempt.connection for attempt in request.attempts] == [None]
    assert request.attempts[0].fault == "provider-unreachable"


def fail_once(request: SpeechRequest) -> None:
    """Record a failed attempt over another transport."""
    with pytest.raises(errors.ProviderUnavailableError), request.attempt("rest"):
        raise errors.ProviderUnavailableError("down")


@pytest.mark.parametrize(("failures", "connects"), [(0, False), (1, False), (2, True)])
async def test_a_request_that_has_failed_may_open_a_socket_where_others_may_not(
    failures: int, connects: bool
) -> None:
    """When the other transport is down, a handshake is better than another request to it."""
    async with scripted_provider(responds(SPEECH)) as provider, running_pool(provider.url) as pool:
        transport = transport_over(pool, acquire_timeout_s=0.2, allow_connect=False)
        request = speech_request()
        for _ in range(failures):
            fail_once(request)
        if connects:
            assert await speak(transport, request) == SPEECH
        else:
            with pytest.raises(errors.PoolExhaustedError):
                await speak(transport, request)


class ExhaustedPool(ConnectionPool):
    """Has no socket, and records how long requests would wait for one."""

    def __init__(self) -> None:
        self._limits = PoolLimits()
        self.timeouts_s: list[float | None] = []

    def lease(
        self,
        timeout_s: float | None = None,
        *,
        allow_connect: bool = True,
        needed_now: asyncio.Event | None = None,
    ) -> Any:
        self.timeouts_s.append(timeout_s)
        raise errors.PoolExhaustedError("none")


async def test_the_wait_for_a_socket_doubles_with_each_failure() -> None:
    pool = ExhaustedPool()
    transport = transport_over(pool, acquire_timeout_s=0.1)
    request = speech_request()
    for _ in range(4):
        with pytest.raises(errors.PoolExhaustedError):
            await speak(transport, request)
        fail_once(request)
    assert pool.timeouts_s == [0.1, 0.2, 0.4, 0.5]


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
        async with transport_over(pool).synthesize(speech_request()) as stream:
            with pytest.raises(errors.RateLimitedError):
                await speak(resilient)
            await chunks_of(stream)
        assert await speak(resilient) == SPEECH * 8
