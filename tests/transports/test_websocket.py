"""One sentence over one socket, against a provider that follows a script."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from app import errors
from app.audio import PCM16_16K, AudioFormat, wav_header
from app.hamsa.connection import Connection
from app.hamsa.pool import ConnectionPool
from app.transports.base import AudioStream, SpeechRequest, TTSTransport
from app.transports.policy import Policy
from app.transports.resilient import ResilientTransport
from app.transports.websocket import WebSocketTransport
from tests.hamsa.pools import Open, running_pool
from tests.scripted import (
    ACK,
    END,
    INFO,
    Script,
    ScriptedProvider,
    Socket,
    error,
    forever,
    scripted_provider,
)
from tests.transports.fakes import VOICE, request

SPEECH = bytes(range(256)) * 20
GREETING_ACK = '{"type":"ack","payload":{"message":"Connected"}}'
CLEAN = "<ConnectionPool opening=0 idle=1 leased=0 lingering=0 draining=0 waiting=0>"
EMPTY = "<ConnectionPool opening=0 idle=0 leased=0 lingering=0 draining=0 waiting=0>"


def frames_of(speech: bytes, *sizes: int) -> list[bytes]:
    """Cut speech into frames of these sizes, and a last one."""
    frames = []
    for size in sizes:
        frames.append(speech[:size])
        speech = speech[size:]
    return [*frames, speech]


def answers(*frames: bytes) -> Script:
    """Answer every request by these frames."""

    async def script(socket: Socket) -> None:
        await socket.send(INFO)
        while True:
            await socket.answer(*frames)

    return script


def over(
    pool: ConnectionPool, *, first_audio_timeout_s: float = 5, stall_timeout_s: float = 5
) -> WebSocketTransport:
    return WebSocketTransport(
        pool,
        first_audio_timeout_s=first_audio_timeout_s,
        stall_timeout_s=stall_timeout_s,
        linger_s=0.05,
    )


@asynccontextmanager
async def provided(
    script: Script,
) -> AsyncIterator[tuple[WebSocketTransport, ConnectionPool, ScriptedProvider]]:
    """A transport over a pool of sockets to a provider that follows this script."""
    async with scripted_provider(script) as provider, running_pool(provider.url) as pool:
        yield over(pool), pool, provider


async def delivered(stream: AudioStream) -> list[bytes]:
    return [chunk async for chunk in stream]


async def speak(transport: TTSTransport, spoken: SpeechRequest | None = None) -> bytes:
    async with transport.synthesize(spoken or request()) as stream:
        return b"".join(await delivered(stream))


async def until(pool: ConnectionPool, state: str) -> None:
    """Wait for a state of the pool; the test's own timeout is the guard."""
    while repr(pool) != state:
        await asyncio.sleep(0)


async def test_audio_without_a_header_passes_as_it_is() -> None:
    async with provided(answers(SPEECH[:640], SPEECH[640:])) as (transport, pool, _):
        async with transport.synthesize(request()) as stream:
            assert stream.format == PCM16_16K
            assert await delivered(stream) == [SPEECH[:640], SPEECH[640:]]
        await until(pool, CLEAN)


async def test_the_provider_is_asked_for_the_text_the_voice_and_the_format() -> None:
    asked: list[dict[str, object]] = []

    async def script(socket: Socket) -> None:
        while True:
            asked.append(await socket.answer(SPEECH))

    async with provided(script) as (transport, _, _):
        await speak(transport, SpeechRequest("نعم", VOICE, AudioFormat("pcm_s16le", 8000), "en"))
    payload = {"text": "نعم", "speaker": "Majd", "dialect": "ksa", "mulaw": False}
    assert asked == [
        {"type": "tts", "payload": {**payload, "sampleRate": "8k", "languageId": "en"}}
    ]


@pytest.mark.parametrize("sizes", [(), (44,), (1, 2, 9, 30), (12, 100), (47,), (1,) * 60])
async def test_a_header_of_unknown_length_is_taken_off_wherever_frames_cut_it(
    sizes: tuple[int, ...],
) -> None:
    frames = frames_of(wav_header(PCM16_16K, None) + SPEECH, *sizes)
    async with provided(answers(*frames)) as (transport, _, _):
        for _ in range(2):
            assert await speak(transport) == SPEECH


