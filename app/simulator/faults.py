"""FaultInjector: which faults fire on which request, decided by the seed and not by the clock."""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Channel = Literal["websocket", "rest", "openai", "agent"]
Operation = Literal["connect", "tts", "stt", "agent"]

RejectionFault = Literal[
    "unauthorized",
    "no_funds",
    "rate_limited",
    "quota",
    "unavailable",
    "redirect",
    "endless_error",
    "provider_error",
]
"""The request is rejected: there is no audio, or the handshake fails."""
StreamFault = Literal["truncated", "drop", "stall_first", "stall"]
"""The audio stream breaks or stops."""
FramingFault = Literal["late_frames", "riff", "odd_chunks"]
"""The audio is whole, but does not come as expected."""
AgentFault = Literal[
    "agent_404",
    "agent_empty",
    "agent_error",
    "agent_cut",
    "agent_endless",
    "agent_stall",
    "agent_slow",
]
FaultName = Literal[RejectionFault, StreamFault, FramingFault, AgentFault]

FAULT_NAMES: tuple[FaultName, ...] = get_args(FaultName)

_CONNECT = {("websocket", "connect")}
_TTS: set[tuple[str, str]] = {("websocket", "tts"), ("rest", "tts"), ("openai", "tts")}
_SOCKET = {("websocket", "tts"), ("websocket", "stt")}
_REST = {("rest", "tts"), ("rest", "stt"), ("openai", "tts"), ("openai", "stt")}
_AGENT = {("agent", "agent")}

_APPLIES_TO: dict[FaultName, set[tuple[str, str]]] = {
    "unauthorized": _CONNECT | _SOCKET | _REST,
    "no_funds": _CONNECT | _SOCKET | _REST,
    "rate_limited": _CONNECT | _REST,
    "quota": _SOCKET | _REST,
    "unavailable": _CONNECT | _SOCKET | _REST,
    "redirect": _CONNECT | _REST,
    "endless_error": _REST,
    "provider_error": _SOCKET | _REST,
    "truncated": _TTS,
    "drop": _SOCKET | _REST,
    "stall_first": _SOCKET | _REST,
    "stall": _SOCKET | _REST,
    "late_frames": {("websocket", "tts")},
    "riff": _TTS,
    "odd_chunks": _TTS,
    **dict.fromkeys(get_args(AgentFault), _AGENT),
}

# Of each group at most one fault fires, the first in this order. After a rejection there is no
# stream to break; a broken stream may still have odd framing.
_GROUPS: tuple[tuple[FaultName, ...], ...] = (
    get_args(RejectionFault),
    get_args(StreamFault),
    *((name,) for name in get_args(FramingFault)),
    tuple(name for name in get_args(AgentFault) if name != "agent_slow"),
    ("agent_slow",),
)

_MAX_COUNTED_REQUESTS = 10_000  # bounds the memory of a simulator that runs for weeks


def force_truncation(faults: tuple[FaultName, ...]) -> tuple[FaultName, ...]:
    """Return the faults with `truncated` as the only one that breaks the stream."""
    return (*(name for name in faults if name not in get_args(StreamFault)), "truncated")


class FaultSpec(BaseModel):
    """How often a fault fires, and on which requests; a bare number is its probability."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    probability: float = Field(default=1.0, ge=0, le=1)
    times: int | None = Field(default=None, ge=0)
    """How many times it may fire from now on; None means without limit."""
    channel: Literal["websocket", "rest", "hamsa", "openai"] | None = None
    """`hamsa` is both of the first."""
    operation: Literal["connect", "tts", "stt"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        return {"probability": value} if isinstance(value, int | float) else value

    def matches(self, channel: Channel, operation: Operation) -> bool:
        """Return whether the filters let a request through."""
        is_hamsa = self.channel == "hamsa" and channel in ("websocket", "rest")
        return (is_hamsa or self.channel in (None, channel)) and self.operation in (None, operation)


class FaultInjector:
    """Decide which faults fire on a request.

    A draw depends on the seed, the fault, the channel, the operation, the text, and how often the
    same request came before. It does not depend on other requests: two runs with one seed give
    the same faults to the same sentences, however their requests interleave.
    """

    def __init__(self, seed: int, specs: Mapping[FaultName, FaultSpec]) -> None:
        self.seed = seed
        self._specs: dict[FaultName, FaultSpec] = {}
        self._fired: Counter[FaultName] = Counter()
        self._requests: OrderedDict[tuple[str, str, str], int] = OrderedDict()
        for name, spec in specs.items():
            self.arm(name, spec)

    def arm(self, name: FaultName, spec: FaultSpec) -> None:
        """Set one fault; its `times` are counted from now on."""
        self._specs[name] = spec
        self._fired[name] = 0

    def disarm(self, name: FaultName) -> None:
        """Remove one fault; does nothing when it is not set."""
        self._specs.pop(name, None)

    def draw(self, channel: Channel, operation: Operation, text: str = "") -> tuple[FaultName, ...]:
        """Return the faults that fire on one request: one rejection alone, or any others."""
        key = (channel, operation, text)
        request = f"{'|'.join(key)}|{self._count(key)}"
        fired: list[FaultName] = []
        for group in _GROUPS:
            for name in group:
                if self._fires(name, channel, operation, request):
                    fired.append(name)
                    break
            if fired and group == get_args(RejectionFault):
                break
        self._fired.update(fired)
        return tuple(fired)

    def _fires(self, name: FaultName, channel: Channel, operation: Operation, request: str) -> bool:
        spec = self._specs.get(name)
        if spec is None or (channel, operation) not in _APPLIES_TO[name]:
            return False
        if spec.times is not None and self._fired[name] >= spec.times:
            return False
        return spec.matches(channel, operation) and self._draw(name, request) < spec.probability

    def _draw(self, name: FaultName, request: str) -> float:
        """Return a number from 0 to 1, always the same for one request."""
        digest = blake2b(f"{self.seed}|{name}|{request}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    def _count(self, key: tuple[str, str, str]) -> int:
        """Count a request; return how many of its kind there were."""
        count = self._requests.pop(key, 0) + 1
        self._requests[key] = count
        if len(self._requests) > _MAX_COUNTED_REQUESTS:
            self._requests.popitem(last=False)
        return count
