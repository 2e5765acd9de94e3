"""The first route to a transcript that works, by transcribers that follow a script."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from app import errors
from app.audio import PCM16_16K
from app.stt.base import Transcriber, Utterance
from app.stt.fallback import FallbackTranscriber
from tests.pipeline.fakes import FakeTranscriber

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


def in_turn(routes: Sequence[Transcriber], deadline_s: float = 30) -> FallbackTranscriber:
    return FallbackTranscriber(routes, deadline_s=deadline_s)


@dataclass
class Kept(FakeTranscriber):
    """Tells what is done to it besides."""

    warmed: int = 0
    closed: int = 0

    async def warm_up(self) -> None:
        self.warmed += 1

    async def aclose(self) -> None:
        self.closed += 1


class Silent(Transcriber):
    """Never answers."""

    name = "silent"

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def transcribe(self, utterance: Utterance) -> str:
        self.asked.set()
        await asyncio.Event().wait()
        return ""


async def test_the_first_that_works_is_the_only_one_asked() -> None:
    first, second = FakeTranscriber("الأول"), FakeTranscriber("الثاني")
    assert await in_turn([first, second]).transcribe(UTTERANCE) == "الأول"
    assert first.utterances == [UTTERANCE]
    assert second.utterances == []


@pytest.mark.parametrize("error", RETRYABLE, ids=lambda error: error.code)
async def test_another_is_asked_when_the_first_fails(error: errors.ProviderError) -> None:
    first, second = FakeTranscriber(error), FakeTranscriber("نعم")
    assert await in_turn([first, second]).transcribe(UTTERANCE) == "نعم"
    assert second.utterances == [UTTERANCE]


@pytest.mark.parametrize("error", FINAL, ids=lambda error: error.code)
async def test_a_final_error_is_told_at_once(error: errors.ProviderError) -> None:
    first, second = FakeTranscriber(error), FakeTranscriber("نعم")
    with pytest.raises(type(error)):
        await in_turn([first, second]).transcribe(UTTERANCE)
    assert second.utterances == []


async def test_silence_is_an_answer_and_no_failure() -> None:
    first, second = FakeTranscriber(""), FakeTranscriber("نعم")
    assert await in_turn([first, second]).transcribe(UTTERANCE) == ""
    assert second.utterances == []


async def test_when_none_works_the_last_one_s_error_is_told() -> None:
    last = errors.ProviderTimeoutError("silent")
    routes = [FakeTranscriber(LOST), FakeTranscriber(LOST), FakeTranscriber(last)]
    with pytest.raises(errors.ProviderTimeoutError) as told:
        await in_turn(routes).transcribe(UTTERANCE)
    assert told.value is last
    assert [len(route.utterances) for route in routes] == [1, 1, 1]


async def test_one_alone_is_asked_once() -> None:
    alone = FakeTranscriber(LOST)
    with pytest.raises(errors.ConnectionLostError):
        await in_turn([alone]).transcribe(UTTERANCE)
    assert len(alone.utterances) == 1


async def test_cancelled_it_asks_nobody_else() -> None:
    first, second = Silent(), FakeTranscriber("نعم")
    asking = asyncio.create_task(in_turn([first, second]).transcribe(UTTERANCE))
    await first.asked.wait()
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()
    assert second.utterances == []


async def test_all_that_are_asked_share_one_deadline() -> None:
    first, second = FakeTranscriber(LOST), Silent()
    with pytest.raises(errors.ProviderTimeoutError):
        await in_turn([first, second], deadline_s=0.03).transcribe(UTTERANCE)
    assert second.asked.is_set()


async def test_it_warms_the_first_and_closes_all() -> None:
    routes = [Kept(), Kept()]
    fallback = in_turn(routes)
    await fallback.warm_up()
    await fallback.aclose()
    assert [(route.warmed, route.closed) for route in routes] == [(1, 1), (0, 1)]
