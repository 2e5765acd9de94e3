"""How hard to try: every number of it, its reason and its setting, and what follows from them.

Without I/O. Times are seconds. Facts about the provider have their source in `docs/hamsa.md`.
"""

import math
from dataclasses import dataclass, field
from enum import Enum

from app.transports.completeness import MAX_MS_PER_CHAR


class RouteRole(Enum):
    """What a route is to the others of its transport; decides how long it waits for a socket."""

    ONLY = "only"
    """There is no other: wait as long as the pool does."""
    PREFERRED = "preferred"
    """The others follow when it fails."""
    FREE_SOCKET = "free socket"
    """First, but only if a socket is free now (`TTS_TRANSPORT=auto`)."""
    FALLBACK = "fallback"
    """Tried when those before it have failed."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How long an attempt may be silent. They bound every transport, ours and others'."""

    first_audio_timeout_s: float = 3.0
    """Longest wait for the first audio: 0.3 to 0.6 s is normal, 1.7 s was seen
    (`TTS_FIRST_AUDIO_TIMEOUT_S`)."""
    stall_timeout_s: float = 2.0
    """Longest silence after the first audio; the caller still hears what came before
    (`TTS_STALL_TIMEOUT_S`)."""
    max_ms_per_char: float = MAX_MS_PER_CHAR
    """Longest audio for each speakable character, in milliseconds (`TTS_MAX_MS_PER_CHAR`)."""
    release_timeout_s: float = 2.0
    """Longest release of an attempt's resources: it needs none of the provider, only a transport
    with a defect takes longer."""

    def total_timeout_s(self, max_duration_s: float) -> float:
        """Return the longest wait for a whole stream that lasts `max_duration_s` at most.

        A provider that takes longer than its longest audio would play cannot keep up with any
        listener. Time in which nobody reads the stream does not count.
        """
        return self.first_audio_timeout_s + max_duration_s


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When a route is left alone, and when so much fails that it is an outage."""

    failures_to_open: int = 5
    """Failures in a row that open the breaker. With every second stream truncated, as seen in the
    field (Truncated answers), five in a row are one case in 32: rather an outage than bad luck."""
    cool_down_s: float = 5.0
    """Pause before the first probe. It doubles after each probe that fails."""
    max_cool_down_s: float = 60.0
    """Longest pause before a probe."""
    rate_window_attempts: int = 20
    """How many of the last attempts the failure rate is computed from."""
    min_rate_attempts: int = 10
    """Fewest attempts that the rate is computed from. Missing ones count as successes, so that the
    first failure is not a rate of 1."""
    outage_rate: float = 0.8
    """Failure rate of an outage. With every second stream truncated, 16 of 20 fail once in 170."""


@dataclass(frozen=True, slots=True)
class AcquireLimits:
    """How long an attempt waits for a socket of a pool."""

    preferred_s: float = 0.25
    """Over the preferred route: less than another route needs for its first audio (Timing)."""
    quick_s: float = 0.02
    """Where only a free socket will do: REST is faster than a socket that must be opened first. The
    wait leaves time to cancel a linger on a busy loop."""
    max_s: float = 0.5
    """However many attempts have failed: in the same time REST can make two attempts (Timing),
    which are more likely to succeed even if every second stream is truncated."""
    failures_before_connect: int = 2
    """Failed attempts after which a socket may be opened even for `auto`. One may be bad luck;
    after two, the other transport is probably down."""
    prefetch_s: float = 2.0
    """For a prefetch: the time in which the provider makes the sentence before it (Timing)."""
    transcript_s: float = 2.0
    """For an utterance: a transcript takes about as long, and a handshake 1.2 s (Timing)."""


@dataclass(frozen=True, slots=True)
class SocketWait:
    """How long one attempt waits for a socket; None is the limit of the pool."""

    timeout_s: float | None
    allow_connect: bool = True
    """Whether a socket may be opened for it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How hard a sentence is tried."""

    attempts: int = 16
    """Most attempts at one sentence (`TTS_ATTEMPTS`). A second one works in 95 % of cases; if every
    second attempt is truncated, sixteen attempts leave one sentence in 65,000 unspoken."""
    outage_attempts: int = 2
    """Attempts at a sentence that begins in an outage of all routes: enough for a probe, and the
    caller gets a quick error."""
    deadline_s: float = 20.0
    """Longest search for usable audio, at the beginning and after each break (`TTS_DEADLINE_S`)."""
    backoff_base_s: float = 0.2
    """Longest pause before the third round."""
    backoff_cap_s: float = 2.0
    """Longest pause before any round."""
    hedge_after_s: float | None = None
    """Silence after which a second attempt starts on the other route; None: never
    (`TTS_HEDGE_AFTER_MS`)."""
    target_success: float = 0.95
    """Probability with which one round after a failure should succeed, 0 to 1: 19 of 20 callers
    wait for one more first audio at most."""
    max_parallel_attempts: int = 3
    """Most attempts in one round; each of them is paid for."""
    warm_connections: int = 1
    """How many connections of the preferred route are opened ahead of need: as many as one response
    keeps busy."""
    streams: StreamLimits = field(default_factory=StreamLimits)
    breaker: BreakerLimits = field(default_factory=BreakerLimits)
    acquire: AcquireLimits = field(default_factory=AcquireLimits)

    def max_attempts(self, *, is_outage: bool) -> int:
        """Return the most attempts at a sentence that begins now."""
        return min(self.attempts, self.outage_attempts) if is_outage else self.attempts

    def pause_s(self, round: int, jitter: float) -> float:
        """Return the pause before a round, in seconds. Rounds count from 1.

        There is none before the second round, which takes another route. From the third on the
        pause doubles up to its cap. `jitter`, 0 to 1, scales it, so that callers that failed
        together do not retry together.
        """
        if round < 3:
            return 0.0
        return float(jitter * min(self.backoff_cap_s, self.backoff_base_s * 2 ** (round - 3)))

    def parallel_attempts(self, failure_rate: float) -> int:
        """Return how many attempts a round needs to succeed with probability `target_success`.

        `failure_rate` is 0 to 1. The result is 1 to `max_parallel_attempts`.
        """
        if failure_rate <= 1 - self.target_success:
            return 1
        if failure_rate >= 1:
            return self.max_parallel_attempts
        needed = math.ceil(math.log(1 - self.target_success) / math.log(failure_rate))
        return min(self.max_parallel_attempts, needed)

    def socket_wait(self, role: RouteRole, failures: int) -> SocketWait:
        """Return how long an attempt waits for a socket after so many failed ones.

        A socket is the more worth waiting for, the more attempts at the sentence have failed: each
        failure doubles the wait, up to its limit.
        """
        if role is RouteRole.ONLY:
            return SocketWait(None)
        limits = self.acquire
        wait_s = limits.preferred_s if role is RouteRole.PREFERRED else limits.quick_s
        allow_connect = role is not RouteRole.FREE_SOCKET
        return SocketWait(
            max(wait_s, min(wait_s * 2**failures, limits.max_s)),
            allow_connect or failures >= limits.failures_before_connect,
        )
