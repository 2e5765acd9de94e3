"""SimulatorConfig: every setting, fixed at the start or changed while the simulator runs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from app.simulator.faults import FaultName, FaultSpec
from app.simulator.profiles import PROFILES, ProfileName, Timing, TimingField, current_name
from app.simulator.throttle import Throttle

FIXED_AT_START = frozenset(
    {"ws_port", "http_port", "voice", "ping_interval_s", "keep_alive_timeout_s"}
)
_MERGED = ("faults", "timing")  # patched entry by entry; everything else is replaced


class SimulatorConfig(BaseModel):
    """Every setting of a simulator; frozen, because `Simulator.configure` makes the changes."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )

    ws_port: int = Field(default=0, ge=0, le=65_535)
    http_port: int = Field(default=0, ge=0, le=65_535)
    """Ports on 127.0.0.1; 0 lets the system choose a free one."""
    key: SecretStr | None = None
    """The only API key that is accepted; None accepts any that is not empty."""
    seed: int = 0
    """Decides which requests faults fire on."""
    profile: ProfileName = "fast"
    timing: dict[TimingField, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Values that replace those of the profile."""
    voice: Literal["auto", "espeak", "hum"] = "auto"
    """`auto` is espeak-ng where it is installed, else `hum`, a voice of tones."""
    script: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Transcripts, one a turn, over and over; None means the built-in conversation."""

    answers: dict[str, str] = Field(default_factory=dict)
    """User's text to agent's response; any other text gets a built-in response."""

    faults: dict[FaultName, FaultSpec] = Field(default_factory=dict)
    throttle: Throttle | None = None
    provider_message: str = "aborted"
    """Message of `provider_error`."""
    retry_after_s: int = Field(default=1, ge=0)
    """Value of `Retry-After`."""
    stall_ms: float = Field(default=60_000, ge=0)
    """Length of `stall` and `stall_first`."""
    late_ms: float = Field(default=40, ge=0)
    """How long after `end` the late frames come."""
    agent_slow_ms: float = Field(default=5_000, ge=0)
    """What `agent_slow` adds before the first token."""
    agent_keepalive_s: float = Field(default=30, gt=0)
    """Time between two keepalives of a stalled response; 30 s in n8n 2.41."""

    greeting: Literal["info", "ack"] = "info"
    """Type of the first frame on a socket: both have been seen."""
    wrap_transcript: bool = False
    """Whether transcripts come as `{"type":"transcription",…}`, as in a few deployments."""
    agent_mode: Literal["stream", "json", "text"] = "stream"
    """How the webhook responds: in lines as they are written, or whole, as JSON or text."""

    idle_close_s: float = Field(default=3_600, gt=0)
    """A socket without requests is closed after so long."""
    ping_interval_s: float = Field(default=30, gt=0)
    """Time between two pings on a socket."""
    keep_alive_timeout_s: float = Field(default=5, gt=0)
    """An idle HTTP connection is closed after so long; 5 s in n8n 2.41."""

    @field_validator("profile", mode="before")
    @classmethod
    def _accept_old_name(cls, value: object) -> object:
        return current_name(value) if isinstance(value, str) else value

    @property
    def effective_timing(self) -> Timing:
        """The timing of the profile, with the values that replace it."""
        return replace(PROFILES[self.profile], **self.timing)

    def accepts(self, key: str) -> bool:
        """Return whether a client with this key is accepted."""
        return bool(key) and (self.key is None or key == self.key.get_secret_value())

    def patched(self, patch: Mapping[str, Any]) -> Self:
        """Return a changed copy. Raises `ValueError` with a message that names the field.

        `faults` and `timing` are changed entry by entry, where None removes an entry; all other
        values are replaced.
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
        """Return a configuration. Raises `ValueError` with a message that names the field."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ValueError(_describe(error)) from None


def _describe(error: ValidationError) -> str:
    """Return field and problem, for each field that is wrong."""
    return "; ".join(
        f"{'.'.join(str(part) for part in line['loc'] if part != '[key]')}: {line['msg']}"
        for line in error.errors()
    )
