"""Settings in groups: each room gets its own settings, and no others."""

from app.agents.registry import AgentOptions
from app.audio import AudioFormat
from app.hamsa.lease import PoolLimits
from app.pipeline.playout import SpeechStyle
from app.settings import Settings
from app.transports.options import SpeechOptions, StreamLimits
from app.transports.policy import Policy
from app.types import Voice
from app.vad.endpointer import EndpointerLimits


def speech_options(settings: Settings) -> SpeechOptions:
    """Return which transports do TTS, and how hard they try."""
    hedge_ms = settings.tts_hedge_after_ms
    return SpeechOptions(
        transport=settings.tts_transport,
        fallback=settings.tts_fallback,
        allow_client_choice=settings.allow_client_transport,
        warm_connections=warm_connections(settings),
        policy=Policy(
            attempts=settings.tts_attempts,
            deadline_s=settings.tts_deadline_s,
            hedge_after_s=hedge_ms / 1000 if hedge_ms else None,
        ),
        limits=StreamLimits(
            first_audio_timeout_s=settings.tts_first_audio_timeout_s,
            stall_timeout_s=settings.tts_stall_timeout_s,
            linger_s=settings.hamsa_linger_s,
        ),
    )


def warm_connections(settings: Settings) -> int:
    """Return how many sockets one response keeps busy.

    One is for the sentence that is played, the others for those that are prefetched. One connection
    of the budget is left for when one of them fails.
    """
    return max(1, min(1 + settings.tts_lookahead, settings.hamsa_connect_limit - 1))


def speech_style(settings: Settings) -> SpeechStyle:
    """Return how sessions sound until their clients configure them."""
    return SpeechStyle(
        voice=Voice(settings.tts_speaker, settings.tts_dialect),
        format=AudioFormat("pcm_s16le", settings.tts_sample_rate),
        language=settings.language,
        transport=settings.tts_transport,
    )


def pool_limits(settings: Settings) -> PoolLimits:
    """Return the timeouts of the pool."""
    return PoolLimits(
        acquire_timeout_s=settings.hamsa_pool_timeout_s,
        linger_s=settings.hamsa_linger_s,
        drain_timeout_s=settings.hamsa_drain_timeout_s,
        ping_interval_s=settings.hamsa_ping_interval_s,
        ping_timeout_s=settings.hamsa_ping_timeout_s,
    )


def agent_options(settings: Settings) -> AgentOptions:
    """Return which agent answers, and how long it may take."""
    token = settings.agent_token
    return AgentOptions(
        kind=settings.agent_kind,
        headers={settings.agent_token_header: token.get_secret_value()} if token else {},
        node=settings.agent_node,
        model=settings.agent_model,
        system_prompt=settings.agent_system_prompt,
        history_turns=settings.agent_history_turns,
        history_sessions=settings.agent_history_sessions,
        first_token_timeout_s=settings.agent_first_token_timeout_s,
        between_tokens_timeout_s=settings.agent_between_tokens_timeout_s,
        total_timeout_s=settings.agent_total_timeout_s,
    )


def endpointer_limits(settings: Settings) -> EndpointerLimits:
    """Return when speech begins an utterance, and when the utterance is over."""
    return EndpointerLimits(
        threshold=settings.vad_threshold,
        min_speech_ms=settings.vad_min_speech_ms,
        barge_in_min_speech_ms=settings.barge_in_min_speech_ms,
        silence_ms=settings.vad_silence_ms,
        max_utterance_ms=settings.max_utterance_s * 1000,
    )
