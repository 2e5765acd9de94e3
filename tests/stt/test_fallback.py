"""STT by the first transcriber that works, with transcribers that follow a script."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from app import errors
from app.audio import PCM16_16K
from app.stt.base import Transcriber, Utterance
from app.stt.fallback import FAILURES_TO_BE_DOWN, FallbackTranscriber
from tests.pipeline.fakes import BlockedTranscriber, FakeTranscriber

UTTERANCE = Utterance(b"\x00\x00" * 1600, PCM16_16K)
LOST = errors.ConnectionLostError("gone")

RETRYABLE = [
    errors.ConnectError("none"),
    LOST,
    errors.ProviderTimeoutError("silent"),
    errors.RateLimitedError("slow down", 60),
    errors.ProviderUnavailableError("503"),
    errors.ProtocolError("odd"),
    errors.PoolExhaustedError("none free"),
]
FINAL = [
    errors.AuthenticationError("key"),
    errors.QuotaExceededError("funds"),
    errors.RefusedError("too long"),
]


def in_turn(transcribers: Sequence[Transcriber], deadline_s: float = 30) -> FallbackTranscriber:
    return FallbackTranscriber(transcribers, deadline_s=deadline_s)


@dataclass
class CountingTranscriber(FakeTranscriber):
    """Counts how often it is warmed up and closed."""

    warmed: int = 0
    closed: int = 0

    async def warm_up(self) -> None:
        self.warmed += 1

    async def aclose(self) -> None:
        self.closed += 1


class SilentTranscriber(Transcriber):
    """Never returns."""

    name = "silent"

    def __init__(self) -> None:
        self.called = asyncio.Event()

    async def transcribe(self, utterance: Utterance) -> str:
        self.called.set()
        await asyncio.Event().wait()
        return ""


async def test_the_first_that_works_is_the_only_one_called() -> None:
    first, second = FakeTranscriber("الأول"), FakeTranscriber("الثاني")
    assert await in_turn([first, second]).transcribe(UTTERANCE) == "الأول"
    assert first.utterances == [UTTERANCE]
    assert second.utterances == []


@pytest.mark.parametrize("error", RETRYABLE, ids=lambda error: error.code)
async def test_another_is_called_when_the_first_fails(error: errors.ProviderError) -> None:
    first, second = FakeTranscriber(error), FakeTranscriber("نعم")
    assert await in_turn([first, second]).transcribe(UTTERANCE) == "نعم"
    assert second.utterances == [UTTERANCE]


@pytest.mark.parametrize("error", FINAL, ids=lambda error: error.code)
async def test_a_final_error_is_raised_at_once(error: errors.ProviderError) -> None:
    first, second = FakeTranscriber(error), FakeTranscriber("نعم")
    with pytest.raises(type(error)):
        await in_turn([first, second]).transcribe(UTTERANCE)
    assert second.utterances == []


@pytest.mark.parametrize("error", FINAL, ids=lambda error: error.code)
async def test_what_one_provider_refuses_another_is_asked(error: errors.ProviderError) -> None:
    by_socket, by_rest = FakeTranscriber(error), FakeTranscriber("لا")
    by_socket.provider = by_rest.provider = "hamsa"
    other = FakeTranscriber("نعم", name="other")
    assert await in_turn([by_socket, by_rest, other]).transcribe(UTTERANCE) == "نعم"
    assert by_rest.utterances == []


async def test_an_empty_transcript_is_no_failure() -> None:
    first, second = FakeTranscriber(""), FakeTranscriber("نعم")
    assert await in_turn([first, second]).transcribe(UTTERANCE) == ""
    assert second.utterances == []


async def test_when_all_fail_the_last_error_is_raised() -> None:
    last = errors.ProviderTimeoutError("silent")
    transcribers = [FakeTranscriber(LOST), FakeTranscriber(LOST), FakeTranscriber(last)]
    with pytest.raises(errors.ProviderTimeoutError) as caught:
        await in_turn(transcribers).transcribe(UTTERANCE)
    assert caught.value is last
    assert [len(each.utterances) for each in transcribers] == [1, 1, 1]


async def test_a_single_transcriber_is_called_once() -> None:
    alone = FakeTranscriber(LOST)
    with pytest.raises(errors.ConnectionLostError):
        await in_turn([alone]).transcribe(UTTERANCE)
    assert len(alone.utterances) == 1


async def test_when_cancelled_it_calls_no_other() -> None:
    first, second = SilentTranscriber(), FakeTranscriber("نعم")
    task = asyncio.create_task(in_turn([first, second]).transcribe(UTTERANCE))
    await first.called.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert second.utterances == []


async def test_all_transcribers_share_one_deadline() -> None:
    first, second = FakeTranscriber(LOST), SilentTranscriber()
    with pytest.raises(errors.ProviderTimeoutError):
        await in_turn([first, second], deadline_s=0.03).transcribe(UTTERANCE)
    assert second.called.is_set()


async def test_it_warms_up_the_first_and_closes_all() -> None:
    transcribers = [CountingTranscriber(), CountingTranscriber()]
    fallback = in_turn(transcribers)
    await fallback.warm_up()
    await fallback.aclose()
    assert [(each.warmed, each.closed) for each in transcribers] == [(1, 1), (0, 1)]


async def transcribe_with(transcriber: FallbackTranscriber) -> None:
    with contextlib.suppress(errors.ProviderError):
        await transcriber.transcribe(UTTERANCE)


async def test_a_transcriber_that_is_down_is_told_once_and_its_failures_at_debug() -> None:
    script = FakeTranscriber(errors.ProviderTimeoutError("silent"), "first")
    transcriber = in_turn([script, FakeTranscriber("نعم", "second")])
    with capture_logs() as lines:
        for _ in range(FAILURES_TO_BE_DOWN + 1):
            await transcribe_with(transcriber)
        script.transcript = "نعم"
        await transcribe_with(transcriber)
    told = [
        (line["log_level"], line["event"], line.get("outcome"))
        for line in lines
        if "first" in (line.get("transport"), line.get("transcriber"))
    ]
    assert told == [
        *[("info", "transcription", "failed")] * FAILURES_TO_BE_DOWN,
        ("warning", "transcriber is down", None),
        ("debug", "transcription", "failed"),
        ("debug", "transcriber is down", None),
        ("info", "transcription", "done"),
        ("info", "transcriber works again", None),
    ]


@pytest.mark.parametrize("error", [errors.RefusedError("too long"), errors.PoolExhaustedError("")])
async def test_what_is_no_fault_of_the_transcriber_does_not_count(
    error: errors.ProviderError,
) -> None:
    transcriber = in_turn([FakeTranscriber(error)])
    with capture_logs() as lines:
        for _ in range(2 * FAILURES_TO_BE_DOWN):
            await transcribe_with(transcriber)
    assert {line["event"] for line in lines} == {"transcription"}


async def test_a_transcription_that_is_cancelled_is_abandoned() -> None:
    blocked = BlockedTranscriber()
    with capture_logs() as lines:
        task = asyncio.create_task(in_turn([blocked]).transcribe(UTTERANCE))
        await blocked.until_requested()
        task.cancel()
        await asyncio.wait([task])
    assert [(line["event"], line["outcome"]) for line in lines] == [("transcription", "abandoned")]
