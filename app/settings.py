"""Every knob: read from the environment and `.env`, checked at start, unit in the name.

The docstring under each field says what it does and why its default is what it is;
`.env.example` and the README repeat them for operators.
"""

from io import StringIO
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from yarl import URL

from app.errors import ConfigurationError
from app.types import Dialect, Language

SYSTEM_PROMPT = (
    "أنت مساعد صوتي، وكلامك يُسمع ولا يُقرأ. أجب بلغة السائل بجمل قصيرة واضحة كما يتحدث الناس، "
    "بلا Markdown ولا قوائم ولا رموز تعبيرية."
)
"""What a model must know to write for the ear."""

ENV_FILE = Path(".env")

ENCODING = "utf-8-sig"
"""UTF-8, also with the mark that Windows puts before it."""

Seconds = Annotated[float, Field(gt=0, le=3600)]


def _url(*schemes: str, path: bool) -> AfterValidator:
    """Check a URL: scheme, host, no credential in it, and a path only where one is ours to keep."""

    def check(value: str) -> str:
        parts = urlsplit(value)
        if " " in parts.netloc or not value.isprintable():
            raise ValueError("must be a URL; this one holds a space or an invisible character")
        try:
            parts.port  # noqa: B018 - reading it checks it
        except ValueError:
            raise ValueError("has a port that is none; allowed: 0 to 65535") from None
        try:
            (URL(value).host or "").encode("idna")
        except ValueError:
            raise ValueError("must be a URL of a host; this name can be none") from None
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(
                f"must be a URL that begins with {' or '.join(f'{s}://' for s in schemes)}"
            )
        if "api_key" in parts.query.lower() or "@" in parts.netloc:
            raise ValueError("must hold no key or password; set the key in its own variable")
        if not path and (parts.path.strip("/") or parts.query):
            raise ValueError("takes scheme and host only, for example https://api.example.com")
        return value if path else value.rstrip("/")

    return AfterValidator(check)


def _check_key(key: SecretStr) -> SecretStr:
    """Refuse what no header may hold: it would fail each request, or be another header."""
    text = key.get_secret_value()
    if not (text.isascii() and text.isprintable()):
        raise ValueError("holds a character that cannot be sent, as curly quotes or a line break")
    return key


Key = Annotated[SecretStr, AfterValidator(_check_key)]


