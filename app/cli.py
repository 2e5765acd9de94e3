"""The command line: `nabra serve`, `nabra simulate`, `nabra talk`."""

# ruff: noqa: PLC0415 - each command imports only what it needs, so that `--help` is quick

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from app.simulator.config import SimulatorConfig

commands = typer.Typer(
    help="Real-time voice-agent gateway for Arabic.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@commands.command()
def serve() -> None:
    """Start the gateway.

    It is configured by environment variables and a file `.env`, each explained in `.env.example`.
    Without any it listens on http://127.0.0.1:8000 and talks to an embedded simulator.
    """
    from app.serving.process import serve as run

    # Ctrl-C is how a server at a terminal is meant to end: no failure, and no noise from make.
    with suppress(KeyboardInterrupt):
        run()


@commands.command()
def simulate(
    *,
    profile: Annotated[str, typer.Option(help="Timing: fast, instant or seed.")] = "fast",
    seed: Annotated[int, typer.Option(help="Decides which requests faults strike.")] = 0,
    voice: Annotated[str, typer.Option(help="auto, espeak (Arabic speech) or hum.")] = "auto",
    script: Annotated[
        Path | None,
        typer.Option(help="What callers say: UTF-8, one line a turn.", show_default=False),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PROBABILITY",
            help="For example truncated=0.35; may be given several times.",
            show_default=False,
        ),
    ] = None,
    throttle: Annotated[
        str | None,
        typer.Option(
            metavar="LIMIT/SECONDS[:MODE]",
            help="Sockets that may be opened, for example 4/20; the others answer 640 bytes, "
            "or with 4/20:refused none.",
            show_default=False,
        ),
    ] = None,
    ws_port: Annotated[int, typer.Option(help="Port of the socket; 0 takes a free one.")] = 0,
    http_port: Annotated[int, typer.Option(help="Port of everything else.")] = 0,
    key: Annotated[
        str | None, typer.Option(help="The only key to accept; default: any.", show_default=False)
    ] = None,
) -> None:
    """Run the stand-in for the speech provider and the agent by itself.

    It prints the settings that point a gateway at it, and runs until Ctrl-C.
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
    from app.simulator.__main__ import parse_fault, parse_throttle
    from app.simulator.config import SimulatorConfig
    from app.simulator.faults import FAULT_NAMES
    from app.simulator.script import read_lines

    try:
        values["faults"] = dict(map(parse_fault, faults))
        if unknown := values["faults"].keys() - set(FAULT_NAMES):
            raise ValueError(f"no fault {min(unknown)!r}; there are {', '.join(FAULT_NAMES)}")
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
        # Kept until the group is left: what is raised inside would become part of it.
        failures = [str(error) for error in group.exceptions]
    if failures:
        _fail(f"the simulator cannot start: {failures[0]}")


def _instructions(announcement: str, key: str) -> str:
    """Say how a gateway finds the simulator, as lines for a shell or `.env`."""
    found = json.loads(announcement)
    return f"""\
# The simulator listens (voice {found["voice"]}, profile {found["profile"]}, seed {found["seed"]}).
# Start a gateway with these settings:
HAMSA_API_KEY={key}
HAMSA_WS_URL={found["hamsa_ws_url"]}
HAMSA_REST_URL={found["hamsa_rest_url"]}
HAMSA_REST_HTTP2=prior_knowledge
AGENT_WEBHOOK_URL={found["agent_webhook_url"]}
# Change faults while it runs: PATCH {found["control_url"]}"""


@commands.command()
def talk(
    *,
    audio: Annotated[
        Path | None,
        typer.Option(help="Say this recording: WAV, WebM, Ogg, MP3 or M4A.", show_default=False),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="Say this text; several are several turns.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Save the reply as WAV; replies to further turns get a number (reply-2.wav).",
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str, typer.Option(help="The gateway's address.")
    ] = "ws://127.0.0.1:8000/ws/agent/",
    session: Annotated[
        str | None, typer.Option(help="Name of the session; default: a new one.")
    ] = None,
    timeout_s: Annotated[
        float, typer.Option(min=0.1, help="Give up when the gateway is silent for so long.")
    ] = 60.0,
) -> None:
    """Hold a conversation and show how long everything took.

    Say a recording (--audio), texts (--text), or neither: then each line that you type is a turn,
    until Ctrl-D. Ends with 1 when anything went wrong.
    """
    from app.client.client import ClientError
    from app.client.console import converse

    try:
        clean = asyncio.run(
            converse(
                url,
                session_id=session,
                timeout_s=timeout_s,
                recording=None if audio is None else _read(audio),
                texts=text or (),
                out=out,
            )
        )
    except ClientError as error:
        _fail(str(error))
    if not clean:
        raise typer.Exit(1)


def _read(path: Path) -> bytes:
    try:
        recording = path.read_bytes()
    except OSError as error:
        _fail(f"cannot read {path}: {error.strerror}")
    if not recording:
        _fail(f"{path} is empty")
    return recording


def _fail(message: str) -> NoReturn:
    typer.echo(f"nabra: {message}", err=True)
    raise typer.Exit(1)


def main() -> None:
    """Run the command that the arguments name."""
    try:
        commands()
    except KeyboardInterrupt:
        sys.exit(130)
