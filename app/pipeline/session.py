"""One session: at most one turn at a time, and what interrupts it."""

import asyncio
from types import TracebackType
from typing import Self

from app.audio import AudioFormat
from app.errors import EmptyTextError, UnsupportedConfigurationError
from app.pipeline import events
from app.pipeline.added_text import AddedText
from app.pipeline.components import PipelineComponents
from app.pipeline.quota import Quota, Unlimited
from app.pipeline.session_config import SpeechStyle
from app.pipeline.timeline import Timeline
from app.pipeline.turn import Turn
from app.pipeline.user_input import UserInput
from app.pipeline.user_speech import UserSpeechHandler


class Session:
    """Owns the turns of one client. Leaving its context cancels all that still runs."""

    def __init__(
        self,
        session_id: str,
        components: PipelineComponents,
        style: SpeechStyle,
        emit: events.Emit,
        quota: Quota | None = None,
    ) -> None:
        self.id = session_id
        self.style = style
        """How the next turn is spoken."""
        self.turn_count = 0
        """Turns that have started; also the number of the last one."""
        self._components = components
        self._emit = emit
        self._quota = quota or Unlimited()
        self._tasks = asyncio.TaskGroup()
        self._turn: Turn | None = None
        self._turn_task: asyncio.Task[None] | None = None
        self._user_speech: UserSpeechHandler | None = None
        self._reports_playback = False
        self._interrupted_text: str | None = None
        """What was played of an interrupted response, until a request reports it to the agent."""
        self._interrupted: tuple[int, Timeline] | None = None
        """The last turn that was interrupted in its response: its number and timeline."""
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
        self._cancel_turn()
        self.stop_turn_detection()
        self._warm_up_task.cancel()
        # Do not wrap the body's exception in an ExceptionGroup.
        await self._tasks.__aexit__(None, None, None)

    @property
    def is_responding(self) -> bool:
        """Whether a turn runs, or the client still plays the last one."""
        return self._turn is not None and (self._is_running or self._is_playing(self._turn))

    async def start_turn(self, user_input: UserInput) -> Turn:
        """Start a turn, and return it. A turn that still runs is interrupted, as by a barge-in.

        Raises `ClientGoneError`, and `UsageLimitError` when the quota is used up.
        """
        await self._quota.take_turn()
        await self.interrupt("barge_in")
        self.turn_count += 1
        interrupted_text, self._interrupted_text = self._interrupted_text, None
        turn = Turn(
            self.turn_count,
            self.id,
            self._components,
            self.style,
            self._emit,
            user_input=user_input,
            added_text=self._added_text,
            interrupted_text=interrupted_text,
            quota=self._quota,
        )
        self._turn = turn
        self._turn_task = self._tasks.create_task(turn.run(), name=f"turn-{self.turn_count}")
        return turn

    async def interrupt(self, reason: events.InterruptReason) -> Turn | None:
        """Cancel the current turn, and return it; None when there is nothing to interrupt.

        `Interrupted` is sent before the turn has released its resources; no event of the turn
        follows it. A turn that is complete, but whose audio the client still plays, is interrupted,
        too.
        Raises `ClientGoneError`.
        """
        turn = self._turn
        if turn is None:
            return None
        is_active = self._is_running or self._is_playing(turn)
        self._cancel_turn()
        if not turn.agent_requested:
            self._interrupted_text = turn.interrupted_text  # the next request reports it
        if not is_active:
            return None
        now = asyncio.get_running_loop().time()
        played_ms = turn.timeline.played_ms(now)
        played_text = turn.timeline.played_text(played_ms)
        if turn.agent_requested:
            self._interrupted_text = played_text
            self._interrupted = turn.number, turn.timeline
        metrics = turn.timeline.snapshot(now)
        await self._emit(
            events.Interrupted(turn.number, reason, played_text, round(played_ms), metrics)
        )
        return turn

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
        if self._interrupted is None or self._interrupted[0] != turn:
            return
        played_text = self._interrupted[1].played_text(heard_ms)
        if self._interrupted_text is not None:
            self._interrupted_text = played_text
        elif (
            self._turn is not None
            and self._turn.interrupted_text is not None
            and not self._turn.agent_requested
        ):
            self._turn.interrupted_text = played_text

    def on_playback_report(self, turn: int, played_ms: float) -> None:
        """Record how much of the current turn the client has played.

        A report on another turn only shows that the client sends reports.
        """
        self._reports_playback = True
        if self._turn is not None and self._turn.number == turn:
            self._turn.timeline.on_playback_report(played_ms, asyncio.get_running_loop().time())

    async def start_turn_detection(self, format: AudioFormat) -> None:
        """Detect utterances in the audio that `append_audio` gets from now on, in `format`.

        Raises `UnsupportedConfigurationError` where the gateway has no VAD.
        """
        if self._components.create_detector is None:
            raise UnsupportedConfigurationError("turn_detection: server_vad is not available here")
        detector = await self._components.create_detector(format)
        self.stop_turn_detection()
        self._user_speech = UserSpeechHandler(
            detector, format, self, components=self._components, emit=self._emit, tasks=self._tasks
        )

    def stop_turn_detection(self) -> None:
        """Stop detecting utterances; drop buffered audio that no turn has taken."""
        if self._user_speech is not None:
            self._user_speech.cancel_speculative()
            self._user_speech = None

    async def append_audio(self, data: bytes) -> None:
        """Process audio of the input stream; without turn detection it is dropped."""
        if self._user_speech is not None:
            await self._user_speech.append_audio(data, self.style.language)

    async def commit(self) -> bool:
        """End the user's utterance here; return whether there was one."""
        return self._user_speech is not None and await self._user_speech.finish()

    @property
    def _is_running(self) -> bool:
        return self._turn_task is not None and not self._turn_task.done()

    def _is_playing(self, turn: Turn) -> bool:
        """Return whether the client still plays the turn's audio.

        False unless the client is known to play audio, by its playback reports or its input stream:
        one that only shows the texts has nothing left to interrupt.
        """
        plays_audio = self._reports_playback or self._user_speech is not None
        return plays_audio and turn.timeline.is_playing(asyncio.get_running_loop().time())

    def _cancel_turn(self) -> None:
        """Cancel the current turn and suppress its further events."""
        turn, task, self._turn, self._turn_task = self._turn, self._turn_task, None, None
        if turn is not None and task is not None and not task.done():
            turn.mute()
            task.cancel()
