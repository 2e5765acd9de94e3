"""SimulatorConfig: everything that can be set, at start or while it runs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from app.simulator.faults import FaultName, FaultSpec
from app.simulator.profiles import PROFILES, ProfileName, Timing, TimingField, current_name

FIXED_AT_START = frozenset(
    {"ws_port", "http_port", "voice", "ping_interval_s", "keep_alive_timeout_s"}
)
_MERGED = ("faults", "timing")  # patched entry by entry; everything else is replaced


class Throttle(BaseModel):
    """Say what happens to sockets opened beyond `limit` in any `window_s`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int = Field(ge=0)
    window_s: float = Field(gt=0)
    mode: Literal["truncated", "refused"] = "truncated"
    """`truncated`: all their requests get 640 bytes; `refused`: the handshake gets a 429."""


class SimulatorConfig(BaseModel):
    """Configure a simulator; frozen, because a change goes through `Simulator.configure`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    ws_port: int = Field(default=0, ge=0, le=65_535)
    http_port: int = Field(default=0, ge=0, le=65_535)
    """Ports on 127.0.0.1; 0 lets the system choose a free one."""
    key: SecretStr | None = None
    """The key that is accepted; None accepts any that is not empty."""
    seed: int = 0
    profile: ProfileName = "fast"
    timing: dict[TimingField, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Single figures that differ from the profile."""
    voice: Literal["auto", "espeak", "hum"] = "auto"
    """`auto` is espeak-ng where it is installed, else the hum."""
    script: tuple[str, ...] | None = Field(default=None, min_length=1)
    """What callers say, a line a turn, over and over; None is the built-in conversation."""

    answers: dict[str, str] = Field(default_factory=dict)
    """What the agent answers to these lines; to all others it has answers of its own."""

    faults: dict[FaultName, FaultSpec] = Field(default_factory=dict)
    throttle: Throttle | None = None
    provider_message: str = "aborted"
    """What `provider_error` says."""
    retry_after_s: int = Field(default=1, ge=0)
    stall_ms: float = Field(default=60_000, ge=0)
    late_ms: float = Field(default=40, ge=0)
    """How long after `end` the late frames come."""
    agent_slow_ms: float = Field(default=5_000, ge=0)
    agent_keepalive_s: float = Field(default=30, gt=0)
    """Between two keepalive lines of a stalled answer; 30 s in n8n 2.41."""

    greeting: Literal["info", "ack"] = "info"
    """First frame on a socket: both have been seen."""
    wrap_transcript: bool = False
    """Whether transcripts come as `{"type":"transcription",…}`, as in a few deployments."""
    agent_mode: Literal["stream", "json", "text"] = "stream"

    idle_close_s: float = Field(default=3_600, gt=0)
    ping_interval_s: float = Field(default=30, gt=0)
    keep_alive_timeout_s: float = Field(default=5, gt=0)
    """Idle HTTP connections are dropped after so long; 5 s in n8n 2.41."""

    @field_validator("profile", mode="before")
    @classmethod
    def _accept_old_name(cls, value: object) -> object:
        return current_name(value) if isinstance(value, str) else value

    @property
    def effective_timing(self) -> Timing:
        """Give the profile's figures, with the single ones replaced."""
        return replace(PROFILES[self.profile], **self.timing)

    def accepts(self, key: str) -> bool:
        """Tell whether a client may come in with this key."""
        return bool(key) and (self.key is None or key == self.key.get_secret_value())

    def patched(self, patch: Mapping[str, Any]) -> Self:
        """Return a changed copy.

        `faults` and `timing` are changed entry by entry, where null takes an entry away; all else
        is replaced. Raises `ValueError` with a message that names the field.
        """
        fixed = sorted(FIXED_AT_START & patch.keys())
        if fixed:
            raise ValueError(f"{fixed[0]}: fixed when the simulator starts")
        values = {name: getattr(self, name) for name in type(self).model_fields}
        for name, change in patch.items():
            if name in _MERGED and isinstance(change, Mapping):
                merged = {**values[name], **change}
                values[name] = {key: value for key, value in merged.items() if value is not None}
            else:
                values[name] = {} if name in _MERGED and change is None else change
        return self.validated(values)

    @classmethod
    def validated(cls, values: Mapping[str, Any]) -> Self:
        """Check the values; raises `ValueError` with a message that names the field."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ValueError(describe(error)) from None


def describe(error: ValidationError) -> str:
    """Say in one line a field what is wrong with it."""
    return "; ".join(
        f"{'.'.join(str(part) for part in line['loc'] if part != '[key]')}: {line['msg']}"
        for line in error.errors()
    )
