"""Which agent answers: the one that the settings name."""

import httpx

from app.agent.base import Agent
from app.agent.history import Histories
from app.agent.openai import OpenAIAgent
from app.agent.source import AnswerSource
from app.agent.webhook import WebhookAgent
from app.errors import ConfigurationError
from app.settings import Settings


def make_agent(settings: Settings, client: httpx.AsyncClient, url: str) -> Agent:
    """Build the agent at `url`. Raises `ConfigurationError` if it lacks what it needs."""
    token = settings.agent_token
    source = AnswerSource(
        client=client,
        url=url,
        headers={settings.agent_token_header: token.get_secret_value()} if token else {},
        first_token_timeout_s=settings.agent_first_token_timeout_s,
        between_tokens_timeout_s=settings.agent_between_tokens_timeout_s,
        total_timeout_s=settings.agent_total_timeout_s,
    )
    if settings.agent_kind == "webhook":
        return WebhookAgent(source, node=settings.agent_node)
    if settings.agent_model is None:
        raise ConfigurationError("AGENT_MODEL: must be set when AGENT_KIND is openai")
    return OpenAIAgent(
        source,
        Histories(turns=settings.agent_history_turns, sessions=settings.agent_history_sessions),
        model=settings.agent_model,
        system_prompt=settings.agent_system_prompt,
    )
