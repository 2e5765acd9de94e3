"""STT over the pool of sockets, to a provider that follows a script."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from app import errors
from app.audio import PCM16_16K
from app.hamsa import connection, wire
from app.hamsa.stt_websocket import WebSocketTranscriber
from app.pool.pool import ConnectionPool
from app.stt.base import Utterance
from tests import virtual_time
from tests.pool.pools import EMPTY, ONE_IDLE, running_pool, until_pool
from tests.scripted import ACK, END, INFO, Script, Socket, error, scripted_provider, stays_open
from tests.stt.utterances import UTTERANCE, assert_wav
from tests.waiting import settle, until


def transcribes(*frames: str) -> Script:
    """Greet, and send these frames for every utterance."""

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
async def test_a_transcript_is_read_in_each_of_its_forms(
    frame: str, text: str, before: tuple[str, ...]
) -> None:
    assert await transcribe(transcribes(*before, frame)) == (text, ONE_IDLE)


async def test_one_whole_wav_of_16_khz_mono_is_sent() -> None:
    requests: list[dict[str, object]] = []

    async def script(socket: Socket) -> None:
        requests.append(await socket.request())
        await socket.send("نعم")
        await stays_open(socket)

    await transcribe(script)
    (message,) = requests
    payload = message["payload"]
    assert isinstance(payload, dict)
    assert message["type"] == "stt"
    assert payload["language"] == "ar"
    assert_wav(payload["audioBase64"])


@pytest.mark.parametrize(
    ("message", "kind", "after"),
    [
        ("Only WAV files are supported", errors.RefusedError, ONE_IDLE),
        ("insufficient funds", errors.QuotaExceededError, ONE_IDLE),
        ("aborted", errors.ProviderUnavailableError, EMPTY),
    ],
)
async def test_an_error_frame_is_raised_and_closes_the_socket_unless_it_is_final(
    message: str, kind: type[errors.ProviderError], after: str
) -> None:
    async with (
        scripted_provider(transcribes(error(message))) as provider,
        running_pool(provider.url) as pool,
    ):
        with pytest.raises(kind):
            await WebSocketTranscriber(pool, timeout_s=5).transcribe(UTTERANCE)
        await until_pool(pool, after)
        assert len(provider.sockets) == 1


@pytest.mark.parametrize("frames", [(), (ACK,), (INFO, END)])
async def test_no_transcript_is_a_timeout_and_closes_the_socket(
    frames: tuple[str, ...],
) -> None:
    async with (
        scripted_provider(transcribes(*frames)) as provider,
        running_pool(provider.url) as pool,
    ):
        with pytest.raises(errors.ProviderTimeoutError):
            await WebSocketTranscriber(pool, timeout_s=0.03).transcribe(UTTERANCE)
        assert repr(pool) == EMPTY
        assert len(provider.sockets) == 1, "a timeout is not retried here"


def drops(times: int) -> Script:
    """Drop the sockets of the first utterances."""

    async def script(socket: Socket) -> None:
        await socket.request()
        if socket.number <= times:
            socket.drop()
        else:
            await socket.send("أين شحنتي؟")
            await stays_open(socket)

    return script


async def test_after_a_lost_socket_the_request_is_sent_once_more() -> None:
    assert await transcribe(drops(1)) == ("أين شحنتي؟", ONE_IDLE)
    with pytest.raises(errors.ConnectionLostError):
        await transcribe(drops(2))


@pytest.mark.parametrize(
    ("code", "kind"), [(4001, errors.AuthenticationError), (4003, errors.QuotaExceededError)]
)
async def test_after_a_final_close_code_the_request_is_not_sent_again(
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
async def test_cancelling_drains_the_socket_and_drops_its_transcript(
    before: tuple[str, ...],
) -> None:
    """What comes `before` the transcript does not end an abandoned request."""
    sent, resume = asyncio.Event(), asyncio.Event()

    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(*before)
        sent.set()
        await resume.wait()
        await socket.send("الأولى")
        await socket.request()
        await socket.send("الثانية")
        await stays_open(socket)

    async with (
        scripted_provider(script) as provider,
        running_pool(provider.url, limit=1) as pool,
    ):
        transcriber = WebSocketTranscriber(pool, timeout_s=5)
        task = asyncio.create_task(transcriber.transcribe(UTTERANCE))
        await sent.wait()
        await settle()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert pool.counts()["draining"] == 1
        next_one = asyncio.create_task(transcriber.transcribe(UTTERANCE))
        await asyncio.sleep(0)
        resume.set()
        assert await next_one == "الثانية"


class LostThenSilent:
    """Leases one socket that breaks after 14 seconds, and then one that stays silent."""

    def __init__(self) -> None:
        self.connection = self
        self.leases = 0

    @asynccontextmanager
    async def lease(self, timeout_s: float | None) -> AsyncIterator["LostThenSilent"]:
        self.leases += 1
        yield self

    async def send(self, request: str, *, last_frame: type[wire.Frame]) -> None:
        """Accept any request."""

    async def receive(self) -> wire.Frame:
        await asyncio.sleep(14 if self.leases == 1 else 600)
        raise errors.ConnectionLostError("gone")


def test_the_second_request_does_not_double_the_wait() -> None:
    async def transcribe_in_vain() -> float:
        pool = LostThenSilent()
        with pytest.raises(errors.ProviderTimeoutError):
            await WebSocketTranscriber(
                cast(ConnectionPool[connection.Connection], pool), timeout_s=15
            ).transcribe(UTTERANCE)
        assert pool.leases == 2
        return asyncio.get_running_loop().time()

    assert virtual_time.run(transcribe_in_vain()) == pytest.approx(15)


def task_names() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks()}


async def test_a_peer_that_reads_nothing_of_a_long_utterance_is_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "CLOSE_TIMEOUT_S", 0.03)

    async def reads_nothing(socket: Socket) -> None:
        socket.connection.transport.pause_reading()
        opened.append(socket)
        await stays_open(socket)

    opened: list[Socket] = []
    utterance = Utterance(bytes(16 * 1024 * 1024), PCM16_16K)  # more than the kernels hold
    async with scripted_provider(reads_nothing) as provider:
        async with running_pool(provider.url) as pool:
            with pytest.raises(errors.ProviderTimeoutError):
                await WebSocketTranscriber(pool, timeout_s=0.05).transcribe(utterance)
            await until(lambda: "hamsa-close" not in task_names(), state=pool)
            async with pool.lease():  # the pool still serves
                opened[0].connection.transport.resume_reading()
                await provider.until_open(1)
        for socket in opened:
            socket.drop()


async def test_a_peer_that_does_not_even_read_pings_is_given_up_before_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def reads_nothing(socket: Socket) -> None:
        socket.connection.transport.pause_reading()
        opened.append(socket)
        await stays_open(socket)

    opened: list[Socket] = []
    utterance = Utterance(bytes(16 * 1024 * 1024), PCM16_16K)
    async with scripted_provider(reads_nothing) as provider:
        async with running_pool(provider.url, ping_interval_s=0.02, ping_timeout_s=0.02) as pool:
            with pytest.raises(errors.ConnectionLostError):
                await WebSocketTranscriber(pool, timeout_s=30).transcribe(utterance)
        for socket in opened:
            socket.drop()


async def test_warming_up_opens_a_socket() -> None:
    async with scripted_provider(stays_open) as provider, running_pool(provider.url) as pool:
        await WebSocketTranscriber(pool, timeout_s=5).warm_up()
        await provider.until_open(1)
