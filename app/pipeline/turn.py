"""One turn: speech to text, the agent, sentences, text to speech, all streaming."""

import asyncio
from collections.abc import AsyncIterator

import structlog

from app.agents.base import AgentRequest
from app.audio import PCM16_16K
from app.errors import AgentError, InternalError, NabraError, NoSpeechError
from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.playout import Playout, SpeechStyle
from app.pipeline.timeline import Timeline
from app.pipeline.token_batcher import TokenBatcher
from app.pipeline.user_input import EncodedUtterance, StreamedUtterance, UserInput
from app.stt.base import Utterance
from app.text.sentence_splitter import SentenceSplitter
from app.text.speakable import is_speakable
from app.text.tts_text import tts_text

log = structlog.get_logger(__name__)

MAX_WAITING_SENTENCES = 64
"""Sentences written but not yet spoken; some minutes of speech. Beyond it the agent is not read."""


class Turn:
    """Takes one utterance or typed text through all stages."""

    def __init__(
        self,
        number: int,
        session_id: str,
        components: PipelineComponents,
        style: SpeechStyle,
        emit: events.Emit,
        *,
        user_input: UserInput,
        interrupted_text: str | None = None,
    ) -> None:
        self.number = number
        self.interrupted_text = interrupted_text
        """What was heard of the answer that this turn's user spoke over; None if there was none."""
        self.agent_requested = False
        """Whether the agent was asked, and so told of that."""
        self.timeline = Timeline(asyncio.get_running_loop().time() - _silence_s(user_input))
        self.is_finished = False
        self._has_begun = False
        self._session_id = session_id
        self._components = components
        self._style = style
        self._emit_event = emit
        self._agent_error: AgentError | None = None
        self._user_input = user_input
        self._logged: dict[str, str] = {}
        """What was said, for the log, if it may hold that."""

    def mute(self) -> None:
        """Let no event of this turn leave any more, and give up what others do for it."""
        self.is_finished = True
        if not self._has_begun:
            self._log("interrupted")  # cancelled before its first step, `run` never will
        if (
            isinstance(self._user_input, StreamedUtterance)
            and self._user_input.speculative is not None
        ):
            self._user_input.speculative.discard()

    async def run(self) -> None:
        """Answer what was said. Failures are told to the client; the turn ends in `TurnDone`."""
        outcome = "interrupted"
        self._has_begun = True
        try:
            outcome = await self._answer()
            self.timeline.metrics.total_ms = self._now_ms()
            await self._emit(events.TurnDone(self.number, self.timeline.metrics))
        finally:
            self._log(outcome)

    async def _answer(self) -> str:
        """Take what was said through the stages; return how that ended."""
        try:
            text = await self._user_text()
            self._record("heard", text)
            await self._respond(text)
            if self._agent_error is not None:
                raise self._agent_error
        except NabraError as error:
            await self._emit(events.Failed(error, self.number))
            return error.code
        except Exception:
            log.exception("turn failed", session=self._session_id, turn=self.number)
            await self._emit(events.Failed(InternalError(), self.number))
            return InternalError.code
        return "done"

    async def _user_text(self) -> str:
        """Return what was said, and let go of its audio: the turn is kept until the next one."""
        user_input = self._user_input
        if isinstance(user_input, str):
            return user_input
        try:
            return await self._transcribe(user_input)
        finally:
            self._user_input = ""

    async def _transcribe(self, user_input: EncodedUtterance | StreamedUtterance) -> str:
        await self._emit(events.Status("transcribing", self.number))
        text = await self._early_transcript(user_input)
        if text is None:
            utterance = Utterance(await self._pcm(user_input), PCM16_16K, self._style.language)
            text = await self._components.transcriber.transcribe(utterance)
        self.timeline.metrics.stt_ms = self._now_ms()
        if not text:
            raise NoSpeechError("the transcript is empty")
        await self._emit(events.Transcribed(self.number, text))
        return text

    async def _early_transcript(
        self, user_input: EncodedUtterance | StreamedUtterance
    ) -> str | None:
        if isinstance(user_input, EncodedUtterance):
            return None
        self.timeline.metrics.endpointing_ms = user_input.silence_s * 1000
        return await user_input.speculative.text() if user_input.speculative is not None else None

    async def _pcm(self, user_input: EncodedUtterance | StreamedUtterance) -> bytes:
        if isinstance(user_input, StreamedUtterance):
            return user_input.pcm
        return await self._components.decoder.decode(user_input.data, self._session_id)

    async def _respond(self, text: str) -> None:
        """Let the agent write, and speak each sentence as soon as it is written."""
        await self._emit(events.Status("thinking", self.number))
        sentences: asyncio.Queue[str | None] = asyncio.Queue(MAX_WAITING_SENTENCES)
        speech = Playout(
            self.number,
            self._components.transports.get(self._style.transport, self._components.transport),
            self._style,
            self.timeline,
            self._emit,
            lookahead=self._components.lookahead,
            metrics=self._components.metrics,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run_agent(text, sentences), name="think")
            tasks.create_task(speech.say(_until_none(sentences)), name="speak")

    async def _run_agent(self, text: str, sentences: asyncio.Queue[str | None]) -> None:
        if (
            self.is_finished
        ):  # interrupted a moment ago, and the session counts on what `asked` said then
            await sentences.put(None)
            return
        interrupted, heard = self.interrupted_text is not None, self.interrupted_text or ""
        request = AgentRequest(text, self._session_id, interrupted, heard)
        splitter = SentenceSplitter(first_chars=self._components.first_chunk_min_chars)
        tokens = TokenBatcher(lambda piece: self._emit(events.Token(self.number, piece)))
        answer: list[str] = []
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(tokens.run(), name="tokens")
            try:
                self.agent_requested = True
                async with self._components.agent.answer(request) as pieces:
                    async for piece in pieces:
                        if not answer:
                            self.timeline.metrics.agent_first_token_ms = self._now_ms()
                        answer.append(piece)
                        tokens.put(piece)
                        await self._queue_sentences(splitter.feed(piece), sentences)
            except AgentError as error:
                self._agent_error = error  # told when what came before it has been spoken
            self.timeline.metrics.agent_done_ms = self._now_ms()
            await self._queue_sentences(splitter.flush(), sentences)
            tokens.end()
        if answer:
            self._record("answered", "".join(answer))
            await self._emit(events.AgentResponded(self.number, "".join(answer)))
        await sentences.put(None)

    async def _queue_sentences(
        self, texts: list[str], sentences: asyncio.Queue[str | None]
    ) -> None:
        for text in texts:
            if not is_speakable(tts_text(text)):
                continue
            if self.timeline.metrics.first_sentence_ms is None:
                self.timeline.metrics.first_sentence_ms = self._now_ms()
            await sentences.put(text)

    def _record(self, what: str, words: str) -> None:
        if self._components.log_transcripts:
            self._logged[what] = words

    async def _emit(self, event: events.Event) -> None:
        if self.is_finished:
            return
        try:
            await self._emit_event(event)
        except events.ClientGoneError:
            self.is_finished = True  # the session learns it too, and cancels this turn

    def _now_ms(self) -> float:
        return self.timeline.since_start_ms(asyncio.get_running_loop().time())

    def _log(self, outcome: str) -> None:
        """Write the one line that tells this turn: all latencies, and no words unless allowed."""
        metrics = self.timeline.metrics
        log.info(
            "turn",
            session=self._session_id,
            turn=self.number,
            outcome=outcome,
            endpointing_ms=_rounded(metrics.endpointing_ms),
            stt_ms=_rounded(metrics.stt_ms),
            agent_first_token_ms=_rounded(metrics.agent_first_token_ms),
            first_sentence_ms=_rounded(metrics.first_sentence_ms),
            first_audio_ms=_rounded(metrics.first_audio_ms),
            agent_done_ms=_rounded(metrics.agent_done_ms),
            total_ms=_rounded(metrics.total_ms),
            sentences=len(metrics.sentences),
            attempts=sum(len(sentence.attempts) for sentence in metrics.sentences),
            faults=[fault for sentence in metrics.sentences for fault in sentence.faults],
            **self._logged,
        )


def _rounded(ms: float | None) -> int | None:
    return None if ms is None else round(ms)


def _silence_s(user_input: UserInput) -> float:
    return user_input.silence_s if isinstance(user_input, StreamedUtterance) else 0.0


async def _until_none(queue: asyncio.Queue[str | None]) -> AsyncIterator[str]:
    while (item := await queue.get()) is not None:
        yield item
