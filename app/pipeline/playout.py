"""Plays the sentences of a turn in order, and prefetches the next ones meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable

import structlog

from app.audio import AudioFormat, Converter
from app.errors import ProviderError
from app.pipeline import events
from app.pipeline.audio_buffer import AudioBuffer
from app.pipeline.quota import Quota, Unlimited
from app.pipeline.session_config import SpeechStyle
from app.pipeline.timeline import SentenceMetrics, Timeline
from app.text.tts_text import SentenceText
from app.transports.base import SpeechRequest, SpeechSynthesizer, TrailingAudio, Urgency

JITTER_MARGIN_S = 0.2
"""Audio that the client must have left after a wait for trailing audio: covers network jitter."""


COMFORTABLE_S = 1.0
"""Audio that the client has yet to play, beyond which it need not have more at once: five times
`JITTER_MARGIN_S`; chosen."""

MESSAGE_S = 0.5
"""Audio that is then sent in one message. A provider's pieces are shorter and come faster than they
play (`docs/hamsa.md`, Timing), and a message costs far more than its bytes."""


class Sentence:
    """One sentence, from its request to the end of its audio."""

    def __init__(
        self, metrics: SentenceMetrics, request: SpeechRequest, hold: Callable[[int], None]
    ) -> None:
        self.metrics = metrics
        self.audio = AudioBuffer(hold=hold)
        self.trailing: TrailingAudio | None = None
        """Audio that arrives after the end of the stream, where the transport can have any."""
        self.urgency = Urgency(is_needed_now=False)
        """Raised when all sentences before this one have been sent to the client."""
        self._converter: Converter | None = None
        self._request = request

    async def synthesize(self, synthesizer: SpeechSynthesizer, format: AudioFormat) -> None:
        """Request the audio, and fill the buffer with it in `format`; a task of its own."""
        structlog.contextvars.bind_contextvars(sentence=self.metrics.index)
        speech = synthesizer.synthesize(self._request, self.urgency)
        self.metrics.attempts = speech.attempts
        try:
            async with speech as stream:
                self._converter = converter = Converter(stream.format, format)
                async for chunk in stream:
                    data = converter.feed(chunk) if converter.converts else chunk
                    if data:
                        await self.audio.put(data)
                self.trailing = stream.trailing
        except ProviderError as error:
            self.audio.end(error)
        else:
            self.audio.end()

    def take_trailing_audio(self) -> bytes:
        """Return the trailing audio that has arrived, and what the converter still holds.

        What arrives later is dropped: the next sentence starts.
        """
        if self._converter is None:
            return b""
        trailing = self.trailing.drain() if self.trailing is not None else b""
        return self._converter.feed(trailing) + self._converter.flush()


class Playout:
    """Sends the speech of one turn. Up to `lookahead` sentences are prefetched while one is sent.

    A sentence that fails is reported to the client, and the next one follows.
    """

    def __init__(
        self,
        turn: int,
        synthesizer: SpeechSynthesizer,
        style: SpeechStyle,
        timeline: Timeline,
        emit: events.Emit,
        *,
        lookahead: int = 1,
        quota: Quota | None = None,
    ) -> None:
        self._turn = turn
        self._synthesizer = synthesizer
        self._style = style
        self._timeline = timeline
        self._emit = emit
        self._quota = quota or Unlimited()
        self._sentences: list[Sentence] = []
        self._now = asyncio.get_running_loop().time
        self._bytes_per_second = style.format.bytes_per_second
        self._message_bytes = int(MESSAGE_S * self._bytes_per_second)
        self._prefetch_slots = asyncio.Semaphore(1 + lookahead)
        self._last_started: Sentence | None = None
        """The last sentence that had audio, while its trailing audio may still be sent."""

    async def play(self, texts: AsyncIterator[SentenceText]) -> None:
        """Play all sentences, and the trailing audio of the last one."""
        try:
            await self._play(texts)
        finally:
            for sentence in self._sentences:
                sentence.audio.clear()  # of an interrupted turn: nobody will take it

    async def _play(self, texts: AsyncIterator[SentenceText]) -> None:
        sentences: asyncio.Queue[Sentence | None] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._synthesize_all(texts, sentences, tasks), name="synthesis")
            while (sentence := await sentences.get()) is not None:
                sentence.urgency.set_needed_now()
                await self._play_sentence(sentence)
                self._prefetch_slots.release()
            if (last := self._last_started) is not None:
                if last.trailing is not None:
                    await last.trailing.wait_closed()
                await self._end_sentence(last)

    async def _synthesize_all(
        self,
        texts: AsyncIterator[SentenceText],
        sentences: asyncio.Queue[Sentence | None],
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Start the synthesis of each sentence as soon as a prefetch slot is free.

        It is queued before its task starts: if no other sentence is being played, `play` then marks
        it as needed now before its request is made, and it is not taken for a prefetch.
        """
        async for text in texts:
            await self._prefetch_slots.acquire()
            metrics = self._timeline.add_sentence(text.displayed, self._now())
            if metrics.index == 0:
                await self._emit(events.Status("speaking", self._turn))
            sentence = Sentence(metrics, self._request_for(text), self._quota.hold_audio)
            self._sentences.append(sentence)
            sentences.put_nowait(sentence)
            tasks.create_task(
                sentence.synthesize(self._synthesizer, self._style.format),
                name=f"sentence-{metrics.index}",
            )
        sentences.put_nowait(None)

    def _request_for(self, text: SentenceText) -> SpeechRequest:
        style = self._style
        return SpeechRequest(
            text.spoken, style.voice, style.format, style.language, text.speakable_chars
        )

    async def _play_sentence(self, sentence: Sentence) -> None:
        try:
            async for chunk in sentence.audio:
                is_first = self._last_started is not sentence
                if is_first:
                    await self._start_sentence(sentence)
                await self._emit_audio(sentence, chunk)
                if is_first and sentence.metrics.index == 0:
                    self._timeline.on_first_audio_sent(sentence.metrics, self._now())
                spare_s = self._timeline.buffered_ms(self._now()) / 1000 - COMFORTABLE_S
                if spare_s > 0:
                    await sentence.audio.gather(self._message_bytes, spare_s)
            sentence.metrics.is_sent = True
        except ProviderError as error:
            sentence.metrics.error = error
            await self._emit(events.Failed(error, self._turn))
        sentence.metrics.ended_at = self._now()
        if self._last_started is sentence and sentence.trailing is None:
            await self._end_sentence(sentence)

    async def _start_sentence(self, sentence: Sentence) -> None:
        """Send the trailing audio of the sentence before this one, and announce this one.

        Called at the first audio of a sentence. A sentence that has none is never announced, and
        does not end the wait for the trailing audio of the one before it.
        """
        if (previous := self._last_started) is not None:
            await self._wait_for_trailing(previous)
            await self._end_sentence(previous)
        self._last_started = sentence
        metrics = self._timeline.metrics
        if metrics.first_audio_ms is None:
            metrics.first_audio_ms = self._timeline.since_start_ms(self._now())
            await self._emit(events.PlayoutStarted(self._turn, self._style.format))
        text = sentence.metrics.text
        await self._emit(events.SentenceStarted(self._turn, sentence.metrics.index, text))

    async def _end_sentence(self, sentence: Sentence) -> None:
        """Send the trailing audio that has arrived, and report that no more of it follows."""
        await self._emit_audio(sentence, sentence.take_trailing_audio())
        metrics = sentence.metrics
        await self._emit(events.SentenceEnded(self._turn, metrics.index, metrics.audio_ms))
        self._last_started = None

    async def _wait_for_trailing(self, sentence: Sentence) -> None:
        """Wait for trailing audio as long as the client has enough audio left to play."""
        spare_s = self._timeline.buffered_ms(self._now()) / 1000 - JITTER_MARGIN_S
        if sentence.trailing is None or spare_s <= 0:
            return
        try:
            async with asyncio.timeout(spare_s):
                await sentence.trailing.wait_closed()
        except TimeoutError:
            return

    async def _emit_audio(self, sentence: Sentence, data: bytes) -> None:
        if data:
            audio_ms = len(data) * 1000 / self._bytes_per_second
            self._timeline.on_audio_sent(sentence.metrics, audio_ms, self._now())
            await self._emit(events.AudioChunk(self._turn, data))
