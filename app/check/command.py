"""The command: makes all checks, and prints what they find."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import replace

from app import options
from app.agents.base import Agent
from app.agents.built_in import make_agent
from app.agents.client import make_client
from app.check.agent import check_agent
from app.check.provider import check_provider
from app.check.report import Finding, Mark, has_failed
from app.endpoints import Endpoints, resolve_endpoints
from app.errors import ConfigurationError
from app.hamsa.rest import HamsaClient
from app.serving.start_checks import checked_settings, start_warnings
from app.settings import Settings
from app.strategies import PlugIns, close_all, plug_in_secrets
from app.telemetry import logs
from app.telemetry.redaction import Redactor

Write = Callable[[str], None]
"""Prints a line."""


def run(text: str, write: Write) -> bool:
    """Check everything, with `text` as the agent's turn. Return whether a gateway would work."""
    write("Settings")
    try:
        settings, plug_ins = checked_settings()
    except ConfigurationError as error:
        for line in str(error).splitlines():
            is_continued = line.startswith(" ")
            write(f"    {line}" if is_continued else str(Finding(Mark.FAILED, line)))
        return False
    secrets = [*options.secrets_of(settings), *plug_in_secrets(plug_ins)]
    logs.configure("error", "console", secrets=secrets)  # what is printed here says the rest
    redact = Redactor(secrets).value
    report([Finding(Mark.OK, "every value can be used")], write)
    report((Finding(Mark.WARNING, each) for each in start_warnings(settings)), write)
    return asyncio.run(check_services(settings, plug_ins, text, lambda line: write(redact(line))))


async def check_services(settings: Settings, plug_ins: PlugIns, text: str, write: Write) -> bool:
    """Check the provider and the agent, or the simulator in their place, at the same time.

    Return whether both work.
    """
    async with AsyncExitStack() as stack:
        endpoints = await resolve_endpoints(settings, stack)
        await plug_ins.resources.start(stack)
        agent = plug_ins.agent or _built_in_agent(settings, endpoints, stack)
        transports, transcribers = plug_ins.transports.values(), plug_ins.transcribers.values()
        stack.push_async_callback(close_all, [agent, *transports, *transcribers])
        async with asyncio.TaskGroup() as group:
            of_provider = group.create_task(
                _provider_findings(settings, endpoints), name="check-provider"
            )
            of_agent = group.create_task(
                check_agent(agent, text, settings.agent_node), name="check-agent"
            )
            for heading, task in (
                (_provider_heading(settings), of_provider),
                (_agent_heading(settings), of_agent),
            ):
                write(heading)
                report(await task, write)
    return not has_failed([*of_provider.result(), *of_agent.result()])


def report(findings: Iterable[Finding], write: Write) -> None:
    """Print a line for each finding."""
    for finding in findings:
        write(str(finding))


def _provider_heading(settings: Settings) -> str:
    if settings.simulates_speech:
        return "Provider: the simulator, as HAMSA_API_KEY is not set"
    return "Provider"


def _agent_heading(settings: Settings) -> str:
    if settings.simulates_agent:
        return "Agent: the simulator, as AGENT_WEBHOOK_URL is not set"
    return f"Agent: {settings.agent_kind}"


async def _provider_findings(settings: Settings, endpoints: Endpoints) -> list[Finding]:
    if not settings.uses_hamsa:
        return [Finding(Mark.UNKNOWN, "not checked: other providers are chosen")]
    client = HamsaClient(
        endpoints.rest_url,
        endpoints.key,
        connect_timeout_s=settings.hamsa_connect_timeout_s,
        http2_prior_knowledge=endpoints.http2_prior_knowledge,
        limits=options.http_limits(settings),
    )
    try:
        return await check_provider(
            endpoints,
            client,
            options.speech_style(settings).voice,
            connect_timeout_s=settings.hamsa_connect_timeout_s,
        )
    finally:
        await client.aclose()


def _built_in_agent(settings: Settings, endpoints: Endpoints, stack: AsyncExitStack) -> Agent:
    """Build the chosen agent; `stack` closes its HTTP client."""
    client = make_client(
        endpoints.agent_url,
        connect_timeout_s=settings.agent_connect_timeout_s,
        limits=options.http_limits(settings),
    )
    stack.push_async_callback(client.aclose)
    without_waiting = replace(options.agent_options(settings), retry_s=0.0)
    return make_agent(without_waiting, client, endpoints.agent_url)
