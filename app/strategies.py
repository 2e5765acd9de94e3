"""The strategies that the settings choose: those of providers, and those of plug-ins.

Plug-ins are built before the gateway listens, so that their mistakes are one line at the start. The
strategies of Hamsa and the built-in agents need addresses, which may be those of a simulator that
starts later.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import structlog
from pydantic import SecretStr

from app import options
from app.agents.base import Agent
from app.agents.bounded import BoundedAgent
from app.agents.built_in import NAMES as AGENT_NAMES
from app.agents.built_in import make_agent
from app.agents.client import make_client
from app.endpoints import Endpoints
from app.errors import ConfigurationError
from app.hamsa.provider import NAMES as HAMSA_NAMES
from app.hamsa.provider import HamsaProvider
from app.openai.stt import OpenAITranscriber
from app.openai.tts import OpenAITransport
from app.plugins import Registry
from app.resources import Resources
from app.settings import Settings
from app.stt.base import Transcriber
from app.stt.bounded import BoundedTranscriber
from app.stt.fallback import FallbackTranscriber
from app.telemetry.availability import Availability
from app.telemetry.speech_metrics import SpeechMetrics
from app.transports import composition
from app.transports.base import SpeechSynthesizer, TTSTransport
from app.transports.composition import AUTO, choice_names, route_names

CLOSE_TIMEOUT_S = 2.0
"""Longest closing of a plug-in: a stop has 5 s for all (`app/serving/process.py`)."""

log = structlog.get_logger(__name__)

TTS_TRANSPORTS = Registry[TTSTransport](
    "nabra.tts_transports",
    TTSTransport,
    built_in={"openai": OpenAITransport},
    reserved=(*HAMSA_NAMES, AUTO),
)
TRANSCRIBERS = Registry[Transcriber](
    "nabra.transcribers",
    Transcriber,
    built_in={"openai": OpenAITranscriber},
    reserved=HAMSA_NAMES,
)
AGENTS = Registry[Agent]("nabra.agents", Agent, reserved=AGENT_NAMES)


@dataclass(slots=True)
class PlugIns:
    """The chosen strategies that are not Hamsa's, nor a built-in agent."""

    transports: dict[str, TTSTransport] = field(default_factory=dict)
    transcribers: dict[str, Transcriber] = field(default_factory=dict)
    agent: Agent | None = None
    resources: Resources = field(default_factory=Resources)


def load_plugins(settings: Settings) -> PlugIns:
    """Build the plug-ins that the settings choose.

    Raises `ConfigurationError` for an unknown name, a useless fallback, or an unusable plug-in.
    """
    plug_ins = PlugIns(resources=Resources(options.http_limits(settings)))
    resources = plug_ins.resources
    speech = options.speech_options(settings)
    for variable, name in _transport_names(settings):
        if name not in (*HAMSA_NAMES, AUTO, *plug_ins.transports):
            transport = TTS_TRANSPORTS.build(name, resources, variable=variable)
            plug_ins.transports[name] = transport
    route_names(speech)  # refuses a useless fallback
    for number, name in enumerate(transcriber_names(settings)):
        if name not in HAMSA_NAMES:
            variable = "STT_FALLBACK" if number else "STT_TRANSPORT"
            transcriber = TRANSCRIBERS.build(name, resources, variable=variable)
            bounded = BoundedTranscriber(transcriber, timeout_s=settings.stt_timeout_s)
            plug_ins.transcribers[name] = bounded
    if settings.agent_kind not in AGENT_NAMES:
        agent = AGENTS.build(settings.agent_kind, resources, variable="AGENT_KIND")
        plug_ins.agent = BoundedAgent(
            agent,
            first_token_timeout_s=settings.agent_first_token_timeout_s,
            between_tokens_timeout_s=settings.agent_between_tokens_timeout_s,
            total_timeout_s=settings.agent_total_timeout_s,
        )
    return plug_ins


async def close_all(strategies: Iterable[TTSTransport | Transcriber | Agent]) -> None:
    """Close strategies, whatever goes wrong with any of them."""
    await asyncio.gather(*map(_close, strategies))


