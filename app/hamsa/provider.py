"""The provider Hamsa: one pool of sockets and one HTTP client, and the strategies over them."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from app.hamsa.connection import MAX_TRAILING_AUDIO_S, Connection
from app.hamsa.rest import HamsaClient
from app.hamsa.stt_rest import RestTranscriber
from app.hamsa.stt_websocket import WebSocketTranscriber
from app.hamsa.tts_rest import RestTransport
from app.hamsa.tts_websocket import WebSocketTransport
from app.net.limits import DEFAULT_LIMITS, HttpLimits
from app.net.url import host_of
from app.pool.budget import SlidingWindowBudget
from app.pool.lease import PoolLimits
from app.pool.pool import ConnectionPool
from app.pool.pool_state import PoolState
from app.stt.base import Transcriber
from app.transports.base import TTSTransport
from app.transports.policy import AcquireLimits

NAMES = ("websocket", "rest")
"""Names of its transports, and of its transcribers."""


@dataclass(frozen=True, slots=True)
class HamsaOptions:
    """How the provider is reached, and how many sockets to it there may be; times in seconds."""

    ws_url: str
    rest_url: str
    key: str = field(repr=False)
    http2_prior_knowledge: bool = False
    connect_timeout_s: float = 10.0
    connect_limit: int = 3
    connect_window_s: float = 20.0
    max_connections: int = 8
    max_age_s: float = 3300.0
    idle_timeout_s: float = 300.0
    min_idle: int = 1
    max_trailing_audio_s: float = MAX_TRAILING_AUDIO_S
    """Most audio that is taken after the end of a sentence's."""
    pool: PoolLimits = field(default_factory=PoolLimits)
    http: HttpLimits = DEFAULT_LIMITS


def make_pool(options: HamsaOptions) -> ConnectionPool[Connection]:
    """Build the pool of sockets; the caller starts it."""

    async def open_connection() -> Connection:
        return await Connection.open(
            options.ws_url,
            options.key,
            connect_timeout_s=options.connect_timeout_s,
            max_trailing_audio_s=options.max_trailing_audio_s,
        )

    state = PoolState[Connection](
        SlidingWindowBudget(options.connect_limit, options.connect_window_s),
        max_connections=options.max_connections,
        max_age_s=options.max_age_s,
        # two pings may be unanswered before a socket counts as dead
        max_pong_age_s=2 * options.pool.ping_interval_s + options.pool.ping_timeout_s,
        idle_timeout_s=options.idle_timeout_s,
        min_idle=options.min_idle,
    )
    return ConnectionPool(
        open_connection, state, options.pool, name="hamsa", host=host_of(options.ws_url)
    )


class HamsaProvider:
    """Its transports and transcribers, by name. Transcripts are bounded by their own timeout."""

    def __init__(self, options: HamsaOptions, *, transcript_timeout_s: float) -> None:
        self.pool = make_pool(options)
        self.client = HamsaClient(
            options.rest_url,
            options.key,
            connect_timeout_s=options.connect_timeout_s,
            http2_prior_knowledge=options.http2_prior_knowledge,
            limits=options.http,
        )
        self._linger_s = options.pool.linger_s
        self._transcript_timeout_s = transcript_timeout_s

    def transport(self, name: str) -> TTSTransport:
        """Build the transport of this name, one of `NAMES`."""
        if name == "websocket":
            return WebSocketTransport(self.pool, linger_s=self._linger_s)
        return RestTransport(self.client, is_refused=lambda: self.pool.is_refused)

    def transcriber(self, name: str) -> Transcriber:
        """Build the transcriber of this name, one of `NAMES`."""
        timeout_s = self._transcript_timeout_s
        if name == "websocket":
            acquire_timeout_s = AcquireLimits().transcript_s
            return WebSocketTranscriber(
                self.pool, timeout_s=timeout_s, acquire_timeout_s=acquire_timeout_s
            )
        return RestTranscriber(self.client, timeout_s=timeout_s)

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the pool; `stack` closes it, and the HTTP client."""
        await self.pool.start()
        stack.push_async_callback(self.pool.aclose)
        stack.push_async_callback(self.client.aclose)
