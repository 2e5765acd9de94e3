"""Plays the sentences of a turn, in order, as they are made."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from app.audio import AudioFormat, Converter
from app.errors import ProviderError
from app.pipeline import events
from app.pipeline.timeline import SentenceMetrics, Timeline
from app.transports.base import Language, LateAudio, SpeechRequest, TTSTransport, Voice


@dataclass(frozen=True, slots=True)
class SpeechStyle:
    """How this client wants to be spoken to."""

    voice: Voice
    format: AudioFormat
    language: Language


class Speech:
    """Speaks one turn: asks the transport, converts, and emits.

    A sentence that cannot be spoken is reported, and the next one is spoken all the same.
    """

    def __init__(
        self,
        turn: int,
        transport: TTSTransport,
        style: SpeechStyle,
        timeline: Timeline,
        emit: events.Emit,
    ) -> None:
        self._turn = turn
        self._transport = transport
        self._style = style
        self._timeline = timeline
        self._emit = emit
        self._sentence: SentenceMetrics | None = None
        self._late: LateAudio | None = None
        self._converter: Converter | None = None

    async def say(self, sentences: AsyncIterator[str]) -> None:
        """Speak sentences until there are no more, and what comes late of the last one."""
        async for text in sentences:
            try:
                await self._say_one(text)
            except ProviderError as error:
                await self._emit(events.Failed(error, self._turn))
        if self._late is not None:
            await self._late.settled()
        await self._end_sentence()

    async def _say_one(self, text: str) -> None:
        sentence = self._timeline.sentence(text)
        request = SpeechRequest(text, self._style.voice, self._style.format, self._style.language)
        sentence.attempts = request.attempts
        if self._timeline.metrics.first_audio_ms is None:
            await self._emit(events.Status("speaking", self._turn))
        async with self._transport.synthesize(request) as stream:
            await self._end_sentence()
            self._sentence = sentence
            self._converter = Converter(stream.format, self._style.format)
            await self._begin_sentence(sentence)
            async for chunk in stream:
                await self._play(self._converter.feed(chunk))
            self._late = stream.late

    async def _begin_sentence(self, sentence: SentenceMetrics) -> None:
        metrics = self._timeline.metrics
        if metrics.first_audio_ms is None:
            now = asyncio.get_running_loop().time()
            metrics.first_audio_ms = self._timeline.since_start_ms(now)
            await self._emit(events.SpeechStarted(self._turn, self._style.format))
        await self._emit(events.SentenceStarted(self._turn, sentence.index, sentence.text))

    async def _end_sentence(self) -> None:
        """Play what came late of the sentence before, as its turn passes now."""
        if self._converter is None:
            return
        late = self._late.take() if self._late is not None else b""
        await self._play(self._converter.feed(late) + self._converter.flush())
        self._late = self._converter = None

    async def _play(self, data: bytes) -> None:
        if data:
            assert self._sentence is not None
            self._sentence.audio_ms += self._style.format.duration_ms(len(data))
            await self._emit(events.AudioChunk(self._turn, data))
