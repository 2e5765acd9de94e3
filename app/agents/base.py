"""The agent strategy: text goes in, the answer comes out while it is being written."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """What the user said, and in which conversation."""

    text: str
    session_id: str
    interrupted: bool = False
    """Whether the user spoke over the answer to the request before this one."""
    played_text: str = ""
    """What was heard of that answer; empty, too, where nothing was interrupted."""


class Agent(ABC):
    """Something that answers."""

    name: str

    @abstractmethod
    def answer(self, request: AgentRequest) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Ask, and iterate over non-empty pieces of the answer as they are written.

        Leaving the context, however it is left, gives the connection back. Iterating raises an
        `AgentError` where the answer fails; pieces that came before it stay said.
        """

    async def aclose(self) -> None:
        """Give up all connections."""
