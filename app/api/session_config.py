"""The configuration of one session: what a client may change, and what is in force."""

from dataclasses import dataclass, replace
from typing import Any

from app import __version__, errors
from app.api.messages import (
    ConfigureMessage,
    Framing,
    InputChoice,
    OutputChoice,
    TurnDetection,
    VoiceChoice,
)
from app.audio import PCM16_16K, AudioFormat
from app.pipeline.playout import SpeechStyle
from app.types import Voice

PROTOCOL_VERSION = 1

MULAW_RATE_HZ = 8000
"""The only rate of mu-law: of the telephone network, and of the provider (`docs/hamsa.md`)."""


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """How one client sends and receives audio."""

    style: SpeechStyle
    framing: Framing = "base64"
    input: AudioFormat = PCM16_16K
    streams: bool = False
    """Whether the client has configured an input stream; otherwise binary frames are refused."""
    turn_detection: TurnDetection = "none"
    """What ends an utterance: the client (`none`) or the gateway's VAD."""
    transports: tuple[str, ...] = ()
    """Transports that the client may choose; none where it may not choose."""
    fixed_speaker: str | None = None
    """The only voice that the client's token allows; None for any."""

    def input_differs(self, other: "SessionConfig") -> bool:
        """Return whether the input stream is processed differently than with `other`."""
        return (self.turn_detection, self.input) != (other.turn_detection, other.input)

    def changed(self, message: ConfigureMessage) -> "SessionConfig":
        """Return this configuration with the changes that a client asks for.

        Raises `UnsupportedConfigurationError`.
        """
        output = message.output or OutputChoice()
        return SessionConfig(
            style=replace(
                self.style,
                voice=self._voice(message.voice or VoiceChoice()),
                format=_output_format(output, self.style.format),
                language=message.language or self.style.language,
                transport=self._transport(message.transport),
            ),
            framing=output.framing or self.framing,
            input=_input_format(message.input or InputChoice(), self.input),
            streams=self.streams
            or message.input is not None
            or message.turn_detection == "server_vad",
            turn_detection=message.turn_detection or self.turn_detection,
            transports=self.transports,
            fixed_speaker=self.fixed_speaker,
        )

    def _voice(self, choice: VoiceChoice) -> Voice:
        speaker = choice.speaker or self.style.voice.speaker
        if self.fixed_speaker not in (None, speaker):
            raise errors.UnsupportedConfigurationError(f"speaker: allowed: {self.fixed_speaker}")
        return Voice(speaker, choice.dialect or self.style.voice.dialect)

    def _transport(self, choice: str | None) -> str:
        if choice in (None, self.style.transport):
            return self.style.transport
        if choice not in self.transports:
            allowed = ", ".join(self.transports) or "none, the gateway chooses"
            raise errors.UnsupportedConfigurationError(f"transport: allowed: {allowed}")
        return choice

    def _formats(self) -> dict[str, Any]:
        output = {**_format_fields(self.style.format), "framing": self.framing}
        return {
            "output": output,
            "input": _format_fields(self.input),
            "transport": self.style.transport,
            "transports": self.transports,
        }

    def session_message(self, session_id: str) -> dict[str, Any]:
        """Build `session`, the first message to a client."""
        return {
            "type": "session",
            "session_id": session_id,
            "protocol": PROTOCOL_VERSION,
            "version": __version__,
            **self._formats(),
        }

    def configured_message(self) -> dict[str, Any]:
        """Build `configured`, the reply to `configure`: the configuration that is in force now."""
        voice = self.style.voice
        return {
            "type": "configured",
            **self._formats(),
            "turn_detection": self.turn_detection,
            "voice": {"speaker": voice.speaker, "dialect": voice.dialect},
            "language": self.style.language,
        }


def _output_format(choice: OutputChoice, format: AudioFormat) -> AudioFormat:
    encoding = choice.encoding or format.encoding
    if encoding == "mulaw":
        if choice.sample_rate not in (None, MULAW_RATE_HZ):
            raise errors.UnsupportedConfigurationError(
                f"output.sample_rate: mu-law requires {MULAW_RATE_HZ}"
            )
        return AudioFormat("mulaw", MULAW_RATE_HZ)
    return AudioFormat("pcm_s16le", choice.sample_rate or format.sample_rate_hz)


def _input_format(choice: InputChoice, format: AudioFormat) -> AudioFormat:
    encoding = choice.encoding or format.encoding
    if choice.sample_rate is not None:
        return AudioFormat(encoding, choice.sample_rate)
    changes = encoding == "mulaw" and format.encoding != "mulaw"
    return AudioFormat(encoding, MULAW_RATE_HZ if changes else format.sample_rate_hz)


def _format_fields(format: AudioFormat) -> dict[str, Any]:
    return {"encoding": format.encoding, "sample_rate": format.sample_rate_hz}
