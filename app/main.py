"""Builds everything from the settings: the only module that knows all rooms."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import structlog
from fastapi import FastAPI, WebSocket

from app import __version__, options
from app.agents.client import make_client
from app.agents.registry import make_agent
from app.api import fault_injection, monitoring, page
from app.api.client_messages import InputLimits
from app.api.endpoint import VoiceEndpoint
from app.api.fault_injection import FaultInjection
from app.api.monitoring import Metrics
from app.endpoints import Endpoints, resolve_endpoints, startup_banner
from app.hamsa.budget import SlidingWindowBudget
from app.hamsa.connection import Connection
from app.hamsa.pool import ConnectionPool
from app.hamsa.pool_state import PoolState
from app.hamsa.rest import HamsaClient
from app.pipeline.components import PipelineComponents
from app.settings import Settings
from app.stt.base import Transcriber
from app.stt.fallback import FallbackTranscriber
from app.stt.rest import RestTranscriber
from app.stt.websocket import WebSocketTranscriber
from app.transports import composition
from app.transports.registry import TransportContext
from app.vad.segmenting_vad import create_segmenting_vad

log = structlog.get_logger(__name__)

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def make_pool(settings: Settings, endpoints: Endpoints) -> ConnectionPool:
    """Build the pool of sockets; the caller starts it."""

    async def open_connection() -> Connection:
        return await Connection.open(
            endpoints.ws_url, endpoints.key, connect_timeout_s=settings.hamsa_connect_timeout_s
        )

    state = PoolState(
        SlidingWindowBudget(settings.hamsa_connect_limit, settings.hamsa_connect_window_s),
        max_connections=settings.hamsa_max_connections,
        max_age_s=settings.hamsa_max_age_s,
        # two pings may be unanswered before a socket counts as dead
        max_pong_age_s=2 * settings.hamsa_ping_interval_s + settings.hamsa_ping_timeout_s,
        idle_timeout_s=settings.hamsa_idle_timeout_s,
        min_idle=settings.hamsa_min_connections,
    )
    return ConnectionPool(open_connection, state, options.pool_limits(settings))


def make_transcriber(settings: Settings, pool: ConnectionPool, client: HamsaClient) -> Transcriber:
    """Build the chosen transcriber, with the other one as its fallback."""
    by_socket = WebSocketTranscriber(
        pool, timeout_s=settings.stt_timeout_s, acquire_timeout_s=composition.STT_ACQUIRE_TIMEOUT_S
    )
    by_rest = RestTranscriber(client, timeout_s=settings.stt_timeout_s)
    order = (by_socket, by_rest) if settings.stt_transport == "websocket" else (by_rest, by_socket)
    return FallbackTranscriber(order, deadline_s=settings.stt_deadline_s)


async def make_components(
    settings: Settings, endpoints: Endpoints, pool: ConnectionPool, stack: AsyncExitStack
) -> PipelineComponents:
    """Build the components of the pipeline; `stack` closes them."""
    client = HamsaClient(
        endpoints.rest_url,
        endpoints.key,
        connect_timeout_s=settings.hamsa_connect_timeout_s,
        http2_prior_knowledge=endpoints.http2_prior_knowledge,
    )
    stack.push_async_callback(client.aclose)
    speech = options.speech_options(settings)
    context = TransportContext(speech.limits, pool, client)
    transport = composition.compose(speech, context)
    choices = composition.compose_choices(speech, context)
    for each in (transport, *choices.values()):
        stack.push_async_callback(each.aclose)
    agent_client = make_client(
        endpoints.agent_url, connect_timeout_s=settings.agent_connect_timeout_s
    )
    stack.push_async_callback(agent_client.aclose)
    return PipelineComponents(
        make_transcriber(settings, pool, client),
        make_agent(options.agent_options(settings), agent_client, endpoints.agent_url),
        transport,
        max_utterance_s=settings.max_utterance_s,
        max_response_chars=settings.max_response_chars,
        lookahead=settings.tts_lookahead,
        first_chunk_min_chars=settings.first_chunk_min_chars,
        create_detector=partial(
            create_segmenting_vad,
            limits=options.endpointer_limits(settings),
            pre_roll_ms=settings.vad_pre_roll_ms,
        ),
        stt_early=settings.stt_early,
        log_transcripts=settings.log_transcripts,
        transports=choices,
    )


def make_fault_injection(settings: Settings, endpoints: Endpoints) -> FaultInjection:
    """Build the fault injection of the page's workbench."""
    return FaultInjection(
        endpoints.simulator,
        simulates_speech=settings.simulates_speech,
        simulates_agent=settings.simulates_agent,
        listens_on_loopback=settings.host in LOOPBACK,
    )


def announce(banner: str) -> None:
    """Print the banner; a standard output that is full or closed must not prevent the start."""
    try:
        print(banner, flush=True)
    except (OSError, ValueError) as error:
        log.warning("the banner could not be printed", reason=str(error))
        # What is left in the buffer would be an error again when the process ends.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process lives


def create_app(settings: Settings, address: str = "") -> FastAPI:
    """Build the application, which prints `address` and the banner when it starts.

    Raises `ConfigurationError` for an unknown transport.
    """
    composition.check(options.speech_options(settings))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            endpoints = await resolve_endpoints(settings, stack)
            pool = make_pool(settings, endpoints)
            await pool.start()
            stack.push_async_callback(pool.aclose)
            components = await make_components(settings, endpoints, pool, stack)
            app.state.fault_injection = make_fault_injection(settings, endpoints)
            limits = InputLimits(settings.max_utterance_bytes, settings.max_text_chars)
            style = options.speech_style(settings)
            app.state.endpoint = VoiceEndpoint(components, style, limits)
            app.state.metrics = Metrics(
                pool.counts, components.metrics, lambda: app.state.endpoint.sessions
            )
            warming = await stack.enter_async_context(asyncio.TaskGroup())
            task = warming.create_task(components.warm_up(), name="warm-up")
            stack.callback(task.cancel)
            announce(f"{startup_banner(settings, endpoints)}\nOpen   {address}")
            yield

    app = FastAPI(title="Nabra", version=__version__, lifespan=lifespan, openapi_url=None)
    for router in (monitoring.make_router(), fault_injection.make_router()):
        app.include_router(router)

    @app.websocket("/ws/agent/{session_id:path}")  # matched last, to reject an id with a slash
    @app.websocket("/ws/agent")
    @app.websocket("/ws/agent/")
    @app.websocket("/ws/agent/{session_id}")
    @app.websocket("/ws/agent/{session_id}/")
    async def voice(websocket: WebSocket, session_id: str | None = None) -> None:
        endpoint: VoiceEndpoint = websocket.app.state.endpoint
        await endpoint.serve(websocket, session_id)

    app.mount("/", page.make_page())  # last: it takes every path that no route has taken
    return app
