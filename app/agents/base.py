"""The agent strategy: the user's text goes in, the agent's response streams out."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NodeText:
    """How much text one node of a workflow sent, in characters, and whether it is spoken."""

    node: str
    chars: int
    is_spoken: bool


class ResponseObserver:
    """Is told what an agent's response is besides its text. An agent tells what it knows."""

    def on_status(self, status: int) -> None:
        """Take the HTTP status of the response."""

    def on_accepted(self) -> None:
        """Take note that the agent has taken the request; it is taken to until `on_refused`."""

    def on_refused(self) -> None:
        """Take note that nobody has taken the request: the agent knows nothing of it."""

    def on_form(self, form: str) -> None:
        """Take the form of the response: `n8n`, `events`, or another."""

    def on_data(self, data: object, source: str) -> None:
        """Take JSON for the client, which is not spoken. `source` is the node's name, or empty."""

    def on_nodes(self, nodes: Sequence[NodeText]) -> None:
        """Take what each node of a workflow sent, once, at the end of the response."""


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """The user's text, spoken or typed, and the session it belongs to."""

    text: str
    session_id: str
    interrupted: bool = False
    """Whether the user interrupted the response before."""
    played_text: str = ""
    """The part of that response that was played; empty unless it was interrupted."""
    interrupted_text: str = ""
    """The user's text that it responded to; empty unless it was interrupted."""
    turn: int = 1
    """Number of the turn in its connection, from 1."""
    language: str = "ar"
    """Language of the session, `ar` or `en`."""
    is_typed: bool = False
    """Whether the text was typed; else it is a transcript."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """HTTP headers by which the agent's log finds the turn: `X-Request-Id`, and `traceparent` where
    traces are on."""
    observer: ResponseObserver = field(default_factory=ResponseObserver)


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
