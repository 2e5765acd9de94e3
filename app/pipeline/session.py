"""One session: its turns, one at a time, as its turn-taking decides."""

import asyncio
from types import TracebackType
from typing import Self

from app.audio import AudioFormat
from app.errors import (
    EmptyTextError,
    InternalError,
    NabraError,
    UnsupportedConfigurationError,
)
from app.pipeline import events
from app.pipeline.added_text import AddedText
from app.pipeline.components import PipelineComponents
from app.pipeline.conversation_metrics import ConversationMetrics
from app.pipeline.quota import Quota, Unlimited
from app.pipeline.session_config import SpeechStyle
from app.pipeline.turn import Turn
from app.pipeline.turn_outcome import CLIENT_LEFT, INTERRUPTED, SHUTDOWN
from app.pipeline.turn_taking import Interrupt, InterruptReason, TurnTaking
from app.pipeline.user_input import StreamedUtterance, UserInput
from app.pipeline.user_speech import UserSpeechHandler
from app.telemetry.request_ids import Origin


class Session:
    """Owns the turns of one client. Leaving its context cancels all that still runs.

    `TurnTaking` decides, at once; a session carries it out.
    """

    def __init__(
        self,
        session_id: str,
        components: PipelineComponents,
        style: SpeechStyle,
        emit: events.Emit,
        quota: Quota | None = None,
        *,
        origin: Origin | None = None,
    ) -> None:
        self.id = session_id
        self.style = style
        """How the next turn is spoken."""
        self._components = components
        self._emit = emit
        self._quota = quota or Unlimited()
        self._origin = origin or Origin()
        self._tasks = asyncio.TaskGroup()
        self._turn: Turn | None = None
        self._turn_task: asyncio.Task[None] | None = None
        self._user_speech: UserSpeechHandler | None = None
        self._turn_taking = TurnTaking(components.interruptions.take(session_id))
        self._added_text = AddedText()
        self._warm_up_task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._warm_up_task = self._tasks.create_task(self._components.warm_up(), name="warm-up")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._turn_taking.on_session_end()
        self._turn_taking.on_interrupt("client", _now())
        self._components.interruptions.keep(self.id, self._turn_taking.untold)
        self._cancel_turn(_end_of_session(error))
        self.stop_turn_detection()
        self._warm_up_task.cancel()
        # Do not wrap the body's exception in an ExceptionGroup.
        await self._tasks.__aexit__(None, None, None)

    @property
    def is_responding(self) -> bool:
        """Whether a turn runs, or the client still plays the last one."""
        return self._turn_taking.is_responding(_now())

    @property
    def metrics(self) -> ConversationMetrics:
        """Counts for all sessions."""
        return self._components.metrics

    @property
    def turn_count(self) -> int:
        """Turns that have begun; also the number of the last one."""
        return self._turn_taking.last_turn

    @property
    def mergeable_turn(self) -> int | None:
        """The turn whose utterance further speech would continue."""
        return self._turn_taking.mergeable_turn

    async def start_turn(self, user_input: UserInput) -> Turn:
        """Start a turn, and return it. A turn that still runs is interrupted, as by a barge-in.

        Raises `ClientGoneError`, and `UsageLimitError` when the quota is used up.
        """
        await self._quota.take_turn()
        if isinstance(user_input, StreamedUtterance):
            begin = self._turn_taking.on_speech_stopped(_now())
        else:
            begin = self._turn_taking.on_input(_now())
        await self._carry_out(begin.interrupt)
        turn = Turn(
            begin.turn,
            self.id,
            self._components,
            self.style,
            self._emit,
            user_input=user_input,
            added_text=self._added_text,
            turn_taking=self._turn_taking,
            quota=self._quota,
            origin=self._origin,
        )
        if self._turn_taking.on_turn_started(turn.number, turn.timeline):
            self._turn = turn
            self._turn_task = self._tasks.create_task(turn.run(), name=f"turn-{turn.number}")
        else:
            turn.abandon(INTERRUPTED)
        return turn

    async def start_speech(self) -> int | None:
        """Interrupt the current turn, as the user speaks; return the turn that the user continues.

        None: it is a new utterance.
        Raises `ClientGoneError`.
        """
        decision = self._turn_taking.on_speech_started(_now())
        await self._carry_out(decision.interrupt)
        return decision.merged_turn

    async def interrupt(self, reason: InterruptReason) -> Turn | None:
        """Cancel the current turn, and return it; None when there is nothing to interrupt.

        `Interrupted` is sent before the turn has released its resources; no event of the turn
        follows it. A turn that is complete, but whose audio the client still plays, is interrupted,
        too.
        Raises `ClientGoneError`.
        """
        return await self._carry_out(self._turn_taking.on_interrupt(reason, _now()))

    def add_text(self, text: str, *, max_chars: int) -> None:
        """Add text to the next turn, typed or spoken, that reaches the agent.

        Raises `TextTooLongError` when more than `max_chars` would wait.
        """
        self._added_text.add(text, max_chars=max_chars)

    async def respond(self) -> Turn:
        """Start a turn with the text that was added, and return it.

        Raises `EmptyTextError` when none was, and what `start_turn` raises.
        """
        if not (text := self._added_text.take()):
            raise EmptyTextError("no text was added")
        return await self.start_turn(text)

    def truncate(self, turn: int, heard_ms: float) -> None:
        """Cut the played text of an interrupted turn at `heard_ms` of its audio.

        Another turn than the last that was interrupted is ignored, and so is what comes after the
        interruption was reported to the agent.
        """
        self._turn_taking.on_truncate(turn, heard_ms)

    async def wait_idle(self) -> None:
        """Wait until no turn runs: all audio of the last one has been sent, if not yet played."""
        while self._turn_task is not None and not self._turn_task.done():
            await asyncio.wait([self._turn_task])

    def on_playback_report(self, turn: int, played_ms: float) -> None:
        """Record how much of the current turn the client has played.

        A report on another turn only shows that the client sends reports.
        """
        self._turn_taking.on_playback_report()
        if self._turn is not None and self._turn.number == turn:
            self._turn.timeline.on_playback_report(played_ms, _now())

    async def start_turn_detection(self, format: AudioFormat) -> None:
        """Detect utterances in the audio that `append_audio` gets from now on, in `format`.

        Raises `UnsupportedConfigurationError` where the gateway has no VAD.
        """
        if self._components.create_detector is None:
            raise UnsupportedConfigurationError("turn_detection: server_vad is not available here")
        detector = await self._components.create_detector(format)
        self.stop_turn_detection()
        self._turn_taking.on_listening(listens=True)
        self._user_speech = UserSpeechHandler(
            detector, format, self, components=self._components, emit=self._emit, tasks=self._tasks
        )

    def stop_turn_detection(self) -> None:
        """Stop detecting utterances; drop buffered audio that no turn has taken."""
        if self._user_speech is not None:
            self._user_speech.cancel_speculative()
            self._user_speech = None
            self._turn_taking.on_listening(listens=False)

    async def append_audio(self, data: bytes) -> None:
        """Process audio of the input stream; without turn detection it is dropped."""
        if self._user_speech is not None:
            await self._user_speech.append_audio(data, self.style.language)

    async def commit(self) -> bool:
        """End the user's utterance here; return whether there was one."""
        return self._user_speech is not None and await self._user_speech.finish()

    async def _carry_out(self, interrupt: Interrupt | None) -> Turn | None:
        """Cancel the turn that is interrupted, tell the client, and return it."""
        turn = self._turn
        if interrupt is None or turn is None or turn.number != interrupt.turn:
            return None  # nothing, or a turn that has not started: the client does not know it
        self.metrics.interruptions[interrupt.reason] += 1
        self._cancel_turn(INTERRUPTED)
        await self._emit(
            events.Interrupted(
                turn.number,
                interrupt.reason,
                interrupt.played_text,
                round(interrupt.played_ms),
                turn.timeline.snapshot(_now()),
            )
        )
        return turn

    def _cancel_turn(self, ended_by: str) -> None:
        """Cancel the last turn that was started, if it still runs."""
        turn, task, self._turn, self._turn_task = self._turn, self._turn_task, None, None
        if turn is not None and task is not None and not task.done():
            turn.abandon(ended_by)
            task.cancel()


def _end_of_session(error: BaseException | None) -> str:
    """Return what a turn is ended by whose session `error` has ended."""
    match error:
        case events.DrainedError():
            return SHUTDOWN
        case NabraError(code=code):
            return code
        case None | events.ClientGoneError() | asyncio.CancelledError():
            return CLIENT_LEFT
    return InternalError.code


def _now() -> float:
    return asyncio.get_running_loop().time()