@pytest.mark.parametrize("asked", [PCM16_16K, AudioFormat("mulaw", 8000)])
@pytest.mark.parametrize(
    "given",
    [AudioFormat("pcm_s16le", 8000), AudioFormat("pcm_s16le", 24000), AudioFormat("mulaw", 8000)],
)
async def test_the_format_is_what_the_header_says_and_samples_are_of_its_size(
    asked: AudioFormat, given: AudioFormat
) -> None:
    frames = frames_of(wav_header(given, None) + SPEECH[:1001], 45, 7, 9)
    async with provided(answers(*frames)) as (transport, _, _):
        async with transport.synthesize(SpeechRequest("نعم", VOICE, asked)) as stream:
            assert stream.format == given
            chunks = await delivered(stream)
    assert all(len(chunk) % given.bytes_per_sample == 0 for chunk in chunks)
    assert b"".join(chunks) == SPEECH[: 1001 // given.bytes_per_sample * given.bytes_per_sample]


@pytest.mark.parametrize("sizes", [(1,), (1, 1, 1), (641, 1), (3, 5, 7, 2), (639, 2, 641)])
async def test_frames_that_split_a_sample_are_aligned(sizes: tuple[int, ...]) -> None:
    async with provided(answers(*frames_of(SPEECH, *sizes))) as (transport, _, _):
        async with transport.synthesize(request()) as stream:
            chunks = await delivered(stream)
    assert all(chunk and len(chunk) % 2 == 0 for chunk in chunks)
    assert b"".join(chunks) == SPEECH


@pytest.mark.parametrize("frames", [[], [b""], [b"\x01"], [wav_header(PCM16_16K, None)]])
async def test_an_end_without_audio_is_an_incomplete_answer_and_costs_the_socket(
    frames: list[bytes],
) -> None:
    spoken = request()
    async with provided(answers(*frames)) as (transport, pool, provider):
        with pytest.raises(errors.IncompleteAudioError):
            await speak(transport, spoken)
        await until(pool, EMPTY)
        await provider.until_open(0)
    assert [attempt.fault for attempt in spoken.attempts] == ["incomplete-audio"]


@pytest.mark.parametrize("before", [[], [b"RI"], [SPEECH[:640]]], ids=["ack", "stump", "audio"])
@pytest.mark.parametrize(
    ("message", "kind", "after"),
    [
        ("Voice not owned by user", errors.RefusedError, CLEAN),
        ("insufficient funds", errors.QuotaExceededError, CLEAN),
        ("aborted", errors.ProviderUnavailableError, EMPTY),
        ("rate limit exceeded", errors.RateLimitedError, EMPTY),
    ],
)
async def test_an_error_frame_ends_the_answer_and_costs_the_socket_unless_it_is_final(
    before: list[bytes], message: str, kind: type[errors.ProviderError], after: str
) -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, *before, error(message))
        await forever(socket)

    got = b""
    async with provided(script) as (transport, pool, _):
        with pytest.raises(kind):
            async with transport.synthesize(request()) as stream:
                async for chunk in stream:
                    got += chunk
        assert got == (SPEECH[:640] if before == [SPEECH[:640]] else b"")
        await until(pool, after)


@pytest.mark.parametrize("begun", [False, True], ids=["before audio", "after audio"])
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
async def test_a_socket_closed_in_mid_answer_is_what_its_code_means(
    code: int | None, kind: type[errors.ProviderError], begun: bool
) -> None:
    spoken = request()
    read = asyncio.Event()

    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK)
        if begun:
            await socket.send(SPEECH)
            await read.wait()
        if code is None:
            socket.drop()
        else:
            await socket.connection.close(code)

    got = b""
    async with provided(script) as (transport, pool, _):
        with pytest.raises(errors.ProviderError) as caught:
            async with transport.synthesize(spoken) as stream:
                async for chunk in stream:
                    got += chunk
                    read.set()
        assert type(caught.value) is kind
        assert got == (SPEECH if begun else b"")
        await until(pool, EMPTY)
    assert spoken.attempts[0].fault == kind.code


