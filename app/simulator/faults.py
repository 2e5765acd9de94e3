"""Faults: which one strikes which request, decided by the seed and not by the clock."""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Channel = Literal["websocket", "rest", "agent"]
Operation = Literal["connect", "tts", "stt", "agent"]

Refusal = Literal[
    "unauthorized",
    "no_funds",
    "rate_limited",
    "quota",
    "unavailable",
    "redirect",
    "endless_error",
    "provider_error",
]
Break = Literal["truncated", "drop", "stall_first", "stall"]
Shape = Literal["late_frames", "riff", "odd_chunks"]
AgentFault = Literal[
    "agent_404",
    "agent_empty",
    "agent_error",
    "agent_cut",
    "agent_endless",
    "agent_stall",
    "agent_slow",
]
FaultName = Literal[Refusal, Break, Shape, AgentFault]

FAULT_NAMES: tuple[FaultName, ...] = get_args(FaultName)

_CONNECT = {("websocket", "connect")}
_SPOKEN = {("websocket", "tts"), ("rest", "tts")}
_SOCKET = {("websocket", "tts"), ("websocket", "stt")}
_REST = {("rest", "tts"), ("rest", "stt")}
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
    "truncated": _SPOKEN,
    "drop": _SOCKET | _REST,
    "stall_first": _SOCKET | _REST,
    "stall": _SOCKET | _REST,
    "late_frames": {("websocket", "tts")},
    "riff": _SPOKEN,
    "odd_chunks": _SPOKEN,
    **dict.fromkeys(get_args(AgentFault), _AGENT),
}

# Within a group the first that fires wins and the others are not asked; a refusal leaves nothing
# to break, and a broken answer may still have an odd shape.
_GROUPS: tuple[tuple[FaultName, ...], ...] = (
    get_args(Refusal),
    get_args(Break),
    *((name,) for name in get_args(Shape)),
    tuple(name for name in get_args(AgentFault) if name != "agent_slow"),
    ("agent_slow",),
)

_MAX_KEYS = 10_000  # bounds the memory of a simulator that runs for weeks


def force_truncation(faults: tuple[FaultName, ...]) -> tuple[FaultName, ...]:
    """Break an answer by truncation, and in no other way."""
    return (*(name for name in faults if name not in get_args(Break)), "truncated")


class FaultSpec(BaseModel):
    """Say how often a fault strikes, and where; a bare number is its probability."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    probability: float = Field(default=1.0, ge=0, le=1)
    times: int | None = Field(default=None, ge=0)
    """Strike at most so many times more; None is without end."""
    channel: Literal["websocket", "rest"] | None = None
    operation: Literal["connect", "tts", "stt"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        return {"probability": value} if isinstance(value, int | float) else value

    def covers(self, channel: Channel, operation: Operation) -> bool:
        """Tell whether the filters let a request through."""
        return self.channel in (None, channel) and self.operation in (None, operation)


class FaultInjector:
    """Decide which faults strike a request.

    A draw depends on the seed, the fault, the channel, the operation, the text and how often the
    same was asked before. It does not depend on what else happens meanwhile, so that two runs with
    one seed give the same faults to the same sentences, however their requests interleave.
    """

    def __init__(self, seed: int, specs: Mapping[FaultName, FaultSpec]) -> None:
        self.seed = seed
        self._specs: dict[FaultName, FaultSpec] = {}
        self._fired: Counter[FaultName] = Counter()
        self._asked: OrderedDict[tuple[str, str, str], int] = OrderedDict()
        for name, spec in specs.items():
            self.arm(name, spec)

    def arm(self, name: FaultName, spec: FaultSpec) -> None:
        """Set one fault; its count of times begins anew."""
        self._specs[name] = spec
        self._fired[name] = 0

    def disarm(self, name: FaultName) -> None:
        """Take one fault away; harmless when there is none."""
        self._specs.pop(name, None)

    def draw(self, channel: Channel, operation: Operation, text: str = "") -> tuple[FaultName, ...]:
        """Decide for one request; never more than one refusal, alone, or one break."""
        key = (channel, operation, text)
        nth = self._count(key)
        fired: list[FaultName] = []
        for group in _GROUPS:
            for name in group:
                if self._fires(name, channel, operation, f"{'|'.join(key)}|{nth}"):
                    fired.append(name)
                    break
            if fired and group == get_args(Refusal):
                break
        self._fired.update(fired)
        return tuple(fired)

    def _fires(self, name: FaultName, channel: Channel, operation: Operation, request: str) -> bool:
        spec = self._specs.get(name)
        if spec is None or (channel, operation) not in _APPLIES_TO[name]:
            return False
        if spec.times is not None and self._fired[name] >= spec.times:
            return False
        return spec.covers(channel, operation) and self._chance(name, request) < spec.probability

    def _chance(self, name: FaultName, request: str) -> float:
        digest = blake2b(f"{self.seed}|{name}|{request}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    def _count(self, key: tuple[str, str, str]) -> int:
        nth = self._asked.pop(key, 0) + 1
        self._asked[key] = nth
        if len(self._asked) > _MAX_KEYS:
            self._asked.popitem(last=False)
        return nth
