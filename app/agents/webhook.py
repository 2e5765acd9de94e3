"""The agent behind an HTTP webhook: n8n, or a server that answers alike."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from app.agents.base import Agent, AgentRequest
from app.agents.chat_history import ChatHistoryStore
from app.agents.http_stream import HttpAgentStream
from app.agents.parser_options import DEFAULT_OPTIONS, ParserOptions
from app.agents.response_parser import ResponseParser


class WebhookAgent(Agent):
    """Post the user's text to a webhook, and stream the response.

    With `histories` it posts the earlier turns of the session, too.
    """

    name = "webhook"

    def __init__(
        self,
        http: HttpAgentStream,
        options: ParserOptions = DEFAULT_OPTIONS,
        histories: ChatHistoryStore | None = None,
    ) -> None:
        self._http = http
        self._options = options
        self._histories = histories

    @asynccontextmanager
    async def answer(self, request: AgentRequest) -> AsyncIterator[AsyncIterator[str]]:
        """Send the request when the first piece is awaited, and iterate over the pieces."""
        pieces = self._stream if self._histories is None else self._stream_with_history
        async with aclosing(pieces(request, payload_of(request))) as stream:
            yield stream

    def _stream(
        self, request: AgentRequest, payload: dict[str, object]
    ) -> AsyncGenerator[str, None]:
        parser = ResponseParser(self._options, request.observer)
        return self._http.stream(
            payload, parser, headers=request.headers, observer=request.observer
        )

    async def _stream_with_history(
        self, request: AgentRequest, payload: dict[str, object]
    ) -> AsyncGenerator[str, None]:
        assert self._histories is not None
        history = self._histories.get(request.session_id)
        turn = history.begin(request)
        payload["history"] = history.earlier_messages()
        async with aclosing(turn.record(self._stream(request, payload))) as pieces:
            async for piece in pieces:
                yield piece


def payload_of(request: AgentRequest) -> dict[str, object]:
    """Return the body of a request.

    n8n's Chat Trigger reads `chatInput` and `sessionId`, the workflows behind a Webhook node what
    their authors chose of the rest.
    """
    payload: dict[str, object] = {
        "text": request.text,
        "session_id": request.session_id,
        "chatInput": request.text,
        "sessionId": request.session_id,
        "turn": request.turn,
        "language": request.language,
        "channel": "text" if request.is_typed else "voice",
    }
    if request.interrupted:
        payload |= {
            "interrupted": True,
            "heard": request.played_text,
            "interrupted_text": request.interrupted_text,
        }
    return payload
