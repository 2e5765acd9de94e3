"""Settings in groups: each room gets its own settings, and no others."""

from ipaddress import ip_network

from app.agents.built_in import AgentOptions
from app.agents.parser_options import ParserOptions, pointer_names
from app.api.access import AccessOptions, parse_keys
from app.api.origins import is_loopback
from app.api.usage import UsageLimits
from app.audio import AudioFormat
from app.audio.decoder_process import DecoderLimits
from app.endpoints import Endpoints
from app.errors import ConfigurationError
from app.hamsa.provider import HamsaOptions
from app.net.limits import HttpLimits
from app.pipeline.session_config import SpeechStyle
from app.pool.lease import PoolLimits
from app.settings import Settings
from app.transports.options import SpeechOptions
from app.transports.policy import Policy, StreamLimits
from app.types import Voice
from app.vad.endpointer import EndpointerLimits


def speech_options(settings: Settings) -> SpeechOptions:
    """Return which transports do TTS, and how hard they try."""
    hedge_ms = settings.tts_hedge_after_ms
    return SpeechOptions(
        transport=settings.tts_transport,
        fallbacks=settings.tts_fallback,
        client_choices=settings.allow_client_transport,
        policy=Policy(
            attempts=settings.tts_attempts,
            deadline_s=settings.tts_deadline_s,
            hedge_after_s=hedge_ms / 1000 if hedge_ms else None,
            warm_connections=warm_connections(settings),
            streams=StreamLimits(
                first_audio_timeout_s=settings.tts_first_audio_timeout_s,
                stall_timeout_s=settings.tts_stall_timeout_s,
                max_ms_per_char=settings.tts_max_ms_per_char,
            ),
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


def access_options(settings: Settings) -> AccessOptions:
    """Return who may open a session.

    Without any credential a client may come in on loopback, where it is of this machine; where the
    simulator is all there is to use; and where the operator says so.
    """
    keys = parse_keys(key.get_secret_value() for key in settings.client_keys)
    secret, metrics_token = settings.client_jwt_secret, settings.metrics_token
    loopback = is_loopback(settings.host)
    has_credentials = bool(keys or secret or settings.client_jwks_url)
    is_free = settings.costs_nothing
    return AccessOptions(
        client_keys=keys,
        jwt_secret=secret.get_secret_value() if secret else None,
        jwt_audience=settings.client_jwt_audience,
        uses_jwks=settings.client_jwks_url is not None,
        anonymous=settings.allow_anonymous or (not has_credentials and (loopback or is_free)),
        allowed_origins=frozenset(settings.allowed_origins),
        trusted_proxies=tuple(map(ip_network, settings.trusted_proxies)),
        loopback=loopback,
        metrics_token=metrics_token.get_secret_value() if metrics_token else None,
        open_metrics=loopback or (is_free and not has_credentials),
    )


def describe_access(settings: Settings) -> str:
    """Return in a few words who may open a session."""
    access = access_options(settings)
    if not access.anonymous:
        return "clients with a key or a token"
    if access.loopback:
        return "programs of this machine, and pages of this origin"
    if settings.allow_anonymous:
        return "everybody (ALLOW_ANONYMOUS)"
    return "everybody: only the simulator can be used, which costs nothing"


def check_exposure(settings: Settings) -> None:
    """Raise `ConfigurationError` when strangers could spend what the operator pays for."""
    access = access_options(settings)
    has_credentials = access.client_keys or access.jwt_secret or access.uses_jwks
    if access.anonymous or has_credentials:
        return
    raise ConfigurationError(
        f"HOST: {settings.host} is open to strangers, who would spend the credit of the provider "
        "and of the agent. Write one of these lines:\n"
        "  CLIENT_KEYS=name:KEY             your servers open sessions, or mint tokens\n"
        "  CLIENT_JWT_SECRET=SECRET         your servers sign tokens themselves (HS256)\n"
        "  CLIENT_JWKS_URL=https://…        your identity provider signs them\n"
        "  ALLOW_ANONYMOUS=true             everybody may come in\n"
        "  HOST=127.0.0.1                   only programs of this machine"
    )


def usage_limits(settings: Settings) -> UsageLimits:
    """Return how much clients may use; 0 means no limit."""
    return UsageLimits(
        sessions=settings.max_sessions,
        sessions_per_key=settings.max_sessions_per_key,
        sessions_per_address=settings.max_sessions_per_address,
        new_sessions_per_minute=settings.max_new_sessions_per_minute,
        turns_per_minute=settings.max_turns_per_minute,
        turns_per_day=settings.max_turns_per_day,
        chars_per_minute=settings.max_chars_per_minute,
        chars_per_day=settings.max_chars_per_day,
    )


def secrets_of(settings: Settings) -> list[str]:
    """Return every credential, to be masked wherever a text from outside quotes it."""
    secrets = [settings.hamsa_api_key, settings.agent_token, settings.client_jwt_secret]
    secrets += [settings.metrics_token, *settings.client_keys]
    values = [each.get_secret_value() for each in secrets if each is not None]
    # as a whole and without what stands before: `name:` of a client key, `Bearer ` of a token
    return [*values, *(value.rpartition(":")[2].rpartition(" ")[2] for value in values)]


def hamsa_options(settings: Settings, endpoints: Endpoints) -> HamsaOptions:
    """Return how the provider, or its simulator, is reached."""
    return HamsaOptions(
        ws_url=endpoints.ws_url,
        rest_url=endpoints.rest_url,
        key=endpoints.key,
        http2_prior_knowledge=endpoints.http2_prior_knowledge,
        connect_timeout_s=settings.hamsa_connect_timeout_s,
        connect_limit=settings.hamsa_connect_limit,
        connect_window_s=settings.hamsa_connect_window_s,
        max_connections=settings.hamsa_max_connections,
        max_age_s=settings.hamsa_max_age_s,
        idle_timeout_s=settings.hamsa_idle_timeout_s,
        min_idle=settings.hamsa_min_connections,
        max_trailing_audio_s=settings.hamsa_max_trailing_audio_s,
        http=http_limits(settings),
        pool=PoolLimits(
            acquire_timeout_s=settings.hamsa_pool_timeout_s,
            linger_s=settings.hamsa_linger_s,
            drain_timeout_s=settings.hamsa_drain_timeout_s,
            ping_interval_s=settings.hamsa_ping_interval_s,
            ping_timeout_s=settings.hamsa_ping_timeout_s,
        ),
    )


def http_limits(settings: Settings) -> HttpLimits:
    """Return what the provider and the agent may send beside the bodies of their responses."""
    return HttpLimits(
        max_header_line_bytes=settings.http_max_header_line_bytes,
        max_head_bytes=settings.http_max_head_bytes,
        max_headers=settings.http_max_headers,
        max_informational=settings.http_max_informational,
        max_control_frames_per_s=settings.http2_max_control_frames_per_s,
    )


def decoder_limits(settings: Settings) -> DecoderLimits:
    """Return what a decoder process may use for one recording."""
    return DecoderLimits(
        timeout_s=settings.decoder_timeout_s,
        max_input_bytes=settings.max_utterance_bytes,
        max_s=settings.max_utterance_s,
    )


def agent_options(settings: Settings) -> AgentOptions:
    """Return which agent answers, and how long it may take."""
    token = settings.agent_token
    return AgentOptions(
        kind=settings.agent_kind,
        headers={settings.agent_token_header: token.get_secret_value()} if token else {},
        model=settings.agent_model,
        system_prompt=settings.agent_system_prompt,
        history_turns=settings.agent_history_turns,
        history_sessions=settings.agent_history_sessions,
        first_token_timeout_s=settings.agent_first_token_timeout_s,
        between_tokens_timeout_s=settings.agent_between_tokens_timeout_s,
        total_timeout_s=settings.agent_total_timeout_s,
        retry_s=settings.agent_retry_s,
        sends_history=settings.agent_history,
        parser=ParserOptions(
            nodes=settings.agent_node,
            data_nodes=frozenset(settings.agent_data_nodes),
            answer_path=pointer_names(settings.agent_answer_path or ""),
            max_line_bytes=settings.agent_max_line_bytes,
        ),
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
