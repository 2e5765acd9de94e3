"""One turn: speech to text, the agent, sentences, text to speech, all streaming."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import structlog

from app.agent.base import Agent, AgentRequest
from app.audio import PCM16_16K, decode_utterance
from app.errors import AgentError, InternalError, NabraError, NoSpeechError
from app.listening.base import OpenListener
from app.pipeline import events
from app.pipeline.said import Recording, Said, Spoken
from app.pipeline.sentences import FIRST_CHARS, SentenceSplitter
from app.pipeline.speech import Speech, SpeechStyle
from app.pipeline.spoken_form import spoken_form
from app.pipeline.timeline import Timeline
from app.pipeline.tokens import TokenBatcher
from app.spoken import is_speakable
from app.stt.base import Transcriber, Utterance
from app.transports.base import TTSTransport

log = structlog.get_logger(__name__)

MAX_WAITING_SENTENCES = 64
"""Sentences written but not yet spoken; some minutes of speech. Beyond it the agent is not read."""


@dataclass(frozen=True, slots=True)
class Stages:
    """The strategies of a conversation, shared by all sessions."""

    transcriber: Transcriber
    agent: Agent
    transport: TTSTransport
    max_utterance_s: float
    """Longest recording that is decoded."""
    lookahead: int = 1
    """Sentences that are made ahead of the one that is played."""
    first_chunk_min_chars: int = FIRST_CHARS
    """Shortest clause that an answer's speech begins with; 0: only a whole sentence."""
    open_listener: OpenListener | None = None
    """Opens a listener for clients that leave turn detection to the gateway."""
    stt_early: bool = False
    """Whether speech to text begins at a pause that may turn out not to be the end."""
    log_transcripts: bool = False
    """Whether a turn's log line may hold what was said."""
    transports: Mapping[str, TTSTransport] = field(default_factory=dict)
    """Those that a client may choose instead, by name."""

    async def warm_up(self) -> None:
        """Open what the first turn would otherwise wait for."""
        await self.transcriber.warm_up()
        await self.transport.warm_up()


class Turn:
    """Takes one utterance or typed text through all stages."""

    def __init__(
        self,
        number: int,
        session_id: str,
        stages: Stages,
        style: SpeechStyle,
        emit: events.Emit,
        *,
        said: Said,
        cut_at: str | None = None,
    ) -> None:
        self.number = number
        self.cut_at = cut_at
        """What was heard of the answer that this turn's user spoke over; None if there was none."""
        self.asked = False
        """Whether the agent was asked, and so told of that."""
        self.timeline = Timeline(asyncio.get_running_loop().time() - _silence_s(said))
        self.over = False
        self._has_begun = False
        self._session_id = session_id
        self._stages = stages
        self._style = style
        self._emit_event = emit
        self._agent_error: AgentError | None = None
        self._said = said
        self._logged: dict[str, str] = {}
        """What was said, for the log, if it may hold that."""

    def silence(self) -> None:
        """Let no event of this turn leave any more, and give up what others do for it."""
        self.over = True
        if not self._has_begun:
            self._log("interrupted")  # cancelled before its first step, `run` never will
        if isinstance(self._said, Spoken) and self._said.early is not None:
            self._said.early.discard()

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
            text = await self._words()
            self._keep("heard", text)
            await self._reply(text)
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

    async def _words(self) -> str:
        """Return what was said, and let go of its audio: the turn is kept until the next one."""
        said = self._said
        if isinstance(said, str):
            return said
        try:
            return await self._transcribe(said)
        finally:
            self._said = ""

    async def _transcribe(self, said: Recording | Spoken) -> str:
        await self._emit(events.Status("transcribing", self.number))
        text = await self._early_transcript(said)
        if text is None:
            utterance = Utterance(await self._pcm(said), PCM16_16K, self._style.language)
            text = await self._stages.transcriber.transcribe(utterance)
        self.timeline.metrics.stt_ms = self._now_ms()
        if not text:
            raise NoSpeechError("the transcript is empty")
        await self._emit(events.Transcribed(self.number, text))
        return text

    async def _early_transcript(self, said: Recording | Spoken) -> str | None:
        if isinstance(said, Recording):
            return None
        self.timeline.metrics.endpointing_ms = said.silence_s * 1000
        return await said.early.text() if said.early is not None else None

    async def _pcm(self, said: Recording | Spoken) -> bytes:
        if isinstance(said, Spoken):
            return said.pcm
        max_s = self._stages.max_utterance_s
        return await asyncio.to_thread(decode_utterance, said.data, max_s=max_s)

    async def _reply(self, text: str) -> None:
        """Let the agent write, and speak each sentence as soon as it is written."""
        await self._emit(events.Status("thinking", self.number))
        sentences: asyncio.Queue[str | None] = asyncio.Queue(MAX_WAITING_SENTENCES)
        speech = Speech(
            self.number,
            self._stages.transports.get(self._style.transport, self._stages.transport),
            self._style,
            self.timeline,
            self._emit,
            lookahead=self._stages.lookahead,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._think(text, sentences), name="think")
            tasks.create_task(speech.say(_until_none(sentences)), name="speak")

    async def _think(self, text: str, sentences: asyncio.Queue[str | None]) -> None:
        if self.over:  # interrupted a moment ago, and the session counts on what `asked` said then
            await sentences.put(None)
            return
        interrupted, heard = self.cut_at is not None, self.cut_at or ""
        request = AgentRequest(text, self._session_id, interrupted, heard)
        splitter = SentenceSplitter(first_chars=self._stages.first_chunk_min_chars)
        tokens = TokenBatcher(lambda piece: self._emit(events.Token(self.number, piece)))
        answer: list[str] = []
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(tokens.run(), name="tokens")
            try:
                self.asked = True
                async with self._stages.agent.answer(request) as pieces:
                    async for piece in pieces:
                        if not answer:
                            self.timeline.metrics.agent_first_token_ms = self._now_ms()
                        answer.append(piece)
                        tokens.put(piece)
                        await self._release(splitter.feed(piece), sentences)
            except AgentError as error:
                self._agent_error = error  # told when what came before it has been spoken
            self.timeline.metrics.agent_done_ms = self._now_ms()
            await self._release(splitter.flush(), sentences)
            tokens.end()
        if answer:
            self._keep("answered", "".join(answer))
            await self._emit(events.Answered(self.number, "".join(answer)))
        await sentences.put(None)

    async def _release(self, texts: list[str], sentences: asyncio.Queue[str | None]) -> None:
        for text in texts:
            if not is_speakable(spoken_form(text)):
                continue
            if self.timeline.metrics.first_sentence_ms is None:
                self.timeline.metrics.first_sentence_ms = self._now_ms()
            await sentences.put(text)

    def _keep(self, what: str, words: str) -> None:
        if self._stages.log_transcripts:
            self._logged[what] = words

    async def _emit(self, event: events.Event) -> None:
        if self.over:
            return
        try:
            await self._emit_event(event)
        except events.ClientGoneError:
            self.over = True  # the session learns it too, and cancels this turn

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


def _silence_s(said: Said) -> float:
    return said.silence_s if isinstance(said, Spoken) else 0.0


async def _until_none(queue: asyncio.Queue[str | None]) -> AsyncIterator[str]:
    while (item := await queue.get()) is not None:
        yield item
