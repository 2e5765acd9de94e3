"""The addresses of provider and agent: the real ones, or the simulator's."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from app import __version__
from app.errors import ConfigurationError
from app.net.proxy import proxy_for
from app.settings import HAMSA_NAMES, Settings
from app.simulator import espeak, transcripts
from app.simulator.child import SimulatorProcess
from app.simulator.control_client import ControlClient

SIMULATOR_KEY = "simulator"
"""The simulator accepts any key."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where provider and agent are, and the key of the provider.

    Either may be the simulator.
    """

    ws_url: str
    rest_url: str
    key: str
    http2_prior_knowledge: bool
    agent_url: str
    """Empty when the agent is a plug-in."""
    simulated_voice: str | None = None
    """Voice of the simulator; None when it does not stand in for Hamsa."""
    simulator: ControlClient | None = None
    """Client of the simulator's control API; None if no simulator runs."""


async def resolve_endpoints(settings: Settings, stack: AsyncExitStack) -> Endpoints:
    """Return the configured endpoints; start a simulator on `stack` for what is not configured."""
    simulated: dict[str, str] = {}
    control = None
    if settings.simulates_speech or settings.simulates_agent:
        arguments = [
            f"--profile={settings.simulator_profile}",
            f"--voice={settings.simulator_voice}",
        ]
        if settings.simulator_script:
            arguments.append(f"--script={settings.simulator_script}")
        simulated = (await stack.enter_async_context(SimulatorProcess(arguments))).urls
        control = await stack.enter_async_context(ControlClient(simulated["control_url"]))
    agent_url = settings.agent_webhook_url or simulated.get("agent_webhook_url", "")
    if settings.simulates_speech:
        return Endpoints(
            ws_url=simulated["hamsa_ws_url"],
            rest_url=simulated["hamsa_rest_url"],
            key=SIMULATOR_KEY,
            http2_prior_knowledge=True,
            agent_url=agent_url,
            simulated_voice=simulated["voice"],
            simulator=control,
        )
    return Endpoints(
        ws_url=settings.hamsa_ws_url,
        rest_url=settings.hamsa_rest_url,
        key=settings.hamsa_api_key.get_secret_value() if settings.hamsa_api_key else "",
        http2_prior_knowledge=settings.hamsa_rest_http2 == "prior_knowledge",
        agent_url=agent_url,
        simulator=control,
    )


def check_endpoints(settings: Settings) -> None:
    """Raise `ConfigurationError` if a proxy cannot be used, or the simulator could not start.

    Checked here, as the simulator is another process: its error would be a traceback in this one.
    """
    if settings.uses_hamsa and not settings.simulates_speech:
        proxy_for(settings.hamsa_rest_url)
    if settings.agent_webhook_url is not None:
        proxy_for(settings.agent_webhook_url)
    if settings.simulates_speech or settings.simulates_agent:
        _check_simulator(settings)


def _check_simulator(settings: Settings) -> None:
    """Check what the simulator would only find out in its own process."""
    if settings.simulator_voice == "espeak" and not espeak.is_installed():
        raise ConfigurationError(
            "SIMULATOR_VOICE: must be auto or hum, got 'espeak', as espeak-ng is not installed"
        )
    if settings.simulator_script is None:
        return
    try:
        transcripts.read_lines(Path(settings.simulator_script))
    except OSError as error:
        reason = f"cannot read {settings.simulator_script}: {error.strerror}"
        raise ConfigurationError(f"SIMULATOR_SCRIPT: {reason}") from None
    except ValueError as error:
        raise ConfigurationError(f"SIMULATOR_SCRIPT: {error}") from None


def startup_banner(settings: Settings, endpoints: Endpoints) -> tuple[str, ...]:
    """Return the lines that the operator is told at the start: version, STT, agent, TTS."""
    hamsa = "Hamsa" if endpoints.simulated_voice is None else "simulator"
    stt, tts = settings.stt_transport, settings.tts_transport
    simulates_stt = settings.simulates_speech and stt in HAMSA_NAMES
    transcripts = ": transcripts come from a script" if simulates_stt else ""
    simulates_tts = settings.simulates_speech and tts in HAMSA_NAMES
    voice = f", voice {endpoints.simulated_voice}" if simulates_tts else ""
    agent = "simulator" if settings.simulates_agent else settings.agent_kind
    return (
        f"Nabra  {__version__}",
        f"STT    {_who(hamsa, stt)}{transcripts}{_then(hamsa, settings.stt_fallback)}",
        f"Agent  {agent}",
        f"TTS    {_who(hamsa, tts)}{voice}, {settings.tts_sample_rate} Hz"
        + _then(hamsa, settings.tts_fallback),
    )


def _who(hamsa: str, name: str) -> str:
    return f"{hamsa} by {name}" if name in HAMSA_NAMES else name


def _then(hamsa: str, fallbacks: Iterable[str] | None) -> str:
    """Name the fallbacks that the operator has chosen."""
    names = [_who(hamsa, name) for name in fallbacks or ()]
    return f"; if that fails: {', '.join(names)}" if names else ""
