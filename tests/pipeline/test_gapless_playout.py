"""No gap within a response, in virtual time: agent and provider are as slow as was measured."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from app.agents.base import Agent, AgentRequest
from app.audio import PCM16_16K
from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.session import Session
from app.simulator.agent_plan import split_into_tokens
from app.simulator.transcripts import built_in_lines, canned_response
from app.text.sentence_splitter import FIRST_CHARS, MIN_CHARS
from app.transports.base import AudioStream, LeaseTerms, SpeechRequest, TTSTransport
from tests import virtual_time
from tests.pipeline.fakes import STYLE, FakeTranscriber
from tests.text.sentence_corpus import CHUNKS
from tests.transports.fakes import PlainSynthesizer

FIRST_WORD_S = 1.0
WORD_S = 0.11  # a response of four sentences, some 50 words, took 6.4 s
FIRST_AUDIO_S = 0.44
TIMES_REALTIME = 3
CHAR_S = 0.1

RESPONSES = [
    *(canned_response(line) for line in built_in_lines()),
    *(text.replace("¦", "") for text in CHUNKS["the first clause"]),
    "أهلاً وسهلاً بك في خدمة العملاء. شحنتك وصلت إلى مدينة الرياض صباح اليوم. هل من شيء آخر؟",
    "للأسف لا نستطيع التسليم خارج المدينة حالياً، لكن يمكنك استلامها من أقرب فرع لك خلال يومين.",
]


class PacedAgent(Agent):
    """Writes its response a word at a time."""

    name = "paced"

    def __init__(self, response: str) -> None:
        self._response = response

    @asynccontextmanager
    async def answer(self, request: AgentRequest) -> AsyncIterator[AsyncIterator[str]]:
        yield self._write()

    async def _write(self) -> AsyncIterator[str]:
        await asyncio.sleep(FIRST_WORD_S)
        for piece in split_into_tokens(self._response):
            if piece:  # now and then a model sends one without text, which takes its time too
                yield piece
            await asyncio.sleep(WORD_S)


@dataclass
class PacedStream(AudioStream):
    """Audio that arrives faster than it plays."""

    text: str
    format = PCM16_16K

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in filter(str.isalnum, self.text):
            yield bytes(round(CHAR_S * 32_000))
            await asyncio.sleep(CHAR_S / TIMES_REALTIME)


class PacedTransport(TTSTransport):
    """Synthesizes like the provider: a socket has one request in flight."""

    name = "paced"

    def __init__(self, sockets: int) -> None:
        self._sockets = asyncio.Semaphore(sockets)

    @asynccontextmanager
    async def synthesize(
        self, request: SpeechRequest, terms: LeaseTerms
    ) -> AsyncIterator[AudioStream]:
        async with self._sockets:
            await asyncio.sleep(FIRST_AUDIO_S)
            yield PacedStream(request.text)


@dataclass
class Player:
    """A client that plays in real time from the first audio on."""

    gaps_s: list[float] = field(default_factory=list)
    """The gap before each sentence after the first."""
    texts: list[str] = field(default_factory=list)
    first_audio_s: float = 0.0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    _buffer_empty_at: float = 0.0
    _starts_sentence: bool = False

    async def emit(self, event: events.Event) -> None:
        now = asyncio.get_running_loop().time()
        if isinstance(event, events.SentenceStarted):
            self.texts.append(event.text)
            self._starts_sentence = True
        elif isinstance(event, events.AudioChunk):
            if self._starts_sentence and len(self.texts) > 1:
                self.gaps_s.append(max(0.0, now - self._buffer_empty_at))
            elif self._starts_sentence:
                self.first_audio_s = now
            self._starts_sentence = False
            self._buffer_empty_at = max(now, self._buffer_empty_at) + len(event.data) / 32_000
        elif isinstance(event, events.TurnDone):
            self.done.set()


def play(response: str, *, sockets: int, first_chars: int) -> Player:
    """Run a turn with this response in virtual time."""
    return virtual_time.run(_play(response, sockets=sockets, first_chars=first_chars))


async def _play(response: str, *, sockets: int, first_chars: int) -> Player:
    player = Player()
    components = PipelineComponents(
        FakeTranscriber(),
        PacedAgent(response),
        PlainSynthesizer(PacedTransport(sockets)),
        max_utterance_s=120,
        lookahead=1,
        first_chunk_min_chars=first_chars,
    )
    async with Session("s", components, STYLE, player.emit) as session:
        await session.start_turn("أين شحنتي؟")
        await player.done.wait()
    return player


@pytest.mark.parametrize("sockets", [1, 2])
@pytest.mark.parametrize("first_chars", [0, FIRST_CHARS])
@pytest.mark.parametrize("response", RESPONSES, ids=[response[:24] for response in RESPONSES])
def test_the_buffer_of_a_client_is_never_empty_between_two_sentences(
    response: str, first_chars: int, sockets: int
) -> None:
    player = play(response, sockets=sockets, first_chars=first_chars)
    assert " ".join(player.texts) == response
    assert player.gaps_s == [0.0] * (len(player.texts) - 1)


def test_some_responses_begin_with_a_clause_and_a_short_rest_of_its_sentence() -> None:
    rests = []
    for response in RESPONSES:
        texts = play(response, sockets=2, first_chars=FIRST_CHARS).texts
        if texts[0][-1] in "،؛:–" and len(texts) > 2:
            rests.append(len(texts[1]))
    assert min(rests) < MIN_CHARS
    assert len(rests) >= 4


def test_the_first_clause_is_played_a_fifth_earlier_than_its_sentence() -> None:
    """From the request to the agent on; where a response begins with a clause."""
    for response in (canned_response(line) for line in built_in_lines()):
        clause, whole = (
            play(response, sockets=2, first_chars=first_chars) for first_chars in (FIRST_CHARS, 0)
        )
        if clause.texts[0] != whole.texts[0]:
            assert clause.first_audio_s < 0.8 * whole.first_audio_s