@pytest.mark.parametrize("frames", [[], [ACK], [INFO, ACK], [ACK, b"", b"\x01"], [ACK, b"RIFF"]])
async def test_a_first_audio_that_stays_out_is_a_timeout_and_costs_the_socket(
    frames: list[str | bytes],
) -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(*frames)
        await forever(socket)

    spoken = request()
    async with scripted_provider(script) as provider, running_pool(provider.url) as pool:
        with pytest.raises(errors.ProviderTimeoutError):
            await speak(over(pool, first_audio_timeout_s=0.03), spoken)
        await until(pool, EMPTY)
        await provider.until_open(0)
    assert spoken.attempts[0].ttfb_ms is None
    assert spoken.attempts[0].fault == "provider-timeout"


async def test_a_silence_after_audio_is_a_timeout_and_costs_the_socket() -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, SPEECH)
        await forever(socket)

    got = b""
    async with scripted_provider(script) as provider, running_pool(provider.url) as pool:
        with pytest.raises(errors.ProviderTimeoutError):
            async with over(pool, stall_timeout_s=0.03).synthesize(request()) as stream:
                async for chunk in stream:
                    got += chunk
        assert got == SPEECH
        await until(pool, EMPTY)


async def test_a_reader_that_takes_its_time_is_no_silence_of_the_provider() -> None:
    async with (
        scripted_provider(answers(SPEECH, SPEECH)) as provider,
        running_pool(provider.url) as pool,
        over(pool, stall_timeout_s=0.03).synthesize(request()) as stream,
        aclosing(aiter(stream)) as chunks,  # type: ignore[type-var]
    ):
        assert await anext(chunks) == SPEECH
        trailing = asyncio.get_running_loop().time() + 0.06
        while asyncio.get_running_loop().time() < trailing:
            await asyncio.sleep(0)
        assert await anext(chunks) == SPEECH


async def test_audio_after_the_end_is_found_late_aligned_with_what_came_before() -> None:
    ended = asyncio.Event()

    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, SPEECH[:641], END)
        await ended.wait()
        await socket.send(SPEECH[641:1000], SPEECH[1000:])
        await forever(socket)

    async with provided(script) as (transport, pool, _):
        async with transport.synthesize(request()) as stream:
            assert b"".join(await delivered(stream)) == SPEECH[:640]
        ended.set()
        assert stream.trailing is not None
        await stream.trailing.wait_closed()
        assert stream.trailing.drain() == SPEECH[640:]
        await until(pool, CLEAN)


async def test_late_audio_never_plays_in_the_next_sentence_and_is_counted_when_too_late() -> None:
    async def script(socket: Socket) -> None:
        await socket.answer(b"\x01" * 640)
        await socket.request()
        await socket.send(b"\x02" * 320, ACK, b"\x03" * 640, END)
        await forever(socket)

    async with provided(script) as (transport, _, provider):
        late = request()
        async with transport.synthesize(late) as first:
            assert await delivered(first) == [b"\x01" * 640]
        assert first.trailing is not None
        assert first.trailing.drain() == b""  # its turn has passed
        assert await speak(transport) == b"\x03" * 640
        assert late.metrics.late_audio_bytes == 320
        assert len(provider.sockets) == 1


@pytest.mark.parametrize("linger_cancelled", [True, False], ids=["at once", "after the linger"])
async def test_late_audio_of_an_abandoned_sentence_never_plays_in_the_next(
    linger_cancelled: bool,
) -> None:
    goes_on = asyncio.Event()

    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, b"\x01" * 640)
        await goes_on.wait()
        await socket.send(END, b"\x02" * 640)
        while True:
            await socket.answer(b"\x03" * 640)

    async with scripted_provider(script) as provider, running_pool(provider.url, limit=1) as pool:
        async with over(pool).synthesize(request()):
            pass
        task = asyncio.create_task(speak(over(pool))) if linger_cancelled else None
        await asyncio.sleep(0)
        goes_on.set()
        if task is not None:
            assert await task == b"\x03" * 640
        await until(pool, CLEAN)
        assert await speak(over(pool)) == b"\x03" * 640
        assert len(provider.sockets) == 1


