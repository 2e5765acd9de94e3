"""The command line: `nabra serve`, `check`, `simulate`, `talk`, and `nabra --version`."""

# ruff: noqa: PLC0415 - each command imports only what it needs, so that `--help` is fast

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from app import __version__

if TYPE_CHECKING:
    from app.simulator.config import SimulatorConfig

commands = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"nabra {__version__}")
        raise typer.Exit


@commands.callback()
def nabra(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Real-time voice-agent gateway for Arabic."""


@commands.command()
def serve() -> None:
    """Start the gateway.

    Environment variables and a file `.env` configure it; `.env.example` explains each. Without any
    it listens on http://127.0.0.1:8000 and uses an embedded simulator.
    """
    from app.serving.process import serve as run

    # Ctrl-C is the regular end of a server at a terminal, so make must not report an error.
    with suppress(KeyboardInterrupt):
        run()


@commands.command()
def check(
    *,
    text: Annotated[str, typer.Option(help="What the agent is asked.")] = "مرحبا",
) -> None:
    """Check the settings, the provider and the agent, and say what to do.

    The provider speaks one word by each transport, and the agent answers one turn of the session
    `nabra-check`: both may be paid for. Without a key or a webhook the simulator is checked
    instead. The exit code is 1 if a gateway with these settings would not work.
    """
    from app.check.command import run

    if not run(text, typer.echo):
        raise typer.Exit(1)


@commands.command()
def simulate(
    *,
    profile: Annotated[str, typer.Option(help="Timing: fast, instant or measured.")] = "fast",
    seed: Annotated[int, typer.Option(help="Decides which requests faults strike.")] = 0,
    voice: Annotated[str, typer.Option(help="auto, espeak (Arabic speech) or hum.")] = "auto",
    script: Annotated[
        Path | None,
        typer.Option(help="File of transcripts: UTF-8, one line a turn.", show_default=False),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PROBABILITY",
            help="For example truncated=0.35; may be repeated.",
            show_default=False,
        ),
    ] = None,
    throttle: Annotated[
        str | None,
        typer.Option(
            metavar="LIMIT/SECONDS[:MODE]",
            help="Most sockets opened in a time, for example 4/20; the others get 640 bytes of "
            "audio, or are refused with 4/20:refused.",
            show_default=False,
        ),
    ] = None,
    ws_port: Annotated[int, typer.Option(help="Port of the WebSocket; 0 takes a free one.")] = 0,
    http_port: Annotated[int, typer.Option(help="Port of all HTTP; 0 takes a free one.")] = 0,
    key: Annotated[
        str | None, typer.Option(help="The only key to accept; default: any.", show_default=False)
    ] = None,
) -> None:
    """Run only the simulator of speech provider and agent.

    It prints the settings with which a gateway uses it, and runs until Ctrl-C.
    """
    config = _simulator_config(
        fault or (),
        throttle,
        script,
        profile=profile,
        seed=seed,
        voice=voice,
        ws_port=ws_port,
        http_port=http_port,
        key=key,
    )
    _run_simulator(config, key or "any")


def _simulator_config(
    faults: Sequence[str], throttle: str | None, script: Path | None, **values: Any
) -> "SimulatorConfig":
    """Build the configuration; what is wrong with an option is an error of usage, exit code 2."""
    from app.simulator.__main__ import parse_fault, parse_throttle
    from app.simulator.config import SimulatorConfig
    from app.simulator.faults import FAULT_NAMES
    from app.simulator.transcripts import read_lines

    try:
        values["faults"] = dict(map(parse_fault, faults))
        if unknown := values["faults"].keys() - set(FAULT_NAMES):
            raise ValueError(f"fault must be one of {', '.join(FAULT_NAMES)}, got {min(unknown)!r}")
        values["throttle"] = parse_throttle(throttle) if throttle else None
        values["script"] = read_lines(script) if script else None
        return SimulatorConfig.validated(values)
    except OSError as error:
        _fail(f"cannot read {script}: {error.strerror}")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _run_simulator(config: "SimulatorConfig", key: str) -> None:
    from app.simulator.server import run

    failures: list[str] = []
    try:
        run(config, announce=lambda line: typer.echo(_instructions(line, key)))
    except* OSError as group:
        # Reported below: what is raised in here would become part of the group.
        failures = [str(error) for error in group.exceptions]
    if failures:
        _fail(f"the simulator cannot start: {failures[0]}")


def _instructions(announcement: str, key: str) -> str:
    """Return the settings with which a gateway uses the simulator, as lines of a `.env`."""
    found = json.loads(announcement)
    return f"""\
# The simulator listens (voice {found["voice"]}, profile {found["profile"]}, seed {found["seed"]}).
# Start a gateway with these settings:
HAMSA_API_KEY={key}
HAMSA_WS_URL={found["hamsa_ws_url"]}
HAMSA_REST_URL={found["hamsa_rest_url"]}
HAMSA_REST_HTTP2=prior_knowledge
AGENT_WEBHOOK_URL={found["agent_webhook_url"]}
# A second provider, for TTS_FALLBACK=openai or STT_FALLBACK=rest,openai:
OPENAI_BASE_URL={found["openai_base_url"]}
OPENAI_API_KEY={key}
# Change faults while it runs: PATCH {found["control_url"]}"""


@commands.command()
def talk(
    *,
    audio: Annotated[
        Path | None,
        typer.Option(help="Send this recording: WAV, WebM, Ogg, MP3 or M4A.", show_default=False),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="Send this text; several are several turns.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Save the audio of the response as WAV; further turns get a number (out-2.wav).",
            show_default=False,
        ),
    ] = None,
    url: Annotated[str, typer.Option(help="URL of the gateway.")] = "ws://127.0.0.1:8000/ws/agent/",
    session: Annotated[
        str | None, typer.Option(help="Id of the session; default: a new one.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="NABRA_TOKEN",
            help="Token or client key, where the gateway needs one; better in the environment, "
            "which other users of the machine cannot read.",
            show_default=False,
        ),
    ] = None,
    timeout_s: Annotated[
        float, typer.Option(min=0.1, help="Give up when the gateway sends nothing for so long.")
    ] = 60.0,
) -> None:
    """Talk to a gateway, and print the latencies of each turn.

    Sends a recording (--audio), texts (--text), or without both each line that you type, until
    Ctrl-D. The exit code is 1 if a turn had an error.
    """
    from app.client.client import ClientError
    from app.client.console import converse

    try:
        succeeded = asyncio.run(
            converse(
                url,
                session_id=session,
                timeout_s=timeout_s,
                recording=None if audio is None else _read(audio),
                texts=text or (),
                out=out,
                token=token,
            )
        )
    except ClientError as error:
        _fail(str(error))
    if not succeeded:
        raise typer.Exit(1)


def _read(path: Path) -> bytes:
    try:
        recording = path.read_bytes()
    except OSError as error:
        _fail(f"cannot read {path}: {error.strerror}")
    if not recording:
        _fail(f"{path} is empty: record it again")
    return recording


def _fail(message: str) -> NoReturn:
    typer.echo(f"nabra: {message}", err=True)
    raise typer.Exit(1)


def main() -> None:
    """Run the command line; Ctrl-C ends it with exit code 130."""
    try:
        commands()
    except KeyboardInterrupt:
        sys.exit(130)
