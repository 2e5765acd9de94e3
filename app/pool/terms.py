"""On what terms a request waits for a connection: how urgent it is, and how long it may wait."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field


class Urgency:
    """Whether a caller waits for a request already, or it is made ahead of need (a prefetch)."""

    def __init__(self, *, is_needed_now: bool = True) -> None:
        self.is_needed_now = is_needed_now
        self._callbacks: list[Callable[[], None]] = []

    def set_needed_now(self) -> None:
        """Turn a prefetch into a request that a caller waits for."""
        if not self.is_needed_now:
            self.is_needed_now = True
            for callback in list(self._callbacks):
                callback()

    @contextmanager
    def notifying(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call `callback` if the request becomes needed now within this context."""
        self._callbacks.append(callback)
        try:
            yield
        finally:
            self._callbacks.remove(callback)


@dataclass(slots=True)
class LeaseTerms:
    """What a pool has to know of one request, and what came of it. Times are seconds."""

    timeout_s: float | None = None
    """Longest wait of a request that is needed now; None is the limit of the pool."""
    prefetch_timeout_s: float = 0.0
    """Longest wait of a prefetch, if that is longer."""
    allow_connect: bool = True
    """Whether a connection may be opened for a request that gets none; never for a prefetch."""
    urgency: Urgency = field(default_factory=Urgency)
    waiting: Callable[[], AbstractContextManager[object]] = nullcontext
    """Entered while the request waits, so that the provider is not blamed for that time."""
    reused: bool | None = None
    """Set with the lease: whether its connection had carried a request before."""
