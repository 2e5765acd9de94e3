"""The agent behind an HTTP webhook: n8n, or a server that answers alike."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from app.agents.base import Agent, AgentRequest
from app.agents.http_stream import HttpAgentStream
from app.agents.response_parser import ResponseParser


class WebhookAgent(Agent):
    """Post the user's text to a webhook, and stream the response.

    `node` is the n8n node that answers the user; None means the first that sends text.
    """

    name = "webhook"

    def __init__(self, http: HttpAgentStream, *, node: str | None = None) -> None:
        self._http = http
        self._node = node

    @asynccontextmanager
    async def answer(self, request: AgentRequest) -> AsyncIterator[AsyncIterator[str]]:
        """Send the request when the first piece is awaited, and iterate over the pieces."""
        parser = ResponseParser(node=self._node)
        async with aclosing(self._http.stream(_payload(request), parser)) as pieces:
            yield pieces


def _payload(request: AgentRequest) -> dict[str, object]:
    """Return the two fields that every workflow reads, and after an interruption two more."""
    payload: dict[str, object] = {"text": request.text, "session_id": request.session_id}
    if request.interrupted:
        payload |= {"interrupted": True, "heard": request.played_text}
    return payload