async def test_a_text_that_nobody_knows_does_not_end_an_answer_that_is_abandoned() -> None:
    goes_on = asyncio.Event()

    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, '{"type":"progress","payload":{}}', b"\x01" * 640)
        await goes_on.wait()
        await socket.send(b"\x01" * 640, END)
        while True:
            await socket.answer(b"\x03" * 640)

    async with scripted_provider(script) as provider, running_pool(provider.url, limit=1) as pool:
        async with over(pool).synthesize(request()):
            pass
        assert "draining=1" in repr(pool)
        goes_on.set()
        assert await speak(over(pool)) == b"\x03" * 640


async def test_an_end_that_is_said_twice_does_not_end_the_next_sentence() -> None:
    async def script(socket: Socket) -> None:
        await socket.answer(b"\x01" * 640)
        await socket.request()
        await socket.send(b"\x02" * 640, END, ACK, b"\x03" * 640, END)
        await forever(socket)

    async with scripted_provider(script) as provider, running_pool(provider.url, limit=1) as pool:
        assert await speak(over(pool)) == b"\x01" * 640
        assert await speak(over(pool)) == b"\x03" * 640


@pytest.mark.parametrize("greeting", [GREETING_ACK, INFO])
async def test_a_greeting_of_either_kind_is_no_answer(greeting: str) -> None:
    async def script(socket: Socket) -> None:
        await socket.send(greeting)
        while True:
            await socket.answer(SPEECH)

    async with provided(script) as (transport, _, _):
        assert await speak(transport) == SPEECH
        assert await speak(transport) == SPEECH


async def test_the_record_tells_of_each_attempt() -> None:
    spoken = request()
    async with provided(answers(SPEECH)) as (transport, pool, _):
        await speak(transport, spoken)
        await until(pool, CLEAN)
        await speak(transport, spoken)
    assert [attempt.transport for attempt in spoken.attempts] == ["websocket", "websocket"]
    assert [attempt.connection for attempt in spoken.attempts] == ["new", "reused"]
    for attempt in spoken.attempts:
        assert attempt.fault is None
        assert attempt.ttfb_ms is not None
        assert attempt.total_ms is not None
        assert 0 < attempt.ttfb_ms <= attempt.total_ms


async def test_an_attempt_for_which_no_socket_could_be_opened_names_no_connection() -> None:
    async with scripted_provider(forever) as provider:
        url = provider.url
    spoken = request()
    async with running_pool(url) as pool:
        with pytest.raises(errors.ConnectError):
            await speak(over(pool), spoken)
    assert [attempt.connection for attempt in spoken.attempts] == [None]
    assert spoken.attempts[0].fault == "provider-unreachable"


async def cancel(task: asyncio.Task[bytes]) -> None:
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_cancelling_while_a_socket_opens_leaves_the_socket_to_others() -> None:
    async with provided(answers(SPEECH)) as (transport, pool, provider):
        task = asyncio.create_task(speak(transport))
        await asyncio.sleep(0)
        assert "opening=1" in repr(pool)
        await cancel(task)
        await until(pool, CLEAN)
        assert await speak(transport) == SPEECH
        assert len(provider.sockets) == 1


async def test_cancelling_while_all_sockets_are_taken_leaves_nobody_waiting() -> None:
    async with (
        scripted_provider(answers(SPEECH)) as provider,
        running_pool(provider.url, limit=1) as pool,
    ):
        async with over(pool).synthesize(request()):
            task = asyncio.create_task(speak(over(pool)))
            while "waiting=1" not in repr(pool):
                await asyncio.sleep(0)
            await cancel(task)
            assert "waiting=0" in repr(pool)
        await until(pool, CLEAN)


@pytest.mark.parametrize("stage", ["asked", "acknowledged", "speaking", "ended"])
async def test_cancelling_at_any_stage_of_the_answer_drains_the_socket_and_it_serves_on(
    stage: str,
) -> None:
    reached, goes_on = asyncio.Event(), asyncio.Event()

    async def script(socket: Socket) -> None:
        await socket.request()
        steps: dict[str, list[str | bytes]] = {
            "asked": [],
            "acknowledged": [ACK],
            "speaking": [b"\x01" * 640, b"\x01" * 640],
            "ended": [END],
        }
        for name, frames in steps.items():
            if name == "ended" != stage:
                await goes_on.wait()
            await socket.send(*frames)
            if name == stage:
                reached.set()
                await goes_on.wait()
        while True:
            await socket.answer(SPEECH)

    async def say(got: list[bytes]) -> bytes:
        async with transport.synthesize(request()) as stream:
            async for chunk in stream:
                got.append(chunk)  # noqa: PERF401 - what was heard before the cancellation counts
            await asyncio.Event().wait()  # the sentence is over, and its context is not left
        return b""

    got: list[bytes] = []
    async with provided(script) as (transport, pool, provider):
        task = asyncio.create_task(say(got))
        await reached.wait()
        while len(got) < (2 if stage in ("speaking", "ended") else 0):
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert "leased=1" in repr(pool)
        await cancel(task)
        assert "leased=0" in repr(pool)
        goes_on.set()
        await until(pool, CLEAN)
        assert await speak(transport) == SPEECH
        assert len(provider.sockets) == 1