def _number(value: object) -> object:
    """Read a number: the environment holds nothing but text, and a literal is strict."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class Settings(BaseSettings):
    """What this process is told. Use `load()`: it raises an error that people can read."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding=ENCODING,
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on; an open port is a decision, so loopback. The image sets 0.0.0.0."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 takes a free one and says which."""
    log_format: Literal["console", "json"] = "console"
    """`json` for log collectors."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""
    log_transcripts: bool = False
    """Whether the log may hold what people said; off, because calls are private."""

    hamsa_api_key: Key | None = None
    """Key of the speech provider. Without it the embedded simulator speaks and listens."""
    hamsa_ws_url: Annotated[str, _url("ws", "wss", path=True)] = (
        "wss://api.tryhamsa.com/v1/realtime/ws"
    )
    """The provider's whole socket URL. The key travels as a header, never in the URL."""
    hamsa_rest_url: Annotated[str, _url("http", "https", path=False)] = "https://api.tryhamsa.com"
    """Scheme and host of the provider's REST API; the paths are ours."""
    hamsa_rest_http2: Literal["auto", "prior_knowledge"] = "auto"
    """`auto`: HTTP/2 where TLS agrees on it. `prior_knowledge`: on plain text too, for sidecars."""
    hamsa_connect_timeout_s: Seconds = 10.0
    """Longest wait for a socket or connection to open; handshakes of 1.2 s are normal."""
    hamsa_connect_limit: Annotated[int, Field(ge=1, le=100)] = 3
    """Sockets opened in any window; about 4 in 20 s is known to make the provider truncate."""
    hamsa_connect_window_s: Seconds = 20.0
    """Length of that window."""
    hamsa_max_connections: Annotated[int, Field(ge=1, le=1000)] = 8
    """Most sockets open at once, for all sessions together."""
    hamsa_pool_timeout_s: Seconds = 20.0
    """Longest wait for a socket to come free; one window of the budget."""
    hamsa_ping_interval_s: Seconds = 20.0
    """Time between pings on every socket, as the provider's users found to work."""
    hamsa_ping_timeout_s: Seconds = 10.0
    """Longest wait for a pong before a socket counts as dead."""
    hamsa_max_age_s: Seconds = 3300.0
    """Age at which a socket is retired; the provider closes at 60 min."""
    hamsa_linger_s: Annotated[float, Field(ge=0, le=10)] = 0.3
    """How long a socket is watched for audio that comes after its `end`; nobody waits for it."""
    hamsa_idle_timeout_s: Seconds = 300.0
    """How long a socket above the minimum may go without use before it is closed."""
    hamsa_min_connections: Annotated[int, Field(ge=0, le=100)] = 1
    """Sockets kept however long they are idle."""
    hamsa_drain_timeout_s: Seconds = 15.0
    """How long an abandoned answer may drain before its socket is closed instead."""

    agent_kind: Literal["webhook", "openai"] = "webhook"
    """What answers: a webhook, as n8n's, or a model behind OpenAI's chat completions."""
    agent_webhook_url: Annotated[str, _url("http", "https", path=True)] | None = Field(
        default=None, validate_default=True
    )
    """The agent's whole URL; for a model, that of its `…/v1/chat/completions`. Without it the
    simulator's agent answers."""
    agent_model: str | None = Field(default=None, validate_default=True)
    """The model's name, as the API knows it."""
    agent_system_prompt: str = SYSTEM_PROMPT
    """What the model is told before each conversation."""
    agent_history_turns: Annotated[int, Field(ge=0, le=1000)] = 20
    """Earlier turns that the model is reminded of; more cost more and come later."""
    agent_history_sessions: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Sessions that are remembered; beyond them the one longest unused is forgotten."""
    agent_node: str | None = None
    """The n8n node to speak; default: the first that says something."""
    agent_token: Key | None = None
    """Sent as the value of `AGENT_TOKEN_HEADER`, as it stands (write `Bearer …` if it is one)."""
    agent_token_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] = "Authorization"  # noqa: S105
    """Header that carries `AGENT_TOKEN`."""
    agent_connect_timeout_s: Seconds = 5.0
    """Longest wait for a connection to the agent."""
    agent_first_token_timeout_s: Seconds = 30.0
    """Longest wait for the first word; agents that call tools think for long."""
    agent_between_tokens_timeout_s: Seconds = 15.0
    """Longest silence inside an answer; keep-alives do not count."""
    agent_total_timeout_s: Seconds = 120.0
    """Longest answer; n8n can leave a failed one open for ever."""

    stt_transport: Literal["websocket", "rest"] = "websocket"
    """Way to speech-to-text. The socket is the one that TTS uses, so it is warm."""
    stt_timeout_s: Seconds = 15.0
    """Longest wait for a transcript by one way; 2 s is normal."""
    stt_deadline_s: Seconds = 20.0
    """Longest wait for a transcript in all: should one way hang, there is time for the other."""
    tts_transport: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "websocket"
    """Way to text-to-speech: `websocket`, `rest`, `auto` (a socket that is free, else REST), or the
    name of an installed plug-in."""
    tts_fallback: Literal["websocket", "rest", "none"] | None = None
    """The way taken when that one fails; by default the other of the two."""
    allow_client_transport: bool = False
    """Whether a client may choose another way for its session, to compare them."""
    tts_lookahead: Annotated[int, Field(ge=0, le=5)] = 1
    """Sentences made ahead of the one that is heard, so that a repair is not heard either."""
    first_chunk_min_chars: Annotated[int, Field(ge=0, le=200)] = 25
    """Shortest clause, in characters, that an answer's speech begins with: some two seconds, in
    which what follows is made. 0: only a whole sentence."""
    tts_hedge_after_ms: Annotated[int, Field(ge=0, le=60_000)] = 0
    """Silence after which a second attempt goes the other way; 0 never does. It is paid for."""
    tts_speaker: Annotated[str, Field(min_length=1, max_length=128)] = "Majd"
    """The provider's voice, by name or by the UUID of a cloned one."""
    tts_dialect: Dialect = "ksa"
    """Dialect spoken."""
    tts_sample_rate: Annotated[Literal[8000, 16000], BeforeValidator(_number)] = 16000
    """Samples per second of the speech; the provider makes these two."""
    tts_attempts: Annotated[int, Field(ge=1, le=20)] = 16
    """Most attempts at one sentence. A second works in 95 % of cases; when every second answer is
    truncated, sixteen leave one sentence in 65,000 unspoken."""
    tts_deadline_s: Seconds = 20.0
    """Longest search for a good answer, at the beginning of a sentence and after each break."""
    tts_first_audio_timeout_s: Seconds = 3.0
    """Longest wait for the first audio of an attempt; 0.3 to 0.6 s is normal, 1.7 s was seen."""
    tts_stall_timeout_s: Seconds = 2.0
    """Longest silence inside an answer; the caller still hears what came before."""
    language: Language = "ar"
    """Language of speech, and of status and error texts, until a client configures another."""

    max_utterance_bytes: Annotated[int, Field(ge=1024, le=256 * 1024 * 1024)] = 10 * 1024 * 1024
    """Largest recording accepted, after base64."""
    max_utterance_s: Seconds = 120.0
    """Longest recording accepted."""
    max_text_chars: Annotated[int, Field(ge=1, le=1_000_000)] = 4000
    """Longest typed turn accepted, in characters; two minutes of speech have half of that."""

    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Most client connections at once; fewer where the system allows fewer open files."""
    handshake_timeout_s: Seconds = 10.0
    """Longest time from the opening of a connection to a whole request and an accepted handshake;
    a phone on a bad network needs some 3 s."""
    message_timeout_s: Seconds = 60.0
    """Longest time from the first byte of a message to its last; 10 MB of audio in base64 take as
    long at 2 Mbit/s."""
    max_messages_per_s: Annotated[float, Field(ge=1, le=10_000)] = 200.0
    """Messages of one client beyond this wait; a microphone in frames of 10 ms sends 100."""

    vad_threshold: Annotated[float, Field(ge=0.1, le=0.95)] = 0.5
    """Probability from which the model's verdict is speech; Silero's own default."""
    vad_min_speech_ms: Annotated[int, Field(ge=32, le=2000)] = 160
    """Shortest speech that begins a turn; «لا» has twice that."""
    vad_silence_ms: Annotated[int, Field(ge=100, le=5000)] = 500
    """Pause that ends a turn; what OpenAI's Realtime API has. Less cuts people short, more keeps
    them waiting."""
    vad_pre_roll_ms: Annotated[int, Field(ge=0, le=2000)] = 300
    """Audio before the first syllable that is kept, as weak consonants are no speech to a model."""
    barge_in_min_speech_ms: Annotated[int, Field(ge=32, le=5000)] = 400
    """Speech that interrupts an answer; «اه» has half of it."""
    stt_early: bool = False
    """Whether speech-to-text begins at a pause of 200 ms, to be thrown away if the caller goes on.
    It saves 300 ms a turn, and is paid for twice where people pause."""

    simulator_profile: Literal["fast", "instant", "seed"] = "fast"
    """Timing of the embedded simulator; `seed` is as slow as the real provider was measured."""
    simulator_voice: Literal["auto", "espeak", "hum"] = "auto"
    """Voice of the embedded simulator; `auto` speaks Arabic where espeak-ng is installed."""
    simulator_script: str | None = None
    """File with what the simulator pretends to hear, one line a turn."""

    @field_validator("hamsa_min_connections")
    @classmethod
    def _kept_of_those_allowed(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data.get("hamsa_max_connections", value):
            raise ValueError("must not be more than HAMSA_MAX_CONNECTIONS")
        return value

    @model_validator(mode="before")
    @classmethod
    def _strip(cls, values: dict[str, object]) -> dict[str, object]:
        """Drop what files bring along around values; a value of nothing but blanks is unset."""
        stripped = {k: v.strip() if isinstance(v, str) else v for k, v in values.items()}
        return {name: value for name, value in stripped.items() if value != ""}

    @field_validator("agent_webhook_url", "agent_model")
    @classmethod
    def _needed_for_a_model(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("agent_kind") == "openai":
            raise ValueError("must be set when AGENT_KIND is openai")
        return value

    @property
    def simulates_speech(self) -> bool:
        """Whether the simulator stands in for the speech provider."""
        return self.hamsa_api_key is None

    @property
    def simulates_agent(self) -> bool:
        """Whether the simulator stands in for the agent."""
        return self.agent_webhook_url is None


def load() -> Settings:
    """Read the settings. Raises `ConfigurationError` with a line for each wrong variable."""
    _check_file(ENV_FILE)
    try:
        return Settings()
    except ValidationError as error:
        lines = (
            f"{'.'.join(str(part) for part in item['loc'][:1]).upper()}: "
            f"{item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False, include_url=False)
        )
        # The cause would carry the rejected input, and that may be a key.
        raise ConfigurationError("\n".join(lines)) from None


def _check_file(path: Path) -> None:
    """Refuse a file that cannot be read as it was meant: its keys would seem not to be set."""
    try:
        text = path.read_text(encoding=ENCODING) if path.is_file() else ""
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not UTF-8; save it as UTF-8") from None
    wrong = [each.original.line for each in parse_stream(StringIO(text)) if each.error]
    if wrong:
        complaint = "is not NAME=value, or a quote is left open"
        raise ConfigurationError("\n".join(f"{path}: line {line} {complaint}" for line in wrong))
