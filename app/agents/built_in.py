"""The agents that come with the gateway, by the operator's options."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from app.agents.base import Agent
from app.agents.chat_history import ChatHistoryStore
from app.agents.http_stream import HttpAgentStream
from app.agents.openai import OpenAIAgent
from app.agents.parser_options import DEFAULT_OPTIONS, ParserOptions
from app.agents.webhook import WebhookAgent
from app.errors import ConfigurationError

NAMES = ("webhook", "openai")
"""Kinds of built-in agents (`AGENT_KIND`)."""


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """Which agent answers, and how long it may take; times in seconds."""

    kind: str = "webhook"
    """One of `NAMES`."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers of every request; they hold the credential."""
    model: str | None = None
    """Name of the model; required for `openai`."""
    system_prompt: str = ""
    history_turns: int = 20
    history_sessions: int = 1000
    first_token_timeout_s: float = 30.0
    between_tokens_timeout_s: float = 15.0
    total_timeout_s: float = 120.0
    retry_s: float = 10.0
    """How long a turn waits for an agent that is not there yet."""
    sends_history: bool = False
    """Whether a webhook is sent the earlier turns; a model always is."""
    parser: ParserOptions = DEFAULT_OPTIONS
    """How its responses are read."""


def make_agent(options: AgentOptions, client: httpx.AsyncClient, url: str) -> Agent:
    """Build the agent at `url`. Raises `ConfigurationError` for a model without a name."""
    http = HttpAgentStream(
        client=client,
        url=url,
        headers=options.headers,
        first_token_timeout_s=options.first_token_timeout_s,
        between_tokens_timeout_s=options.between_tokens_timeout_s,
        total_timeout_s=options.total_timeout_s,
        retry_s=options.retry_s,
    )
    histories = ChatHistoryStore(turns=options.history_turns, sessions=options.history_sessions)
    if options.kind == "webhook":
        return WebhookAgent(http, options.parser, histories if options.sends_history else None)
    if options.model is None:
        raise ConfigurationError("AGENT_MODEL: must be set when AGENT_KIND is openai")
    return OpenAIAgent(
        http,
        histories,
        model=options.model,
        system_prompt=options.system_prompt,
        options=options.parser,
    )
