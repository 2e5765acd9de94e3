"""One conversation: at most one turn at a time, and what interrupts it."""

import asyncio
from types import TracebackType
from typing import Literal, Self

from app.pipeline import events
from app.pipeline.speech import SpeechStyle
from app.pipeline.turn import Recording, Stages, Turn


class Session:
    """Owns the turns of one client. Leaving its context cancels what still runs."""

    def __init__(
        self, session_id: str, stages: Stages, style: SpeechStyle, emit: events.Emit
    ) -> None:
        self.id = session_id
        self.style = style
        """How the next turn is spoken."""
        self._stages = stages
        self._emit = emit
        self._turns = asyncio.TaskGroup()
        self._count = 0
        self._turn: Turn | None = None
        self._task: asyncio.Task[None] | None = None
        self._cut_at: str | None = None
        """What was heard of an interrupted answer, until the agent is asked again."""
        self._warming: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        await self._turns.__aenter__()
        self._warming = self._turns.create_task(self._stages.warm_up(), name="warm-up")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cancel()
        self._warming.cancel()
        # What ended the body is no failure of a turn: in an exception group nobody would know it.
        await self._turns.__aexit__(None, None, None)

    async def begin(self, said: Recording | str) -> None:
        """Begin a turn; one that still runs is interrupted: the user spoke over it."""
        await self.interrupt("barge_in")
        self._count += 1
        cut_at, self._cut_at = self._cut_at, None
        self._turn = Turn(self._count, self.id, self._stages, self.style, self._emit, cut_at=cut_at)
        self._task = self._turns.create_task(self._turn.run(said), name=f"turn-{self._count}")

    async def interrupt(self, reason: Literal["barge_in", "client"]) -> None:
        """Stop the current turn; harmless when there is none.

        `Interrupted` goes out before the turn's resources are given back, and nothing of the turn
        follows it.
        """
        turn = self._turn
        if turn is None:
            return
        was_running = self._cancel()
        if not turn.asked:
            self._cut_at = turn.cut_at  # the agent has not been told yet
        if not was_running:
            return
        played_ms = turn.timeline.played_ms(asyncio.get_running_loop().time())
        heard = turn.timeline.heard_text(played_ms)
        if turn.asked:
            self._cut_at = heard
        await self._emit(events.Interrupted(turn.number, reason, heard, round(played_ms)))

    def _cancel(self) -> bool:
        """Cancel the current turn and let nothing more of it out; tell whether one was running."""
        turn, task, self._turn, self._task = self._turn, self._task, None, None
        if turn is None or task is None or task.done():
            return False
        turn.silence()
        task.cancel()
        return True
