"""Timing profiles: how long each step of the simulated providers takes."""

import logging
from dataclasses import dataclass
from typing import Literal

ProfileName = Literal["fast", "instant", "measured"]

_OLD_NAMES = {"seed": "measured"}

_log = logging.getLogger(__name__)

TimingField = Literal[
    "handshake_ms",
    "rest_connect_ms",
    "first_audio_ms",
    "realtime_factor",
    "stt_ms",
    "agent_first_token_ms",
    "agent_token_ms",
    "agent_answer_ms",
]


@dataclass(frozen=True, slots=True)
class Timing:
    """How long each step takes; zero means at once."""

    handshake_ms: float
    """From the upgrade request of a socket to its response: TCP, TLS and handshake in one."""
    rest_connect_ms: float
    """Extra time of the first speech request on a new HTTP connection."""
    first_audio_ms: float
    """From the request to the first audio."""
    realtime_factor: float
    """How many times faster than real time the audio after that comes; 0 means without limit."""
    stt_ms: float
    """From the utterance to its transcript."""
    agent_first_token_ms: float
    """From the request to the agent to the first token of its response."""
    agent_token_ms: float
    """Between two tokens of the response."""
    agent_answer_ms: float
    """From the request to the agent to the last token; unless 0 it replaces `agent_token_ms`."""


PROFILES: dict[ProfileName, Timing] = {
    # Chosen so that a conversation by hand feels live, while every stage takes some time.
    "fast": Timing(
        handshake_ms=20,
        rest_connect_ms=10,
        first_audio_ms=60,
        realtime_factor=12,
        stt_ms=150,
        agent_first_token_ms=120,
        agent_token_ms=12,
        agent_answer_ms=0,
    ),
    "instant": Timing(
        handshake_ms=0,
        rest_connect_ms=0,
        first_audio_ms=0,
        realtime_factor=0,
        stt_ms=0,
        agent_first_token_ms=0,
        agent_token_ms=0,
        agent_answer_ms=0,
    ),
    # As measured in the field against the real providers: handshake 0.8 s and TLS 0.4 s; a cold
    # REST sentence 2.8 s against 1.2 s on a warm connection; first audio 0.28 to 0.6 s on a warm
    # socket, of which this is the middle; a 5 s sentence streams in 1.6 s; a response of four
    # sentences takes 6.4 s, its first token about 1 s (seen on an n8n of our own).
    "measured": Timing(
        handshake_ms=1_200,
        rest_connect_ms=1_600,
        first_audio_ms=440,
        realtime_factor=3,
        stt_ms=2_000,
        agent_first_token_ms=1_000,
        agent_token_ms=0,
        agent_answer_ms=6_400,
    ),
}


def current_name(name: str) -> str:
    """Return the name a profile has today; log a deprecation warning for an old one."""
    if name not in _OLD_NAMES:
        return name
    _log.warning("profile '%s' is deprecated; use '%s'", name, _OLD_NAMES[name])
    return _OLD_NAMES[name]
