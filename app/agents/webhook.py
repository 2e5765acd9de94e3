"""The agent behind an HTTP webhook: n8n, or a server that answers alike."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from app.agents.base import Agent, AgentRequest
from app.agents.http_stream import HttpAgentStream
from app.agents.response_parser import MAX_LINE_BYTES, ResponseParser


class WebhookAgent(Agent):
    """Post the user's text to a webhook, and stream the response.

    `node` is the n8n node that answers the user; None means the first that sends text.
    """

    name = "webhook"

    def __init__(
        self,
        http: HttpAgentStream,
        *,
        node: str | None = None,
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        self._http = http
        self._node = node
        self._max_line_bytes = max_line_bytes

    @asynccontextmanager
    async def answer(self, request: AgentRequest) -> AsyncIterator[AsyncIterator[str]]:
        """Send the request when the first piece is awaited, and iterate over the pieces."""
        parser = ResponseParser(
            node=self._node, max_line_bytes=self._max_line_bytes, on_form=request.on_form
        )
        stream = self._http.stream(_payload(request), parser, headers=request.headers)
        async with aclosing(stream) as pieces:
            yield pieces


def _payload(request: AgentRequest) -> dict[str, object]:
    """Return the two fields that every workflow reads, and after an interruption two more."""
    payload: dict[str, object] = {"text": request.text, "session_id": request.session_id}
    if request.interrupted:
        payload |= {"interrupted": True, "heard": request.played_text}
    return payload
