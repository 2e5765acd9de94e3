"""The agent that is a model itself, behind OpenAI's chat completions or an API like it."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from app.agent.answer import AnswerParser
from app.agent.base import Agent, AgentRequest
from app.agent.history import Histories
from app.agent.source import AnswerSource
from app.errors import AgentError


class OpenAIAgent(Agent):
    """Send the conversation so far to a model, and read its answer as it is written.

    What the model said is remembered as far as it was given out, and as far as it was heard once
    a request tells so: it must not believe that the user knows the rest.
    """

    name = "openai"

    def __init__(
        self, source: AnswerSource, histories: Histories, *, model: str, system_prompt: str
    ) -> None:
        self._source = source
        self._histories = histories
        self._model = model
        self._system_prompt = system_prompt

    @asynccontextmanager
    async def answer(self, request: AgentRequest) -> AsyncIterator[AsyncIterator[str]]:
        """Ask as soon as the first piece is awaited, and iterate over the pieces."""
        async with aclosing(self._pieces(request)) as pieces:
            yield pieces

    async def _pieces(self, request: AgentRequest) -> AsyncGenerator[str, None]:
        conversation = self._histories.of(request.session_id)
        heard = request.heard if request.interrupted else None
        exchange = conversation.begin(request.text, heard)
        messages = [{"role": "system", "content": self._system_prompt}, *conversation.messages()]
        question = {"model": self._model, "stream": True, "messages": messages}
        try:
            async with aclosing(self._source.ask(question, AnswerParser())) as pieces:
                async for piece in pieces:
                    exchange.pieces.append(piece)
                    yield piece
        except AgentError:
            exchange.failed = True
            raise
