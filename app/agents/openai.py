"""The agent that is a model, behind OpenAI's chat completions or an API like it."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from app.agents.base import Agent, AgentRequest
from app.agents.chat_history import ChatHistoryStore
from app.agents.http_stream import HttpAgentStream
from app.agents.parser_options import DEFAULT_OPTIONS, ParserOptions
from app.agents.response_parser import ResponseParser


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
        options: ParserOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._http = http
        self._histories = histories
        self._model = model
        self._system_prompt = system_prompt
        self._options = options

    @asynccontextmanager
    async def answer(self, request: AgentRequest) -> AsyncIterator[AsyncIterator[str]]:
        """Send the request when the first piece is awaited, and iterate over the pieces."""
        async with aclosing(self._pieces(request)) as pieces:
            yield pieces

    async def _pieces(self, request: AgentRequest) -> AsyncGenerator[str, None]:
        history = self._histories.get(request.session_id)
        turn = history.begin(request)
        messages = [{"role": "system", "content": self._system_prompt}, *history.messages()]
        payload = {"model": self._model, "stream": True, "messages": messages}
        parser = ResponseParser(self._options, request.observer)
        stream = self._http.stream(
            payload, parser, headers=request.headers, observer=request.observer
        )
        async with aclosing(turn.record(stream)) as pieces:
            async for piece in pieces:
                yield piece
