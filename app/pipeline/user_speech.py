"""Makes turns of what a listener hears: barge-in, early transcripts, and halves that are one."""

import asyncio
from typing import Protocol

from app.audio import PCM16_16K, AudioFormat
from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.turn import Turn
from app.pipeline.user_input import SpeculativeTranscript, StreamedUtterance
from app.stt.base import Utterance
from app.types import Language
from app.vad.base import (
    EndReason,
    SpeechBegan,
    SpeechEnded,
    SpeechEvent,
    SpeechPaused,
    SpeechResumed,
    UtteranceDetector,
)

PIECE_MS = 200
"""Audio that is listened to at a time: under 1 ms of computing, then others have their turn."""


class TurnControl(Protocol):
    """The conversation that is listened to: who has the floor, and taking it."""

    @property
    def is_responding(self) -> bool:
        """Whether an answer is made or heard."""

    async def interrupt(self, reason: events.InterruptReason) -> Turn | None:
        """Stop the answer; return its turn."""

    async def begin(self, user_input: StreamedUtterance) -> Turn:
        """Begin a turn."""


class UserSpeechHandler:
    """Hears one stream in `format`; `tasks` owns what is asked for early."""

    def __init__(
        self,
        detector: UtteranceDetector,
        format: AudioFormat,
        turn_control: TurnControl,
        *,
        components: PipelineComponents,
        emit: events.Emit,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._detector = detector
        self._piece_bytes = format.bytes_per_second * PIECE_MS // 1000
        self._max_bytes = round(components.max_utterance_s * PCM16_16K.sample_rate_hz) * 2
        self._unbroken_bytes = 0
        """Listened to since others had their turn: many small frames may come at once as well."""
        self._turn_control = turn_control
        self._components = components
        self._emit = emit
        self._tasks = tasks
        self._speculative: SpeculativeTranscript | None = None
        self._last: tuple[Turn, bytes] | None = None
        self._first_half = b""
        """An utterance that went on after its turn had begun, before the agent was asked."""

    async def append_audio(self, data: bytes, language: Language) -> None:
        """Take what the microphone sent, and act on what it means."""
        if self._last is not None and (
            self._last[0].agent_requested or not self._turn_control.is_responding
        ):
            self._last = None  # no half of anything any more, and it may be of megabytes
        for start in range(0, len(data), self._piece_bytes):
            piece = data[start : start + self._piece_bytes]
            self._unbroken_bytes += len(piece)
            if self._unbroken_bytes > self._piece_bytes:
                await asyncio.sleep(0)
                self._unbroken_bytes = len(piece)
            for mark in self._detector.process(
                piece, during_response=self._turn_control.is_responding
            ):
                await self._act_on(mark, language)

    async def finish(self) -> bool:
        """End the utterance here; tell whether there was one."""
        ended = self._detector.finish()
        if ended is not None:
            await self._end(ended)
        return ended is not None

    def close(self) -> None:
        """Give up what was asked for early."""
        if self._speculative is not None:
            self._speculative.discard()
            self._speculative = None

    async def _act_on(self, mark: SpeechEvent, language: Language) -> None:
        match mark:
            case SpeechBegan(start_ms):
                await self._begin(start_ms)
            case SpeechPaused(pcm):
                if self._components.stt_early:
                    utterance = Utterance(self._joined(pcm), PCM16_16K, language)
                    self._speculative = SpeculativeTranscript(
                        self._components.transcriber, utterance, self._tasks
                    )
            case SpeechResumed():
                self.close()
            case SpeechEnded():
                await self._end(mark)

    async def _begin(self, start_ms: float) -> None:
        interrupted = await self._turn_control.interrupt("barge_in")
        self._first_half = b""
        if (
            self._last is not None
            and interrupted is self._last[0]
            and not interrupted.agent_requested
        ):
            self._first_half = self._last[1]
        await self._emit(events.UserSpeechStarted(start_ms))

    async def _end(self, ended: SpeechEnded) -> None:
        pcm = self._joined(ended.pcm)
        is_cut = len(pcm) < len(self._first_half) + len(ended.pcm)
        reason: EndReason = "limit" if is_cut else ended.reason
        await self._emit(events.UserSpeechStopped(ended.end_ms, reason))
        if reason != "silence":
            self.close()  # there was more speech
        speculative, self._speculative = self._speculative, None
        turn = await self._turn_control.begin(
            StreamedUtterance(pcm, ended.silence_ms / 1000, speculative)
        )
        self._last, self._first_half = (turn, pcm), b""

    def _joined(self, pcm: bytes) -> bytes:
        """Put both halves together, up to the longest utterance: breath may be taken for ever."""
        return (self._first_half + pcm)[: self._max_bytes] if self._first_half else pcm
