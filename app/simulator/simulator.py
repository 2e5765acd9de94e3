"""Simulator: a WebSocket server and an HTTP server on loopback ports."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

from hypercorn.asyncio import serve as serve_http
from hypercorn.config import Config as HypercornConfig
from websockets.asyncio.server import serve as serve_websocket

from app.audio import PCM16_16K, AudioFormat
from app.simulator import chat_completions, control, n8n_webhook, openai_audio, websocket
from app.simulator.config import SimulatorConfig
from app.simulator.http_app import HTTPApp
from app.simulator.request_log import RequestRecord, Stats
from app.simulator.state import SimulatorState
from app.simulator.websocket import SocketServer

_HOST = "127.0.0.1"
_BACKLOG = 128
_CLOSE_TIMEOUT_S = 0.3  # on loopback a client that has not replied to a close by then never will
_GRACE_S = 0.3  # for HTTP connections that are still open after all work was cancelled
_MAX_MESSAGE_BYTES = 32 * 2**20  # a quarter of an hour of speech, in base64
_MAX_QUEUED_MESSAGES = 64
_NO_LIMIT = 2**31  # after 1,000 requests hypercorn would close HTTP/2 amid other requests

_log = logging.getLogger(__name__)
_websocket_log = logging.getLogger(f"{__name__}.websocket")
_websocket_log.setLevel(logging.CRITICAL)  # clients that leave amid a handshake are no errors


@dataclass(frozen=True, slots=True)
class Urls:
    """The addresses of a simulator."""

    hamsa_ws_url: str
    hamsa_rest_url: str
    """Scheme, host and port."""
    agent_webhook_url: str
    agent_completions_url: str
    """The same agent, as a model behind an API like OpenAI's."""
    openai_base_url: str
    """A second speech provider, behind OpenAI's audio API."""
    control_url: str


class Simulator:
    """Serve the provider and the agent while the context lasts."""

    def __init__(self, config: SimulatorConfig | None = None) -> None:
        self._state = SimulatorState(config or SimulatorConfig())
        self._stack = AsyncExitStack()
        self._urls: Urls | None = None

    @property
    def urls(self) -> Urls:
        """The addresses. Raises `RuntimeError` before the context is entered."""
        if self._urls is None:
            raise RuntimeError("the simulator does not listen: enter its context first")
        return self._urls

    @property
    def config(self) -> SimulatorConfig:
        """The configuration in force."""
        return self._state.config

    @property
    def stats(self) -> Stats:
        """The totals since the start; they go on counting."""
        return self._state.request_log.stats

    @property
    def requests(self) -> Sequence[RequestRecord]:
        """Records of the last 1,000 requests, oldest first."""
        return tuple(self._state.request_log.records)

    @property
    def voice_name(self) -> str:
        """`espeak-ng` or `hum`."""
        return self._state.voice.name

    def configure(self, patch: Mapping[str, Any]) -> None:
        """Change the configuration, as `PATCH /simulator` does.

        `faults` and `timing` are changed entry by entry, where None removes one. Raises
        `ValueError` that names the field.
        """
        self._state.configure(patch)

    def clear_faults(self) -> None:
        """Remove all faults and the throttle."""
        self._state.clear_faults()

    def expected_audio(self, text: str, format: AudioFormat = PCM16_16K) -> bytes:
        """Return the audio of a text without faults, byte for byte; may block for some 10 ms.

        With espeak-ng the bytes stay the same for as long as the text is cached (64 MiB).
        """
        return self._state.voice.synthesize_blocking(text, format)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.callback(self._state.voice.close)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            http = await stack.enter_async_context(_http_server(self._state, tasks))
            ws = await stack.enter_async_context(_socket_server(self._state))
            self._urls = Urls(
                hamsa_ws_url=f"ws://{_HOST}:{ws}{websocket.PATH}",
                hamsa_rest_url=f"http://{_HOST}:{http}",
                agent_webhook_url=f"http://{_HOST}:{http}{n8n_webhook.PATH}",
                agent_completions_url=f"http://{_HOST}:{http}{chat_completions.PATH}",
                openai_base_url=f"http://{_HOST}:{http}{openai_audio.BASE_PATH}",
                control_url=f"http://{_HOST}:{http}{control.PATH}",
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def __repr__(self) -> str:
        where = self._urls.hamsa_ws_url if self._urls else "not listening"
        return f"<Simulator {where} {self.stats.sockets_open} sockets open>"


@asynccontextmanager
async def _socket_server(state: SimulatorState) -> AsyncIterator[int]:
    """Serve the provider's WebSocket; yield the port."""
    server = SocketServer(state)
    async with serve_websocket(
        server.serve,
        _HOST,
        state.config.ws_port,
        process_request=server.admit,
        compression=None,
        ping_interval=state.config.ping_interval_s,
        close_timeout=_CLOSE_TIMEOUT_S,
        max_size=_MAX_MESSAGE_BYTES,
        max_queue=_MAX_QUEUED_MESSAGES,
        logger=_websocket_log,
    ) as listening:
        port: int = next(iter(listening.sockets)).getsockname()[1]
        yield port


@asynccontextmanager
async def _http_server(state: SimulatorState, tasks: asyncio.TaskGroup) -> AsyncIterator[int]:
    """Serve REST, the agent and the control; yield the port."""
    app, stop = HTTPApp(state), asyncio.Event()
    listener = socket.create_server((_HOST, state.config.http_port), backlog=_BACKLOG)
    port: int = listener.getsockname()[1]
    # It listens already, so that clients may connect before hypercorn takes over the descriptor.
    config = HypercornConfig.from_mapping(
        bind=f"fd://{listener.detach()}",
        backlog=_BACKLOG,
        errorlog=_log,
        include_server_header=False,
        keep_alive_max_requests=_NO_LIMIT,
        keep_alive_timeout=state.config.keep_alive_timeout_s,
        graceful_timeout=_GRACE_S,
    )
    serving = serve_http(cast(Any, app), config, shutdown_trigger=stop.wait)
    server = tasks.create_task(serving, name="sim-http")
    try:
        yield port
    finally:
        app.abort()
        stop.set()
        await asyncio.wait([server])