async def _close(strategy: TTSTransport | Transcriber | Agent) -> None:
    """Close a strategy; what goes wrong with it must not keep the gateway from stopping."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await strategy.aclose()
    except Exception as error:  # noqa: BLE001 - plug-ins are strangers
        log.warning("strategy did not close", strategy=strategy.name, error=type(error).__name__)


class Strategies:
    """What transcribes, answers and speaks in this process: each is built once, and closed once."""

    def __init__(self, settings: Settings, endpoints: Endpoints, plug_ins: PlugIns) -> None:
        self.metrics = SpeechMetrics()
        """Counts the synthesis attempts of all sessions."""
        self.hamsa = HamsaProvider(
            options.hamsa_options(settings, endpoints),
            transcript_timeout_s=settings.stt_timeout_s,
        )
        self._availability: dict[str, Availability] = {}
        self._settings = settings
        self._speech = options.speech_options(settings)
        self._plug_ins = plug_ins
        self._transports = dict(plug_ins.transports)
        self._transcribers = dict(plug_ins.transcribers)
        self._agent_url = endpoints.agent_url
        self._agent: Agent | None = plug_ins.agent

    async def start(self, stack: AsyncExitStack) -> None:
        """Start what the strategies are built of; `stack` closes it, the strategies first."""
        await self.hamsa.start(stack)
        await self._plug_ins.resources.start(stack)
        if self._agent is None:
            client = make_client(
                self._agent_url,
                connect_timeout_s=self._settings.agent_connect_timeout_s,
                limits=options.http_limits(self._settings),
            )
            stack.push_async_callback(client.aclose)
            chosen = options.agent_options(self._settings)
            self._agent = make_agent(chosen, client, self._agent_url)
        stack.push_async_callback(self._close)

    def transport(self, name: str) -> TTSTransport:
        """Return the transport of this name, which all compositions share."""
        if name not in self._transports:
            self._transports[name] = self.hamsa.transport(name)
        return self._transports[name]

    def synthesizer(self) -> SpeechSynthesizer:
        """Build what speaks to clients that choose nothing."""
        return composition.compose(self._speech, self.transport, self.metrics, self._availability)

    def choices(self) -> Mapping[str, SpeechSynthesizer]:
        """Build what clients may choose, by name."""
        return composition.compose_choices(
            self._speech, self.transport, self.metrics, self._availability
        )

    def transcriber(self) -> Transcriber:
        """Build the chosen transcriber, with its fallbacks behind it."""
        names = transcriber_names(self._settings)
        for name in names:
            if name not in self._transcribers:
                self._transcribers[name] = self.hamsa.transcriber(name)
        chosen = [self._transcribers[name] for name in names]
        return FallbackTranscriber(chosen, deadline_s=self._settings.stt_deadline_s)

    def agent(self) -> Agent:
        """Return the chosen agent, after `start`."""
        assert self._agent is not None
        return self._agent

    async def _close(self) -> None:
        transports, transcribers = self._transports.values(), self._transcribers.values()
        await close_all([self.agent(), *transports, *transcribers])


def transcriber_names(settings: Settings) -> tuple[str, ...]:
    """Return the chosen transcribers in their order. Raises `ConfigurationError`."""
    chosen, fallbacks = settings.stt_transport, settings.stt_fallback
    if fallbacks is None:
        fallbacks = tuple(each for each in HAMSA_NAMES if each != chosen)
        fallbacks = fallbacks if chosen in HAMSA_NAMES else ()
    names = (chosen, *fallbacks)
    if len(set(names)) < len(names):
        raise ConfigurationError(
            "STT_FALLBACK: must differ from STT_TRANSPORT, and name each transcriber once, got "
            f"{', '.join(fallbacks)}; write none for no fallback"
        )
    return names


def strategy_names(settings: Settings) -> dict[str, object]:
    """Return who transcribes, answers and speaks: the names, each with its fallbacks after it."""
    return {
        "stt": transcriber_names(settings),
        "agent": settings.agent_kind,
        "tts": route_names(options.speech_options(settings)),
    }


def plug_in_secrets(plug_ins: PlugIns) -> list[str]:
    """Return every credential in the settings of plug-ins, to be masked in the log."""
    return [value.get_secret_value() for value in _secrets(plug_ins.resources)]


def _secrets(resources: Resources) -> Iterator[SecretStr]:
    for settings in resources.settings:
        for value in settings.model_dump().values():
            if isinstance(value, SecretStr):
                yield value


def _transport_names(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the chosen transports, each with the setting that names it."""
    yield "TTS_TRANSPORT", settings.tts_transport
    for name in settings.tts_fallback or ():
        yield "TTS_FALLBACK", name
    for name in choice_names(options.speech_options(settings)):
        yield "ALLOW_CLIENT_TRANSPORT", name
