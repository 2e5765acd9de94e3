"""The agent that is a model, behind OpenAI's chat completions or an API like it."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from app.agents.base import Agent, AgentRequest
from app.agents.chat_history import ChatHistoryStore
from app.agents.http_stream import HttpAgentStream
from app.agents.response_parser import MAX_LINE_BYTES, ResponseParser
from app.errors import AgentError


class OpenAIAgent(Agent):
    """Send the history of the session to a model, and stream its response.

    A response is remembered as far as it was sent, and after an interruption only as far as it was
    played: the model must not believe that the user knows the rest.
    """

    name = "openai"

    def __init__(
        self,
        http: HttpAgentStream,
        histories: ChatHistoryStore,
        *,
        model: str,
        system_prompt: str,
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        self._http = http
        self._histories = histories
        self._model = model
        self._system_prompt = system_prompt
        self._max_line_bytes = max_line_bytes

    @asynccontextmanager
    async def answer(self, request: AgentRequest) -> AsyncIterator[AsyncIterator[str]]:
        """Send the request when the first piece is awaited, and iterate over the pieces."""
        async with aclosing(self._pieces(request)) as pieces:
            yield pieces

    async def _pieces(self, request: AgentRequest) -> AsyncGenerator[str, None]:
        """Record each piece before it is passed on, as the turn may be cancelled at any of them."""
        history = self._histories.get(request.session_id)
        played_text = request.played_text if request.interrupted else None
        turn = history.begin(request.text, played_text)
        messages = [{"role": "system", "content": self._system_prompt}, *history.messages()]
        payload = {"model": self._model, "stream": True, "messages": messages}
        parser = ResponseParser(max_line_bytes=self._max_line_bytes, on_form=request.on_form)
        try:
            stream = self._http.stream(payload, parser, headers=request.headers)
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    turn.pieces.append(piece)
                    yield piece
        except AgentError:
            turn.failed = True
            raise
