"""What the pool has to know of a connection, whoever the provider is."""

from typing import Protocol, TypeVar

from app.errors import ProviderError


class AudioSink(Protocol):
    """Takes the audio of a request that arrives after its regular end."""

    def put(self, data: bytes) -> None:
        """Take a chunk."""

    def close(self) -> None:
        """Note that no more audio will come."""


class PoolableConnection(Protocol):
    """A connection that serves one request after another.

    All times are seconds of the running loop's clock.
    """

    trailing: AudioSink | None
    """Takes what arrives after the last response; None where nothing can."""
    in_flight: bool
    """Whether a request was sent whose response has not ended."""

    @property
    def number(self) -> int:
        """What tells the connections of the process apart in the log."""

    @property
    def opened_at(self) -> float:
        """When it was opened."""

    @property
    def last_pong_at(self) -> float:
        """When the peer last gave a sign of life."""

    @property
    def requests(self) -> int:
        """How many requests were sent."""

    @property
    def is_open(self) -> bool:
        """Whether it can take a request. A failure of the network may not be known yet."""

    @property
    def close_error(self) -> ProviderError:
        """The error that says why it was closed."""

    async def receive(self) -> object:
        """Read one message. Raises a `ProviderError` when the connection is of no more use."""

    def close_trailing(self) -> None:
        """Detach `trailing`, and tell it that no more will come."""

    async def keep_alive(self, *, interval_s: float, timeout_s: float) -> None:
        """Ask for signs of life until the connection closes; close it when none comes."""

    async def close(self) -> None:
        """Close it, within a bounded time."""


C = TypeVar("C", bound=PoolableConnection)
