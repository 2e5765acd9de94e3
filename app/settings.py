"""Every setting: read from the environment and `.env`, checked at start, with its unit in its name.

The docstring of each field says what it does and why its default is what it is; `.env.example` and
the README repeat them for operators. How much others may send and use stands in
`limit_settings.py`, who may come in in `access_settings.py`, who answers in `agent_settings.py`.
Facts about the provider have their source in `docs/hamsa.md`.
"""

import logging
from typing import Annotated, Literal

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsConfigDict

from app.access_settings import AccessSettings
from app.agent_settings import AgentSettings
from app.env_file import ENCODING, ENV_FILE, check_env_file
from app.errors import ConfigurationError
from app.limit_settings import LimitSettings
from app.setting_checks import (
    ClientChoice,
    Credential,
    HttpOrigin,
    RootPath,
    SampleRate,
    Seconds,
    StrategyName,
    StrategyNames,
    WebSocketUrl,
    choice_in_any_case,
)
from app.setting_errors import describe_error
from app.types import Dialect, Language

HAMSA_NAMES = {"websocket", "rest", "auto", "true"}
"""Transports and transcribers that are Hamsa's; `true` is what clients may choose by default."""

BUILT_IN_AGENTS = {"webhook", "openai"}

log = logging.getLogger(__name__)


