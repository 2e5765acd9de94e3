"""One turn: the user's input through speech to text, agent and text to speech."""

import asyncio

import structlog

from app.agents.base import AgentRequest
from app.audio import PCM16_16K
from app.errors import InternalError, NabraError, NoSpeechError
from app.pipeline import events
from app.pipeline.added_text import AddedText, joined
from app.pipeline.agent_response import AgentResponse
from app.pipeline.components import PipelineComponents
from app.pipeline.playout import Playout
from app.pipeline.quota import Quota, Unlimited
from app.pipeline.session_config import SpeechStyle
from app.pipeline.timeline import Timeline
from app.pipeline.turn_outcome import CLIENT_LEFT, INTERRUPTED, TurnOutcome, turn_outcome
from app.pipeline.turn_taking import TurnTaking
from app.pipeline.turn_trace import TurnTrace
from app.pipeline.user_input import (
    CommittedUtterance,
    EncodedUtterance,
    StreamedUtterance,
    UserInput,
)
from app.stt.base import Utterance
from app.telemetry.request_ids import Origin, upstream_id

_Speech = EncodedUtterance | CommittedUtterance | StreamedUtterance

log = structlog.get_logger(__name__)


class Turn:
    """Transcribes one user input, then runs agent and playout concurrently.

    What it may say, to the agent and to the client, `turn_taking` decides.
    """

    def __init__(
        self,
        number: int,
        session_id: str,
        components: PipelineComponents,
        style: SpeechStyle,
        emit: events.Emit,
        *,
        user_input: UserInput,
        turn_taking: TurnTaking,
        added_text: AddedText | None = None,
        quota: Quota | None = None,
        origin: Origin | None = None,
    ) -> None:
        self.number = number
        self.timeline = Timeline(asyncio.get_running_loop().time() - _silence_s(user_input))
        self._session_id = session_id
        self._origin = origin or Origin()
        self._request_id = self._origin.turn_id(number)
        self._trace: TurnTrace | None = None
        self._components = components
        self._style = style
        self._emit_to_client = emit
        self._user_input = user_input
        self._turn_taking = turn_taking
        self._added_text = added_text or AddedText()
        self._is_typed = isinstance(user_input, str)
        self._user_text = ""
        self._quota = quota or Unlimited()
        self._response = AgentResponse(
            number,
            components,
            self.timeline,
            self._emit,
            self._quota,
            on_taken=self._on_taken,
        )
        self._has_started = False
        self._ended_by: str | None = None
        """What cut the turn."""

    def abandon(self, ended_by: str) -> None:
        """Cancel speculative work of a turn that is cut; report one that never started."""
        self._ended_by = ended_by
        if not self._has_started:  # a task that is cancelled before its first step never runs
            self._report(TurnOutcome(ended_by))
        if (
            isinstance(self._user_input, StreamedUtterance)
            and self._user_input.speculative is not None
        ):
            self._user_input.speculative.cancel()

    async def run(self) -> None:
        """Run all stages. A failure is sent to the client as `Failed`; `TurnDone` comes last."""
        metrics = self.timeline.metrics
        # of this task, and of those it starts
        structlog.contextvars.bind_contextvars(turn=self.number, request=self._request_id)
        if (tracer := self._components.tracer) is not None:
            is_spoken = not isinstance(self._user_input, str)
            self._trace = TurnTrace(
                tracer,
                metrics,
                self._origin,
                session_id=self._session_id,
                turn=self.number,
                is_spoken=is_spoken,
            )
            structlog.contextvars.bind_contextvars(trace_id=self._trace.trace_id)
        error: NabraError | None = None
        cut_by: str | None = INTERRUPTED
        self._has_started = True
        try:
            error = await self._run_stages()
            metrics.total_ms = self._now_ms()
            await self._emit(events.TurnDone(self.number, metrics, self._response.unspoken))
            cut_by = None
        finally:
            self._turn_taking.on_turn_complete(self.number)
            self._report(turn_outcome(metrics, error, ended_by=self._ended_by or cut_by))

    async def _run_stages(self) -> NabraError | None:
        """Run all stages; return the error that ended them, if any."""
        try:
            self._user_text = await self._read_input()
            await self._respond(self._user_text)
            if self._response.error is not None:
                raise self._response.error
        except NabraError as error:
            await self._emit(events.Failed(error, self.number))
            return error
        except Exception as raised:
            log.exception("turn failed")
            internal = InternalError(type(raised).__name__)
            await self._emit(events.Failed(internal, self.number))
            return internal
        return None

    async def _read_input(self) -> str:
        """Return the typed text or the transcript.

        The recording is dropped then: it may be megabytes, and the session keeps this turn until
        the next one starts.
        """
        user_input = self._user_input
        if isinstance(user_input, str):
            return user_input
        try:
            return await self._transcribe(user_input)
        finally:
            self._user_input = ""

    async def _transcribe(self, user_input: _Speech) -> str:
        await self._emit(events.Status("transcribing", self.number))
        text = await self._speculative_text(user_input)
        if text is None:
            utterance = Utterance(await self._pcm(user_input), PCM16_16K, self._style.language)
            text = await self._components.transcriber.transcribe(utterance)
        self.timeline.metrics.stt_ms = self._now_ms()
        if not text:
            raise NoSpeechError("the transcript is empty")
        await self._emit(events.Transcribed(self.number, text))
        return text

    async def _speculative_text(self, user_input: _Speech) -> str | None:
        if not isinstance(user_input, StreamedUtterance):
            return None
        self.timeline.metrics.endpointing_ms = user_input.silence_s * 1000
        return await user_input.speculative.text() if user_input.speculative is not None else None

    async def _pcm(self, user_input: _Speech) -> bytes:
        if not isinstance(user_input, EncodedUtterance):
            return user_input.pcm
        pcm = await self._components.decoder.decode(user_input.data, self._session_id)
        seconds = len(pcm) / PCM16_16K.bytes_per_second
        self._components.metrics.on_audio_in(len(user_input.data), seconds)
        return pcm

    async def _respond(self, user_text: str) -> None:
        """Read the agent's response, and play each sentence as soon as it is complete."""
        await self._emit(events.Status("thinking", self.number))
        playout = Playout(
            self.number,
            self._components.transports.get(self._style.transport, self._components.transport),
            self._style,
            self.timeline,
            self._emit,
            lookahead=self._components.lookahead,
            quota=self._quota,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_response(user_text), name="agent")
            tasks.create_task(playout.play(self._response.sentences()), name="playout")

    async def _read_response(self, user_text: str) -> None:
        """Read the agent's response, unless the turn has been interrupted.

        This task can take its first step after the interruption, before its cancellation arrives.
        """
        ask = self._turn_taking.on_agent_needed(self.number)
        if ask is None:
            await self._response.end()
            return
        self._user_text = user_text = joined(self._added_text.take(), user_text)
        self._on_taken(True)  # until the agent says otherwise
        headers = {"X-Request-Id": self._request_id}
        if self._trace is not None:
            headers |= self._trace.begin_agent(self._components.agent.name)
        told = ask.interruption
        request = AgentRequest(
            user_text,
            self._session_id,
            interrupted=told is not None,
            played_text=told.played_text if told else "",
            interrupted_text=told.user_text if told else "",
            turn=self.number,
            language=self._style.language,
            is_typed=self._is_typed,
            headers=headers,
            observer=self._response,
        )
        await self._response.read(request)

    def _on_taken(self, is_taken: bool) -> None:
        if is_taken:
            self._turn_taking.on_agent_told(self.number, self._user_text)
        else:
            self._turn_taking.on_agent_not_told(self.number)

    async def _emit(self, event: events.Event) -> None:
        """Send an event, unless the turn has been interrupted."""
        if not self._turn_taking.is_current(self.number):
            return
        try:
            await self._emit_to_client(event)
        except events.ClientGoneError:
            self._ended_by = CLIENT_LEFT
            self._turn_taking.on_session_end()  # the session learns it as well, and ends

    def _now_ms(self) -> float:
        return self.timeline.since_start_ms(asyncio.get_running_loop().time())

    def _report(self, outcome: TurnOutcome) -> None:
        """Count the turn, and write its one log line: latencies, faults; texts if allowed.

        Called once for each turn, however it ends.
        """
        metrics = self.timeline.metrics
        self._components.metrics.on_turn_end(outcome, metrics, self._style.format)
        if self._trace is not None:
            self._trace.end(outcome)
        write = log.warning if outcome.is_failure else log.info
        write(
            "turn",
            # a turn that never started is told of outside its task
            turn=self.number,
            request=self._request_id,
            outcome=outcome.name,
            **_cause(outcome),
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
            **self._logged_texts(),
        )

    def _logged_texts(self) -> dict[str, str]:
        if not self._components.log_transcripts:
            return {}
        texts = {"user_text": self._user_text, "response": self._response.text}
        return {name: text for name, text in texts.items() if text}


def _cause(outcome: TurnOutcome) -> dict[str, str]:
    """Return why the caller missed something."""
    if (cause := outcome.cause) is not None:
        host = {} if cause.host is None else {"host": cause.host}
        upstream = upstream_id(cause.request_id)
        return {"code": cause.code, "reason": str(cause), **host, **upstream}
    return {"reason": "the response holds nothing to speak"} if outcome.is_failure else {}


def _rounded(ms: float | None) -> int | None:
    return None if ms is None else round(ms)


def _silence_s(user_input: UserInput) -> float:
    return user_input.silence_s if isinstance(user_input, StreamedUtterance) else 0.0
