"""What a client of the native protocol may configure, and what is in force."""

from dataclasses import dataclass, replace

from app import errors
from app.api.clients.native.client_messages import (
    ConfigureMessage,
    Framing,
    InputChoice,
    OutputChoice,
    VoiceChoice,
)
from app.audio import AudioFormat
from app.pipeline.session_config import SessionConfig
from app.types import Voice

MULAW_RATE_HZ = 8000
"""The only rate of mu-law: of the telephone network, and of the provider (`docs/hamsa.md`)."""


@dataclass(frozen=True, slots=True)
class NativeConfig:
    """The configuration of the session, and how its audio travels."""

    session: SessionConfig
    framing: Framing = "base64"
    streams: bool = False
    """Whether the client has configured an input stream; otherwise binary frames are refused."""

    def changed(self, message: ConfigureMessage) -> "NativeConfig":
        """Return this configuration with the changes that a client asks for.

        Raises `UnsupportedConfigurationError`.
        """
        output = message.output or OutputChoice()
        return NativeConfig(
            _changed_session(self.session, message, output),
            framing=output.framing or self.framing,
            streams=self.streams
            or message.input is not None
            or message.turn_detection == "server_vad",
        )


def _changed_session(
    session: SessionConfig, message: ConfigureMessage, output: OutputChoice
) -> SessionConfig:
    style = session.style
    voice = message.voice or VoiceChoice()
    return SessionConfig(
        replace(
            style,
            voice=Voice(voice.speaker or style.voice.speaker, voice.dialect or style.voice.dialect),
            format=_output_format(output, style.format),
            language=message.language or style.language,
            transport=style.transport if message.transport is None else message.transport,
        ),
        input=_input_format(message.input or InputChoice(), session.input),
        turn_detection=message.turn_detection or session.turn_detection,
    )


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