class Settings(AccessSettings, AgentSettings, LimitSettings):
    """The settings of this process. Use `load()`, whose errors are fit for operators."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding=ENCODING,
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on: loopback, as an open port is a decision. The image sets 0.0.0.0."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 takes a free one and prints it."""
    root_path: RootPath = ""
    """Path under which a proxy serves the gateway, such as `/voice`."""
    log_format: Literal["console", "json"] = "console"
    """`json` for log collectors."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest severity that is logged."""
    log_transcripts: bool = False
    """Whether the log may hold what users and agents say; off, because calls are private."""

    hamsa_api_key: Credential | None = None
    """Key of the speech provider. Without it the embedded simulator does STT and TTS."""
    hamsa_ws_url: WebSocketUrl = "wss://api.tryhamsa.com/v1/realtime/ws"
    """The provider's whole WebSocket URL. The key is sent as a header, never in the URL."""
    hamsa_rest_url: HttpOrigin = "https://api.tryhamsa.com"
    """Scheme and host of the provider's REST API; the gateway adds the paths."""
    hamsa_rest_http2: Literal["auto", "prior_knowledge"] = "auto"
    """`auto`: HTTP/2 if TLS negotiates it. `prior_knowledge`: without TLS, too, for sidecars."""
    hamsa_connect_timeout_s: Seconds = 10.0
    """Longest wait for a connection to open; handshakes of 1.2 s are normal."""
    hamsa_connect_limit: Annotated[int, Field(ge=1, le=100)] = 3
    """Most sockets opened in any window; from about 4 in 20 s the provider truncates audio."""
    hamsa_connect_window_s: Seconds = 20.0
    """Length of that window."""
    hamsa_max_connections: Annotated[int, Field(ge=1, le=1000)] = 8
    """Most sockets open at once, for all sessions together."""
    hamsa_pool_timeout_s: Seconds = 20.0
    """Longest wait for a free socket; one window of the budget."""
    hamsa_ping_interval_s: Seconds = 20.0
    """Time between pings on every socket, which is known to work."""
    hamsa_ping_timeout_s: Seconds = 10.0
    """Longest wait for a pong before a socket counts as dead."""
    hamsa_max_age_s: Seconds = 3300.0
    """Age at which a socket is retired; the provider closes at 60 min."""
    hamsa_linger_s: Annotated[float, Field(ge=0, le=10)] = 0.3
    """How long a socket is watched for trailing audio after an `end`; no caller waits for it."""
    hamsa_idle_timeout_s: Seconds = 300.0
    """How long a socket above the minimum may be idle before it is closed."""
    hamsa_min_connections: Annotated[int, Field(ge=0, le=100)] = 1
    """Sockets that are kept, however long they are idle."""
    hamsa_drain_timeout_s: Seconds = 15.0
    """How long an abandoned stream may drain before its socket is closed."""

    stt_transport: StrategyName = "websocket"
    """Transport for STT: `websocket` (the sockets that TTS uses, so they are warm), `rest`,
    `openai`, or the name of an installed plug-in."""
    stt_fallback: StrategyNames | None = None
    """The transports used when that one fails, in their order; `none` for none. By default the
    other one of `websocket` and `rest`."""
    stt_timeout_s: Seconds = 15.0
    """Longest wait for a transcript by one transport; 2 s is normal."""
    stt_deadline_s: Seconds = 20.0
    """Longest wait for a transcript in all: if one transport hangs, the other has time left."""
    tts_transport: StrategyName = "websocket"
    """Transport for TTS: `websocket`, `rest`, `auto` (a free socket, else REST), `openai`, or the
    name of an installed plug-in."""
    tts_fallback: StrategyNames | None = None
    """The transports used when that one fails, in their order; `none` for none. By default the
    other one of `websocket` and `rest`."""
    allow_client_transport: ClientChoice = ()
    """Whether a client may choose the transport for its session, to compare them: `true` for
    `websocket`, `rest`, `auto` and those named above; or a list of names."""
    tts_lookahead: Annotated[int, Field(ge=0, le=5)] = 1
    """Sentences prefetched while one is played, so that retries cause no silence."""
    first_chunk_min_chars: Annotated[int, Field(ge=0, le=200)] = 25
    """Shortest clause, in characters, that playout may begin with: about two seconds, in which the
    next sentence is made. 0: only a whole sentence."""
    tts_hedge_after_ms: Annotated[int, Field(ge=0, le=60_000)] = 0
    """Silence, in ms, after which a second attempt uses the other transport; 0: never. Both
    attempts are paid for."""
    tts_speaker: Annotated[str, Field(min_length=1, max_length=128)] = "Majd"
    """The provider's voice: its name, or the UUID of a cloned one."""
    tts_dialect: Dialect = "ksa"
    """Dialect of the voice."""
    tts_sample_rate: SampleRate = 16000
    """Samples per second of the speech; the provider offers these two."""
    tts_attempts: Annotated[int, Field(ge=1, le=20)] = 16
    """Most attempts at one sentence. A second one works in 95 % of cases; if every second attempt
    is truncated, sixteen attempts leave one sentence in 65,000 unspoken."""
    tts_deadline_s: Seconds = 20.0
    """Longest search for a working attempt, at the start of a sentence and after each failure."""
    tts_first_audio_timeout_s: Seconds = 3.0
    """Longest wait for the first audio of an attempt; 0.3 to 0.6 s is normal, 1.7 s was seen."""
    tts_stall_timeout_s: Seconds = 2.0
    """Longest wait for more audio of an attempt; the caller still hears what came before."""
    language: Language = "ar"
    """Language of speech, status and error texts, until a client configures another."""

    vad_threshold: Annotated[float, Field(ge=0.1, le=0.95)] = 0.5
    """Probability from which the VAD model's result counts as speech; Silero's own default."""
    vad_min_speech_ms: Annotated[int, Field(ge=32, le=2000)] = 160
    """Shortest speech that begins a turn; «لا» lasts twice as long."""
    vad_silence_ms: Annotated[int, Field(ge=100, le=5000)] = 500
    """Pause that ends a turn, as in OpenAI's Realtime API. Less cuts users short, more keeps them
    waiting."""
    vad_pre_roll_ms: Annotated[int, Field(ge=0, le=2000)] = 300
    """Audio before the detected speech that is kept: the model misses weak first consonants."""
    barge_in_min_speech_ms: Annotated[int, Field(ge=32, le=5000)] = 400
    """Shortest speech that interrupts a response; «اه» lasts half as long."""
    stt_early: bool = False
    """Whether STT begins at a pause of 200 ms, and is dropped if the user goes on. It saves 300 ms
    a turn, and is paid for twice where users pause."""

    simulator_profile: Literal["fast", "instant", "measured"] = "fast"
    """Timing of the embedded simulator; `measured` is as slow as the real provider was."""
    simulator_voice: Literal["auto", "espeak", "hum"] = "auto"
    """Voice of the embedded simulator; `auto` speaks Arabic where espeak-ng is installed."""
    simulator_script: str | None = None
    """File with the transcripts that the simulator returns, one line a turn."""

    @field_validator("simulator_profile", mode="before")
    @classmethod
    def _old_profile_name(cls, value: object) -> object:
        if value != "seed":
            return value
        log.warning("SIMULATOR_PROFILE=seed is deprecated; use SIMULATOR_PROFILE=measured")
        return "measured"

    @field_validator("hamsa_min_connections")
    @classmethod
    def _check_min_connections(cls, value: int, info: ValidationInfo) -> int:
        if value > (most := info.data.get("hamsa_max_connections", value)):
            raise ValueError(f"must be at most HAMSA_MAX_CONNECTIONS ({most}), got {value}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _strip(cls, values: dict[str, object]) -> dict[str, object]:
        """Remove whitespace around values, such as line ends of files; unset what is empty then."""
        stripped = {k: v.strip() if isinstance(v, str) else v for k, v in values.items()}
        return {name: value for name, value in stripped.items() if value != ""}

    @field_validator("*", mode="before")
    @classmethod
    def _accept_any_case(cls, value: object, info: ValidationInfo) -> object:
        return choice_in_any_case(value, cls.model_fields[str(info.field_name)])

    @property
    def uses_hamsa(self) -> bool:
        """Return whether anything is spoken or transcribed by Hamsa, or by its simulator."""
        return bool(self._speech_names & HAMSA_NAMES)

    @property
    def simulates_speech(self) -> bool:
        """Return whether the simulator stands in for Hamsa."""
        return self.hamsa_api_key is None and self.uses_hamsa

    @property
    def simulates_agent(self) -> bool:
        """Return whether the simulator stands in for the agent."""
        return self.agent_webhook_url is None and self.agent_kind in BUILT_IN_AGENTS

    @property
    def costs_nothing(self) -> bool:
        """Return whether the simulator is all that speaks, transcribes and answers."""
        simulated = self.simulates_speech and self.simulates_agent
        return simulated and self._speech_names <= HAMSA_NAMES

    @property
    def _speech_names(self) -> set[str]:
        """The transports and transcribers that may be used."""
        names = {self.tts_transport, self.stt_transport, *self.allow_client_transport}
        return names | {*(self.tts_fallback or ()), *(self.stt_fallback or ())}


def load() -> Settings:
    """Read the settings. Raises `ConfigurationError` with one line for each wrong setting."""
    check_env_file(ENV_FILE)
    try:
        return Settings()
    except ValidationError as error:
        lines = [_describe(details) for details in error.errors(include_url=False)]
    # Raised here, as a cause would carry the rejected values, and one may be a key.
    raise ConfigurationError("\n".join(lines))


def _describe(error: ErrorDetails) -> str:
    name = str(error["loc"][0])
    return f"{name.upper()}: {describe_error(error, Settings.model_fields[name])}"
