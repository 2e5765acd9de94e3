"""Raw frames as clean audio, over one socket to a provider that follows a script."""

import asyncio
from contextlib import aclosing

import pytest

from app import errors
from app.audio import PCM16_16K, AudioFormat, wav_header
from app.transports.base import SpeechRequest
from tests.hamsa.sockets import SPEECH, websocket_transport
from tests.pool.pools import EMPTY, ONE_IDLE, until_pool
from tests.scripted import ACK, Socket, responds, stays_open
from tests.transports.fakes import VOICE, OneAttempt, audio_before_error, chunks_of, speak
from tests.waiting import until


def frames_of(speech: bytes, *sizes: int) -> list[bytes]:
    """Cut speech into frames of these sizes, and a last one."""
    frames = []
    for size in sizes:
        frames.append(speech[:size])
        speech = speech[size:]
    return [*frames, speech]


async def test_audio_without_a_header_passes_unchanged() -> None:
    script = responds(SPEECH[:640], SPEECH[640:])
    async with websocket_transport(script) as (transport, pool, _):
        async with OneAttempt(transport) as stream:
            assert stream.format == PCM16_16K
            assert await chunks_of(stream) == [SPEECH[:640], SPEECH[640:]]
        await until_pool(pool, ONE_IDLE)


@pytest.mark.parametrize("sizes", [(), (44,), (1, 2, 9, 30), (12, 100), (47,), (1,) * 60])
async def test_a_header_of_unknown_length_is_removed_wherever_frames_cut_it(
    sizes: tuple[int, ...],
) -> None:
    frames = frames_of(wav_header(PCM16_16K, None) + SPEECH, *sizes)
    async with websocket_transport(responds(*frames)) as (transport, _, _):
        for _ in range(2):
            assert await speak(transport) == SPEECH


@pytest.mark.parametrize("requested", [PCM16_16K, AudioFormat("mulaw", 8000)])
@pytest.mark.parametrize(
    "given",
    [AudioFormat("pcm_s16le", 8000), AudioFormat("pcm_s16le", 24000), AudioFormat("mulaw", 8000)],
)
async def test_the_format_is_what_the_header_says_and_samples_are_of_its_size(
    requested: AudioFormat, given: AudioFormat
) -> None:
    frames = frames_of(wav_header(given, None) + SPEECH[:1001], 45, 7, 9)
    async with websocket_transport(responds(*frames)) as (transport, _, _):
        async with OneAttempt(transport, SpeechRequest("نعم", VOICE, requested)) as stream:
            assert stream.format == given
            chunks = await chunks_of(stream)
    assert all(len(chunk) % given.bytes_per_sample == 0 for chunk in chunks)
    assert b"".join(chunks) == SPEECH[: 1001 // given.bytes_per_sample * given.bytes_per_sample]


@pytest.mark.parametrize("sizes", [(1,), (1, 1, 1), (641, 1), (3, 5, 7, 2), (639, 2, 641)])
async def test_frames_that_split_a_sample_are_aligned(sizes: tuple[int, ...]) -> None:
    async with websocket_transport(responds(*frames_of(SPEECH, *sizes))) as (transport, _, _):
        async with OneAttempt(transport) as stream:
            chunks = await chunks_of(stream)
    assert all(chunk and len(chunk) % 2 == 0 for chunk in chunks)
    assert b"".join(chunks) == SPEECH


@pytest.mark.parametrize("frames", [[], [b""], [b"\x01"], [wav_header(PCM16_16K, None)]])
async def test_an_end_without_audio_is_incomplete_and_closes_the_socket(
    frames: list[bytes],
) -> None:
    async with websocket_transport(responds(*frames)) as (transport, pool, provider):
        with pytest.raises(errors.IncompleteAudioError):
            await speak(transport)
        await until_pool(pool, EMPTY)
        await provider.until_open(0)


async def test_a_silence_after_audio_is_a_timeout_and_closes_the_socket() -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, SPEECH)
        await stays_open(socket)

    async with websocket_transport(script, stall_timeout_s=0.03) as (transport, pool, _):
        received = await audio_before_error(transport, errors.ProviderTimeoutError)
        assert received == SPEECH
        await until_pool(pool, EMPTY)


async def test_a_slow_reader_is_no_silence_of_the_provider() -> None:
    loop = asyncio.get_running_loop()
    async with (
        websocket_transport(responds(SPEECH, SPEECH), stall_timeout_s=0.03) as (transport, _, _),
        OneAttempt(transport) as stream,
        aclosing(aiter(stream)) as chunks,  # type: ignore[type-var]  # it is a generator
    ):
        assert await anext(chunks) == SPEECH
        read_on_at = loop.time() + 0.06
        await until(lambda: loop.time() >= read_on_at)
        assert await anext(chunks) == SPEECH
