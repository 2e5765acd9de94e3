"""The agent strategy: the user's text goes in, the agent's response streams out."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """What the user said or typed, and in which session."""

    text: str
    session_id: str
    interrupted: bool = False
    """Whether the user interrupted the previous response."""
    played_text: str = ""
    """The part of the previous response that was played; empty unless it was interrupted."""


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