async def test_closing_the_pool_under_a_sentence_is_a_lost_connection_and_leaves_no_socket() -> (
    None
):
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, SPEECH)
        await forever(socket)

    async with scripted_provider(script) as provider, running_pool(provider.url) as pool:
        with pytest.raises(errors.ConnectionLostError):
            async with over(pool).synthesize(request()) as stream:
                await asyncio.gather(delivered(stream), pool.aclose())
        assert repr(pool) == EMPTY
        await provider.until_open(0)


async def test_a_sentence_left_while_the_pool_closes_needs_nothing_of_it() -> None:
    async with scripted_provider(answers(SPEECH)) as provider, running_pool(provider.url) as pool:
        async with over(pool).synthesize(request()) as stream:
            await delivered(stream)
            closing = asyncio.create_task(pool.aclose())
            await asyncio.sleep(0)
        await closing
        assert repr(pool) == EMPTY
        await provider.until_open(0)


@pytest.mark.parametrize(("failures", "opens"), [(0, False), (1, False), (2, True)])
async def test_a_request_that_failed_before_may_open_a_socket_where_others_may_not(
    failures: int, opens: bool
) -> None:
    """When the other way is down, waiting for a socket beats asking it again."""
    async with scripted_provider(answers(SPEECH)) as provider, running_pool(provider.url) as pool:
        transport = WebSocketTransport(
            pool,
            first_audio_timeout_s=5,
            stall_timeout_s=5,
            linger_s=0.05,
            acquire_timeout_s=0.2,
            allow_connect=False,
        )
        asked = request()
        for _ in range(failures):
            with pytest.raises(errors.ProviderUnavailableError), asked.attempt("rest"):
                raise errors.ProviderUnavailableError("down")
        if opens:
            assert await speak(transport, asked) == SPEECH
        else:
            with pytest.raises(errors.PoolExhaustedError):
                await speak(transport, asked)


async def test_patience_grows_with_each_failure() -> None:
    waited: list[float] = []

    class Pool(ConnectionPool):
        def __init__(self) -> None:
            self.lease_timeout_s = 20

        def lease(self, timeout_s: float | None = None, **_: object) -> Any:  # type: ignore[override]
            assert timeout_s is not None
            waited.append(timeout_s)
            raise errors.PoolExhaustedError("none")

    transport = WebSocketTransport(
        Pool(), first_audio_timeout_s=5, stall_timeout_s=5, linger_s=0.05, acquire_timeout_s=0.1
    )
    asked = request()
    for _ in range(4):
        with pytest.raises(errors.PoolExhaustedError):
            await speak(transport, asked)
        with pytest.raises(errors.ProviderUnavailableError), asked.attempt("rest"):
            raise errors.ProviderUnavailableError("down")
    assert waited == [0.1, 0.2, 0.4, 0.5]


async def test_a_handshake_that_is_throttled_does_not_keep_an_open_socket_from_its_work() -> None:
    async def once(open_connection: Open) -> Connection:
        if pool.opened:
            raise errors.RateLimitedError("too many", 60)
        return await open_connection()

    async with (
        scripted_provider(answers(SPEECH * 8)) as provider,
        running_pool(provider.url, opener=once) as pool,
    ):
        policy = Policy(attempts=1, deadline_s=1)
        transport = ResilientTransport([over(pool)], policy)
        async with over(pool).synthesize(request()) as stream:
            with pytest.raises(errors.RateLimitedError):
                await speak(transport)
            await delivered(stream)
        assert await speak(transport) == SPEECH * 8
