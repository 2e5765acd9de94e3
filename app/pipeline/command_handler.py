"""Carries out the commands of a client."""

import asyncio

from app.errors import BadInputError, EmptyAudioError, EmptyTextError
from app.pipeline import commands, events
from app.pipeline.input_audio import InputAudioBuffer
from app.pipeline.session import Session
from app.pipeline.session_config import SessionConfig, SessionTerms
from app.pipeline.user_input import EncodedUtterance

SLICE_BYTES = 256 * 1024
"""Audio that is converted before other tasks may run: 0.6 ms of CPU."""


class CommandHandler:
    """Carries out commands on a session, one at a time, within the terms of its client."""

    def __init__(
        self, session: Session, terms: SessionTerms, emit: events.Emit, *, max_utterance_s: float
    ) -> None:
        self._session = session
        self._terms = terms
        self._config = terms.config
        self._emit = emit
        self._input_audio = InputAudioBuffer(
            max_bytes=terms.limits.utterance_bytes, max_s=max_utterance_s
        )

    @property
    def is_responding(self) -> bool:
        """Whether a turn runs, or the client still plays the last one."""
        return self._session.is_responding

    async def handle(self, command: commands.Command) -> None:
        """Carry out a command.

        Raises a `BadInputError` when it is refused, which changes nothing, and `ClientGoneError`.
        """
        match command:
            case commands.AppendAudio(data):
                await self._append_audio(data)
            case commands.Commit():
                await self._commit()
            case commands.Clear():
                await self._clear()
            case commands.SubmitRecording(data):
                await self._session.start_turn(EncodedUtterance(data))
            case commands.AddText(text):
                self._add_text(text.strip())
            case commands.Respond():
                await self._session.respond()
            case commands.Cancel():
                await self._session.interrupt("client")
            case commands.Truncate(turn, heard_ms):
                self._session.truncate(turn, heard_ms)
            case commands.ReportPlayback(turn, played_ms):
                self._session.on_playback_report(turn, played_ms)
            case commands.Configure(config):
                await self._configure(config)

    def on_refused(self, error: BadInputError) -> None:
        """Count a message or a command that was refused."""
        self._session.metrics.on_error(error)

    @property
    def _detects_turns(self) -> bool:
        return self._config.turn_detection == "server_vad"

    async def _append_audio(self, data: bytes) -> None:
        if self._detects_turns:
            await self._session.append_audio(data)
        else:
            await self._buffer(data)

    async def _buffer(self, data: bytes) -> None:
        self._input_audio.append(data[:SLICE_BYTES], self._config.input)
        for start in range(SLICE_BYTES, len(data), SLICE_BYTES):
            await asyncio.sleep(0)
            self._input_audio.append(data[start : start + SLICE_BYTES], self._config.input)

    async def _commit(self) -> None:
        if self._detects_turns:
            if not await self._session.commit():
                raise EmptyAudioError("no speech was detected")
        elif (utterance := self._input_audio.take_utterance()) is not None:
            self._session.metrics.on_audio_in(utterance.received_bytes, utterance.duration_s)
            await self._session.start_turn(utterance)

    async def _clear(self) -> None:
        if self._detects_turns:
            await self._session.start_turn_detection(self._config.input)
        else:
            self._input_audio.clear()

    def _add_text(self, text: str) -> None:
        if not text:
            raise EmptyTextError("only white space")
        self._session.add_text(text, max_chars=self._terms.limits.text_chars)

    async def _configure(self, config: SessionConfig) -> None:
        """Put a configuration in force.

        Turn detection is switched first: it may fail, and then the old configuration stays. Audio
        of an input that changes is dropped.
        """
        self._terms.check(config.style, self._config.style)
        if config.input_differs(self._config):
            if config.turn_detection == "server_vad":
                await self._session.start_turn_detection(config.input)
            else:
                self._session.stop_turn_detection()
            self._input_audio.clear()
        self._config = config
        self._session.style = config.style
        await self._emit(events.Configured(config, self._session.turn_count))
