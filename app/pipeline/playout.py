"""Plays the sentences of a turn in order, while the next ones are already being made."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from app.audio import AudioFormat, Converter
from app.errors import ProviderError
from app.pipeline import events
from app.pipeline.audio_buffer import AudioBuffer
from app.pipeline.timeline import SentenceMetrics, Timeline
from app.telemetry.speech_metrics import SpeechMetrics
from app.text.tts_text import tts_text
from app.transports.base import SpeechRequest, TrailingAudio, TTSTransport
from app.types import Language, Voice

MARGIN_S = 0.2
"""Audio that the client must have left before anything is waited for: a network's jitter."""


@dataclass(frozen=True, slots=True)
class SpeechStyle:
    """How this client wants to be spoken to."""

    voice: Voice
    format: AudioFormat
    language: Language
    transport: str = ""
    """The way chosen by name, where that may be chosen."""


class Sentence:
    """One sentence on its way: what is asked for, and what has come of it."""

    def __init__(self, metrics: SentenceMetrics, request: SpeechRequest) -> None:
        self.metrics = metrics
        self.audio = AudioBuffer()
        self.converter: Converter | None = None
        self.trailing: TrailingAudio | None = None
        self.needed_now = asyncio.Event()
        """Set when its turn to be played has come."""
        self._request = replace(request, needed_now=self.needed_now)
        metrics.attempts = self._request.attempts

    async def synthesize(self, transport: TTSTransport, format: AudioFormat) -> None:
        """Ask for the audio, and fill the buffer with it in `format`."""
        try:
            async with transport.synthesize(self._request) as stream:
                self.converter = Converter(stream.format, format)
                async for chunk in stream:
                    if data := self.converter.feed(chunk):
                        await self.audio.put(data)
                self.trailing = stream.trailing
        except ProviderError as error:
            self.audio.end(error)
        else:
            self.audio.end()

    def rest(self) -> bytes:
        """Return what came late and what the converter holds: the sentence's turn passes now."""
        if self.converter is None:
            return b""
        trailing = self.trailing.drain() if self.trailing is not None else b""
        return self.converter.feed(trailing) + self.converter.flush()


class Playout:
    """Speaks one turn. Up to `lookahead` sentences are made ahead of the one that is played.

    A sentence that cannot be spoken is reported, and the next one is spoken all the same.
    """

    def __init__(
        self,
        turn: int,
        transport: TTSTransport,
        style: SpeechStyle,
        timeline: Timeline,
        emit: events.Emit,
        *,
        lookahead: int = 1,
        metrics: SpeechMetrics | None = None,
    ) -> None:
        self._turn = turn
        self._metrics = metrics or SpeechMetrics()
        self._transport = transport
        self._style = style
        self._timeline = timeline
        self._emit = emit
        self._prefetch_slots = asyncio.Semaphore(1 + lookahead)

    async def say(self, texts: AsyncIterator[str]) -> None:
        """Speak sentences until there are no more, and what comes late of the last one."""
        sentences: asyncio.Queue[Sentence | None] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._make_all(texts, sentences, tasks), name="make")
            last: Sentence | None = None
            while (sentence := await sentences.get()) is not None:
                sentence.needed_now.set()
                last = await self._play(sentence, after=last)
                self._prefetch_slots.release()
            if last is not None:
                if last.trailing is not None:
                    await last.trailing.wait_closed()
                await self._emit_audio(last, last.rest())

    async def _make_all(
        self,
        texts: AsyncIterator[str],
        sentences: asyncio.Queue[Sentence | None],
        tasks: asyncio.TaskGroup,
    ) -> None:
        async for text in texts:
            await self._prefetch_slots.acquire()
            metrics = self._timeline.sentence(text)
            if metrics.index == 0:
                await self._emit(events.Status("speaking", self._turn))
            request = SpeechRequest(
                tts_text(text),
                self._style.voice,
                self._style.format,
                self._style.language,
                metrics=self._metrics,
            )
            sentence = Sentence(metrics, request)
            # Before its task: when nothing else is played it is due, and must know that as it asks.
            sentences.put_nowait(sentence)
            tasks.create_task(
                sentence.synthesize(self._transport, self._style.format),
                name=f"sentence-{metrics.index}",
            )
        sentences.put_nowait(None)

    async def _play(self, sentence: Sentence, *, after: Sentence | None) -> Sentence | None:
        """Play one sentence; return the one whose late audio may still be played."""
        playing = after
        try:
            async for chunk in sentence.audio:
                if playing is not sentence:
                    await self._begin(sentence, after=after)
                    playing = sentence
                await self._emit_audio(sentence, chunk)
        except ProviderError as error:
            await self._emit(events.Failed(error, self._turn))
        return playing

    async def _begin(self, sentence: Sentence, *, after: Sentence | None) -> None:
        if after is not None:
            await self._wait_for_trailing(after)
            await self._emit_audio(after, after.rest())
        metrics = self._timeline.metrics
        if metrics.first_audio_ms is None:
            now = asyncio.get_running_loop().time()
            metrics.first_audio_ms = self._timeline.since_start_ms(now)
            await self._emit(events.PlayoutStarted(self._turn, self._style.format))
        text = sentence.metrics.text
        await self._emit(events.SentenceStarted(self._turn, sentence.metrics.index, text))

    async def _wait_for_trailing(self, sentence: Sentence) -> None:
        """Wait for audio that comes late, as long as the client has enough left to play."""
        now = asyncio.get_running_loop().time()
        spare_s = self._timeline.buffered_ms(now) / 1000 - MARGIN_S
        if sentence.trailing is None or spare_s <= 0:
            return
        try:
            async with asyncio.timeout(spare_s):
                await sentence.trailing.wait_closed()
        except TimeoutError:
            return

    async def _emit_audio(self, sentence: Sentence, data: bytes) -> None:
        if data:
            audio_ms = self._style.format.duration_ms(len(data))
            self._timeline.sent(sentence.metrics, audio_ms, asyncio.get_running_loop().time())
            await self._emit(events.AudioChunk(self._turn, data))
