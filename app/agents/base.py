"""The agent strategy: the user's text goes in, the agent's response streams out."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """The user's text, spoken or typed, and the session it belongs to."""

    text: str
    session_id: str
    interrupted: bool = False
    """Whether the user interrupted the previous response."""
    played_text: str = ""
    """The part of the previous response that was played; empty unless it was interrupted."""
    on_form: Callable[[str], None] | None = None
    """Is told the form of the response (`n8n`, `events`, `document`…), where the agent knows it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """HTTP headers by which the agent's log finds the turn: `X-Request-Id`, and `traceparent` where
    traces are on."""


class Agent(ABC):
    """Something that answers the user: a webhook, a model, or a plug-in."""

    name: str

    @abstractmethod
    def answer(self, request: AgentRequest) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Send the request, and iterate over the response as non-empty pieces of text.

        Leaving the context, however it is left, gives the connection back. Iterating raises an
        `AgentError` where the response fails; the pieces that came before it remain valid.
        """

    async def aclose(self) -> None:
        """Close all connections."""
