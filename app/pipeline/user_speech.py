"""Starts turns from detected speech: barge-in, speculative transcripts, merged utterances."""

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

SLICE_MS = 200
"""Audio that is processed before other tasks may run: under 1 ms of CPU."""


class TurnControl(Protocol):
    """Starts and interrupts turns: what the handler needs of a session."""

    @property
    def is_responding(self) -> bool:
        """Whether a turn runs, or the client still plays the last one."""

    @property
    def mergeable_turn(self) -> int | None:
        """The turn whose utterance further speech would continue."""

    async def start_speech(self) -> int | None:
        """Interrupt the current turn; return the turn whose utterance the user continues."""

    async def start_turn(self, user_input: StreamedUtterance) -> Turn:
        """Start a turn, and return it."""


class UserSpeechHandler:
    """Processes one input stream in `format`. Speculative requests are tasks of `tasks`.

    A user who goes on speaking before the agent has been requested has only paused: both parts
    become one utterance, up to the longest that is allowed.
    """

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
        self._bytes_per_s = format.bytes_per_second
        self._slice_bytes = format.bytes_per_second * SLICE_MS // 1000
        self._max_bytes = round(components.max_utterance_s * PCM16_16K.sample_rate_hz) * 2
        self._bytes_since_yield = 0
        self._turn_control = turn_control
        self._components = components
        self._emit = emit
        self._tasks = tasks
        self._speculative: SpeculativeTranscript | None = None
        self._last_utterance: tuple[int, bytes] | None = None
        """The last utterance with the number of its turn, while speech may still continue it."""
        self._continued = b""
        """The utterance that the current speech continues; empty if it is a new one."""

    async def append_audio(self, data: bytes, language: Language) -> None:
        """Process audio of the input stream.

        After each `SLICE_MS` of audio, in one frame or in many, other tasks may run.
        """
        self._components.metrics.on_audio_in(len(data), len(data) / self._bytes_per_s)
        last = self._last_utterance
        if last is not None and last[0] != self._turn_control.mergeable_turn:
            self._last_utterance = None  # it may be megabytes
        for start in range(0, len(data), self._slice_bytes):
            piece = data[start : start + self._slice_bytes]
            self._bytes_since_yield += len(piece)
            if self._bytes_since_yield > self._slice_bytes:
                await asyncio.sleep(0)
                self._bytes_since_yield = len(piece)
            for event in self._detector.process(
                piece, during_response=self._turn_control.is_responding
            ):
                await self._handle(event, language)

    async def finish(self) -> bool:
        """End the utterance here; return whether there was one."""
        ended = self._detector.finish()
        if ended is not None:
            await self._on_speech_ended(ended)
        return ended is not None

    def cancel_speculative(self) -> None:
        """Cancel the speculative transcript that no turn has taken."""
        if self._speculative is not None:
            self._speculative.cancel()
            self._speculative = None

    async def _handle(self, event: SpeechEvent, language: Language) -> None:
        match event:
            case SpeechBegan(start_ms):
                await self._on_speech_began(start_ms)
            case SpeechPaused(pcm):
                if self._components.stt_early:
                    utterance = Utterance(self._merged(pcm), PCM16_16K, language)
                    self._speculative = SpeculativeTranscript(
                        self._components.transcriber, utterance, self._tasks
                    )
            case SpeechResumed():
                self.cancel_speculative()
            case SpeechEnded():
                await self._on_speech_ended(event)

    async def _on_speech_began(self, start_ms: float) -> None:
        merged_turn = await self._turn_control.start_speech()
        self._continued = b""
        if self._last_utterance is not None and self._last_utterance[0] == merged_turn:
            self._continued = self._last_utterance[1]
        await self._emit(events.UserSpeechStarted(start_ms))

    async def _on_speech_ended(self, ended: SpeechEnded) -> None:
        """Start a turn with the utterance.

        The speculative transcript is used only if the utterance ended by silence: otherwise there
        was speech after the pause.
        """
        pcm = self._merged(ended.pcm)
        is_cut = len(pcm) < len(self._continued) + len(ended.pcm)
        reason: EndReason = "limit" if is_cut else ended.reason
        await self._emit(events.UserSpeechStopped(ended.end_ms, reason))
        if reason != "silence":
            self.cancel_speculative()
        speculative, self._speculative = self._speculative, None
        turn = await self._turn_control.start_turn(
            StreamedUtterance(pcm, ended.silence_ms / 1000, speculative)
        )
        self._last_utterance, self._continued = (turn.number, pcm), b""

    def _merged(self, pcm: bytes) -> bytes:
        """Append `pcm` to the utterance that it continues, up to the longest that is allowed."""
        return (self._continued + pcm)[: self._max_bytes] if self._continued else pcm
