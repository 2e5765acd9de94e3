"""The agent behind an HTTP webhook, n8n's or one that answers alike."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from app.agents.base import Agent, AgentRequest
from app.agents.http_stream import HttpAgentStream
from app.agents.response_parser import ResponseParser


class WebhookAgent(Agent):
    """Post what the user said to a webhook, and read the answer as it is written.

    `node` is the n8n node to be spoken; None means the first that speaks.
    """

    name = "webhook"

    def __init__(self, source: HttpAgentStream, *, node: str | None = None) -> None:
        self._source = source
        self._node = node

    @asynccontextmanager
    async def answer(self, request: AgentRequest) -> AsyncIterator[AsyncIterator[str]]:
        """Ask as soon as the first piece is awaited, and iterate over the pieces."""
        parser = ResponseParser(node=self._node)
        async with aclosing(self._source.ask(_question(request), parser)) as pieces:
            yield pieces


def _question(request: AgentRequest) -> dict[str, object]:
    """Keep to the two fields that every workflow reads, unless there is more to tell."""
    question: dict[str, object] = {"text": request.text, "session_id": request.session_id}
    if request.interrupted:
        question |= {"interrupted": True, "heard": request.played_text}
    return question
