"""What traces are made through, whoever records them. Without a tracer nothing is recorded.

A turn has a trace of its own; most of its spans are made when it ends, of what was measured anyway.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Literal

SpanKind = Literal["server", "client", "internal"]
"""As OpenTelemetry has it: serves a request, waits for one of ours, or neither."""

Attributes = Mapping[str, str | int | float | bool]

current_trace_id: ContextVar[str | None] = ContextVar("current_trace_id", default=None)
"""The trace of the turn that this task works for, where it is recorded: for histograms."""


class Span(ABC):
    """Something that takes time, within a trace. Times are seconds since 1970."""

    trace_id: str
    """32 hexadecimal digits."""
    is_recorded: bool
    """Whether the trace is in the sample; others are not sent, but the agent is told of them."""

    @property
    @abstractmethod
    def traceparent(self) -> str:
        """The header by which whoever is asked goes on with this trace (W3C Trace Context)."""

    @abstractmethod
    def begin(self, name: str, kind: SpanKind, at_s: float) -> "Span":
        """Begin a span that is a part of this one."""

    @abstractmethod
    def end(self, at_s: float, attributes: Attributes, *, failure: str | None = None) -> None:
        """End the span. `failure` says why it failed; it may quote what a provider said."""


class Tracer(ABC):
    """Begins traces. It never raises, and never waits."""

    @abstractmethod
    def begin(self, name: str, at_s: float, *, cause: str | None) -> Span:
        """Begin a trace; `cause` is the `traceparent` that a client sent, valid or not."""

    @abstractmethod
    async def aclose(self) -> None:
        """Send what is left, in bounded time."""
