"""The settings that bound what clients, the agent and the provider send, and what clients use.

Each docstring says why the bound is what it is. Where a setting counts, 0 means no limit.
"""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings

from app.setting_checks import Seconds


class LimitSettings(BaseSettings):
    """The part of `Settings` that holds the limits."""

    max_response_chars: Annotated[int, Field(ge=100, le=10_000_000)] = 20_000
    """Longest response of the agent, in characters: half an hour of speech, which nobody asked for.
    What exceeds it is cut, and reported."""
    agent_max_line_bytes: Annotated[int, Field(ge=1024, le=4 * 1024 * 1024)] = 1024 * 1024
    """Longest line, event or JSON document of the agent: about 20 minutes of speech. A workflow
    that returns long documents beside its text needs more. It is parsed in one step, 10 ms a
    megabyte, so 4 MiB is the most."""
    tts_max_sentence_chars: Annotated[int, Field(ge=200, le=2000)] = 2000
    """Longest text of one synthesis request, the provider's own limit. A text without a pause is
    cut there; a transport that takes less needs less."""
    tts_max_ms_per_char: Annotated[float, Field(ge=200, le=60_000)] = 1000.0
    """Longest audio of a sentence, in ms for each character that can be spoken, and 10 s beside:
    ten times what was measured, as a digit may be read out as several words. More is an error of
    the provider; a very slow voice needs more."""
    hamsa_max_trailing_audio_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Most audio after an `end`, in seconds of audio: late frames are few. A socket that goes on is
    closed."""
    http_max_header_line_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 8190
    """Longest header line of a response over HTTP/1.1; what servers and proxies commonly allow."""
    http_max_head_bytes: Annotated[int, Field(ge=4096, le=16 * 1024 * 1024)] = 32 * 1024
    """Largest head of a response over HTTP/2, uncompressed: four lines of that length."""
    http_max_headers: Annotated[int, Field(ge=16, le=10_000)] = 128
    """Most header fields of a response; a dozen are usual, and a proxy adds some."""
    http_max_informational: Annotated[int, Field(ge=0, le=1000)] = 10
    """Most informational (1xx) responses before a response. Nothing was asked for that has any; a
    proxy may send one or two."""
    http2_max_control_frames_per_s: Annotated[int, Field(ge=100, le=1_000_000)] = 5000
    """Most HTTP/2 frames a second that carry neither a response nor audio. A server under load
    sends some hundred; 5,000 cost a tenth of a core."""

    max_utterance_bytes: Annotated[int, Field(ge=1024, le=256 * 1024 * 1024)] = 10 * 1024 * 1024
    """Largest recording accepted, in bytes after base64 decoding."""
    max_utterance_s: Seconds = 120.0
    """Longest recording accepted."""
    decoder_processes: Annotated[int, Field(ge=1, le=64)] = 2
    """Most processes that decode recordings, other than WAV, at once. They start when needed."""
    decoder_queue: Annotated[int, Field(ge=0, le=10_000)] = 32
    """Recordings that may wait for one; those beyond are refused as `decoder-busy`."""
    decoder_timeout_s: Seconds = 5.0
    """Longest decoding, in time and in CPU time; two minutes of Opus take 0.4 s."""
    max_text_chars: Annotated[int, Field(ge=1, le=1_000_000)] = 4000
    """Longest typed turn accepted, in characters; two minutes of speech have 2,000."""

    max_sessions: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    """Most sessions at once; one process bears some 1,000 that speak. 0: no limit."""
    max_sessions_per_key: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Most sessions at once of one client key or token subject; 0: no limit."""
    max_sessions_per_address: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    """Most sessions at once of one address; an office behind one address has fewer. 0: no limit."""
    max_new_sessions_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 120
    """Most sessions that one address opens in a minute; 0: no limit."""
    max_turns_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Most turns in a minute of one key, or one address where there is no key; 0: no limit."""
    max_turns_per_day: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    """The same for a day."""
    max_chars_per_minute: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    """Most characters that are spoken in a minute for one key or address; 0: no limit."""
    max_chars_per_day: Annotated[int, Field(ge=0, le=10_000_000_000)] = 0
    """The same for a day."""
    session_idle_timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 900.0
    """How long a session lasts in which the client sends nothing, and hears nothing."""
    session_max_s: Annotated[float, Field(gt=0, le=604_800)] = 14_400.0
    """Longest session; a call of four hours is a line that nobody hung up."""
    drain_s: Annotated[float, Field(ge=0, le=3600)] = 20.0
    """How long running turns may last after SIGTERM: an answer of four sentences takes half of it,
    and Kubernetes kills after 30 s. 0: they end at once."""

    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Most client connections at once; fewer where the system allows fewer open files."""
    handshake_timeout_s: Seconds = 10.0
    """Longest time from the opening of a connection to a whole request and an accepted handshake;
    a phone on a bad network needs some 3 s."""
    message_timeout_s: Seconds = 60.0
    """Longest time from the first byte of a message to its last; 10 MB of audio in base64 take as
    long at 2 Mbit/s."""
    max_buffered_bytes: Annotated[int, Field(ge=1024 * 1024, le=1024**4)] = 48 * 1024 * 1024
    """Bytes of messages that are incomplete or not taken yet, of all clients together: nine
    recordings of two minutes. Beyond it, the client that holds most is disconnected (1013)."""
    max_unsent_bytes: Annotated[int, Field(ge=1024 * 1024, le=1024**4)] = 64 * 1024 * 1024
    """Bytes that wait for clients that do not read, of all together: as much as 64 of them hold.
    Beyond it, the one that has taken nothing for longest is disconnected."""
    max_messages_per_s: Annotated[float, Field(ge=1, le=10_000)] = 200.0
    """Messages of one client beyond this wait; a microphone in frames of 10 ms sends 100."""
