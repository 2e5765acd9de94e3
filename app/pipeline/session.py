"""One conversation: at most one turn at a time, and what interrupts it."""

import asyncio
from types import TracebackType
from typing import Self

from app.audio import AudioFormat
from app.errors import UnsupportedConfigurationError
from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.playout import SpeechStyle
from app.pipeline.turn import Turn
from app.pipeline.user_input import UserInput
from app.pipeline.user_speech import UserSpeechHandler


class Session:
    """Owns the turns of one client. Leaving its context cancels what still runs."""

    def __init__(
        self, session_id: str, components: PipelineComponents, style: SpeechStyle, emit: events.Emit
    ) -> None:
        self.id = session_id
        self.style = style
        """How the next turn is spoken."""
        self.turns = 0
        """Turns that have begun; the number of the last one."""
        self._components = components
        self._emit = emit
        self._tasks = asyncio.TaskGroup()
        self._turn: Turn | None = None
        self._task: asyncio.Task[None] | None = None
        self._user_speech: UserSpeechHandler | None = None
        self._reports_playback = False
        self._interrupted_text: str | None = None
        """What was heard of an interrupted answer, until the agent is asked again."""
        self._warming: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._warming = self._tasks.create_task(self._components.warm_up(), name="warm-up")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cancel()
        self.stop_turn_detection()
        self._warming.cancel()
        # What ended the body is no failure of a turn: in an exception group nobody would know it.
        await self._tasks.__aexit__(None, None, None)

    @property
    def is_responding(self) -> bool:
        """Whether a turn runs, or the client still plays what the last one said."""
        return self._turn is not None and (self._is_running or self._is_played(self._turn))

    async def begin(self, user_input: UserInput) -> Turn:
        """Begin a turn; one that still runs is interrupted: the user spoke over it."""
        await self.interrupt("barge_in")
        self.turns += 1
        interrupted_text, self._interrupted_text = self._interrupted_text, None
        turn = Turn(
            self.turns,
            self.id,
            self._components,
            self.style,
            self._emit,
            user_input=user_input,
            interrupted_text=interrupted_text,
        )
        self._turn = turn
        self._task = self._tasks.create_task(turn.run(), name=f"turn-{self.turns}")
        return turn

    async def interrupt(self, reason: events.InterruptReason) -> Turn | None:
        """Stop the current turn, and return it; harmless when there is none.

        `Interrupted` goes out before the turn's resources are given back, and nothing of the turn
        follows it. A turn that is over is interrupted too, while it is still heard.
        """
        turn = self._turn
        if turn is None:
            return None
        is_heard = self._is_running or self._is_played(turn)
        self._cancel()
        if not turn.agent_requested:
            self._interrupted_text = turn.interrupted_text  # the agent has not been told yet
        if not is_heard:
            return None
        now = asyncio.get_running_loop().time()
        played_ms = turn.timeline.played_ms(now)
        heard = turn.timeline.played_text(played_ms)
        if turn.agent_requested:
            self._interrupted_text = heard
        metrics = turn.timeline.snapshot(now)
        await self._emit(events.Interrupted(turn.number, reason, heard, round(played_ms), metrics))
        return turn

    def report_playback(self, turn: int, played_ms: float) -> None:
        """Take the client's word for what it has played of a turn; of an old one it is ignored."""
        self._reports_playback = True
        if self._turn is not None and self._turn.number == turn:
            self._turn.timeline.on_playback_report(played_ms, asyncio.get_running_loop().time())

    async def start_turn_detection(self, format: AudioFormat) -> None:
        """Find the utterances in what `hear` is given from now on.

        Raises `UnsupportedConfigurationError` where there is no listener.
        """
        if self._components.create_detector is None:
            raise UnsupportedConfigurationError("turn_detection: this gateway cannot listen")
        detector = await self._components.create_detector(format)
        self.stop_turn_detection()
        self._user_speech = UserSpeechHandler(
            detector, format, self, components=self._components, emit=self._emit, tasks=self._tasks
        )

    def stop_turn_detection(self) -> None:
        """Forget what was heard, but for what is a turn already."""
        if self._user_speech is not None:
            self._user_speech.close()
            self._user_speech = None

    async def append_audio(self, data: bytes) -> None:
        """Take audio of the microphone that is listened to; without `listen` it is dropped."""
        if self._user_speech is not None:
            await self._user_speech.append_audio(data, self.style.language)

    async def commit(self) -> bool:
        """End the utterance that is heard; tell whether there was one."""
        return self._user_speech is not None and await self._user_speech.finish()

    @property
    def _is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    def _is_played(self, turn: Turn) -> bool:
        """Tell whether a client that surely plays what it gets has not yet played it all.

        Others may only read along: to them a turn that is over is over.
        """
        is_live = self._reports_playback or self._user_speech is not None
        return is_live and turn.timeline.is_audible(asyncio.get_running_loop().time())

    def _cancel(self) -> None:
        """Cancel the current turn and let nothing more of it out."""
        turn, task, self._turn, self._task = self._turn, self._task, None, None
        if turn is not None and task is not None and not task.done():
            turn.mute()
            task.cancel()
