"""The agent that is a model itself, behind OpenAI's chat completions or an API like it."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from app.agents.base import Agent, AgentRequest
from app.agents.chat_history import ChatHistoryStore
from app.agents.http_stream import HttpAgentStream
from app.agents.response_parser import ResponseParser
from app.errors import AgentError


class OpenAIAgent(Agent):
    """Send the conversation so far to a model, and read its answer as it is written.

    What the model said is remembered as far as it was given out, and as far as it was heard once
    a request tells so: it must not believe that the user knows the rest.
    """

    name = "openai"

    def __init__(
        self,
        source: HttpAgentStream,
        histories: ChatHistoryStore,
        *,
        model: str,
        system_prompt: str,
    ) -> None:
        self._source = source
        self._store = histories
        self._model = model
        self._system_prompt = system_prompt

    @asynccontextmanager
    async def answer(self, request: AgentRequest) -> AsyncIterator[AsyncIterator[str]]:
        """Ask as soon as the first piece is awaited, and iterate over the pieces."""
        async with aclosing(self._pieces(request)) as pieces:
            yield pieces

    async def _pieces(self, request: AgentRequest) -> AsyncGenerator[str, None]:
        history = self._store.get(request.session_id)
        played_text = request.played_text if request.interrupted else None
        turn = history.begin(request.text, played_text)
        messages = [{"role": "system", "content": self._system_prompt}, *history.messages()]
        question = {"model": self._model, "stream": True, "messages": messages}
        try:
            async with aclosing(self._source.ask(question, ResponseParser())) as pieces:
                async for piece in pieces:
                    turn.pieces.append(piece)
                    yield piece
        except AgentError:
            turn.failed = True
            raise
