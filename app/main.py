"""Builds everything from the settings: the only place that knows all the parts."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket

from app import logs, providers
from app.agent.client import make_client
from app.agent.registry import make_agent
from app.api import health, page, workbench
from app.api.metrics import Metrics
from app.api.socket import InputLimits, VoiceEndpoint
from app.audio import AudioFormat
from app.errors import ConfigurationError
from app.hamsa.budget import SlidingWindowBudget
from app.hamsa.connection import Connection
from app.hamsa.lease import PoolLimits
from app.hamsa.pool import ConnectionPool
from app.hamsa.rest import HamsaClient
from app.hamsa.slots import Slots
from app.listening.registry import make_listening
from app.pipeline.speech import SpeechStyle
from app.pipeline.turn import Stages
from app.port import address_of, listen
from app.providers import Providers
from app.settings import Settings, load
from app.stt.base import Transcriber
from app.stt.fallback import FallbackTranscriber
from app.stt.rest import RestTranscriber
from app.stt.websocket import WebSocketTranscriber
from app.transports import composition
from app.transports.base import TALLY, Voice
from app.transports.registry import TransportContext

log = structlog.get_logger(__name__)

LOOPBACK = ("127.0.0.1", "::1", "localhost")

GRACE_S = 5
"""How long a stop waits for clients to leave."""

GC_THRESHOLD = 10_000
"""Objects between two looks for cycles: a sentence makes thousands, and few of them are cycles."""


def make_pool(settings: Settings, providers: Providers) -> ConnectionPool:
    """Build the pool of sockets; it serves when it is started."""

    async def open_connection() -> Connection:
        return await Connection.open(
            providers.ws_url, providers.key, connect_timeout_s=settings.hamsa_connect_timeout_s
        )

    slots = Slots(
        SlidingWindowBudget(settings.hamsa_connect_limit, settings.hamsa_connect_window_s),
        max_connections=settings.hamsa_max_connections,
        max_age_s=settings.hamsa_max_age_s,
        # two rounds of pings may be under way before a socket counts as dead
        max_pong_age_s=2 * settings.hamsa_ping_interval_s + settings.hamsa_ping_timeout_s,
        idle_timeout_s=settings.hamsa_idle_timeout_s,
        floor=settings.hamsa_min_connections,
    )
    limits = PoolLimits(
        lease_timeout_s=settings.hamsa_pool_timeout_s,
        linger_s=settings.hamsa_linger_s,
        drain_timeout_s=settings.hamsa_drain_timeout_s,
        ping_interval_s=settings.hamsa_ping_interval_s,
        ping_timeout_s=settings.hamsa_ping_timeout_s,
    )
    return ConnectionPool(open_connection, slots, limits)


def make_transcriber(settings: Settings, pool: ConnectionPool, client: HamsaClient) -> Transcriber:
    """Build the chosen way to speech-to-text, with the other one behind it."""
    by_socket = WebSocketTranscriber(
        pool, timeout_s=settings.stt_timeout_s, patience_s=composition.STT_PATIENCE_S
    )
    by_rest = RestTranscriber(client, timeout_s=settings.stt_timeout_s)
    ways = (by_socket, by_rest) if settings.stt_transport == "websocket" else (by_rest, by_socket)
    return FallbackTranscriber(ways, deadline_s=settings.stt_deadline_s)


async def make_stages(
    settings: Settings, providers: Providers, pool: ConnectionPool, stack: AsyncExitStack
) -> Stages:
    """Build the strategies; `stack` closes them."""
    client = HamsaClient(
        providers.rest_url,
        providers.key,
        connect_timeout_s=settings.hamsa_connect_timeout_s,
        http2_prior_knowledge=providers.http2_prior_knowledge,
    )
    stack.push_async_callback(client.aclose)
    transcriber = make_transcriber(settings, pool, client)
    context = TransportContext(settings, pool, client)
    transport, choices = composition.compose(context), composition.compose_choices(context)
    for each in (transport, *choices.values()):
        stack.push_async_callback(each.aclose)
    connections = make_client(
        providers.agent_url, connect_timeout_s=settings.agent_connect_timeout_s
    )
    stack.push_async_callback(connections.aclose)
    agent = make_agent(settings, connections, providers.agent_url)
    return Stages(
        transcriber,
        agent,
        transport,
        max_utterance_s=settings.max_utterance_s,
        lookahead=settings.tts_lookahead,
        first_chunk_min_chars=settings.first_chunk_min_chars,
        open_listener=make_listening(settings),
        stt_early=settings.stt_early,
        log_transcripts=settings.log_transcripts,
        transports=choices,
    )


def make_workbench(settings: Settings, providers: Providers) -> workbench.Workbench:
    """Build what the page's workbench stands on."""
    return workbench.Workbench(
        providers.simulator,
        simulates_speech=settings.simulates_speech,
        simulates_agent=settings.simulates_agent,
        listens_on_loopback=settings.host in LOOPBACK,
    )


def create_app(settings: Settings, address: str = "") -> FastAPI:
    """Build the application, which says at its start that it is found at `address`.

    Raises `ConfigurationError` for a transport that there is not.
    """
    composition.check(settings)
    style = SpeechStyle(
        voice=Voice(settings.tts_speaker, settings.tts_dialect),
        format=AudioFormat("pcm_s16le", settings.tts_sample_rate),
        language=settings.language,
        transport=settings.tts_transport,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            found = await providers.find(settings, stack)
            pool = make_pool(settings, found)
            await pool.start()
            stack.push_async_callback(pool.aclose)
            stages = await make_stages(settings, found, pool, stack)
            app.state.workbench = make_workbench(settings, found)
            limits = InputLimits(settings.max_utterance_bytes, settings.max_text_chars)
            app.state.endpoint = VoiceEndpoint(stages, style, limits)
            app.state.metrics = Metrics(pool.counts, TALLY, lambda: app.state.endpoint.sessions)
            warming = await stack.enter_async_context(asyncio.TaskGroup())
            task = warming.create_task(stages.warm_up(), name="warm-up")
            stack.callback(task.cancel)
            print(providers.describe(settings, found), f"Open   {address}", sep="\n", flush=True)
            yield

    app = FastAPI(title="Nabra", lifespan=lifespan, openapi_url=None)
    for router in (
        health.router,
        workbench.make_router(),
        page.make_router(page.read_assets()),
    ):
        app.include_router(router)

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        scraped: Metrics = request.app.state.metrics
        return scraped.response()

    @app.websocket("/ws/agent/{session_id:path}")  # asked last: an id with a slash is refused
    @app.websocket("/ws/agent")
    @app.websocket("/ws/agent/")
    @app.websocket("/ws/agent/{session_id}")
    @app.websocket("/ws/agent/{session_id}/")
    async def voice(websocket: WebSocket, session_id: str | None = None) -> None:
        endpoint: VoiceEndpoint = websocket.app.state.endpoint
        await endpoint.serve(websocket, session_id)

    return app


def serve() -> None:
    """Run the gateway until it is told to stop; end with one clear line when it cannot start."""
    try:
        settings = load()
        composition.check(settings)
        providers.check(settings)
    except ConfigurationError as error:
        sys.exit(f"nabra cannot start:\n{error}")
    logs.configure(settings.log_level, settings.log_format)
    try:
        listener = listen(settings.host, settings.port)
    except OSError as error:
        sys.exit(f"nabra cannot listen on {settings.host}:{settings.port}: {error.strerror}")
    app = create_app(settings, address_of(listener))
    if settings.hamsa_api_key is None and "hamsa_ws_url" in settings.model_fields_set:
        log.warning("HAMSA_WS_URL has no effect without HAMSA_API_KEY: the simulator speaks")
    config = server_config(app, settings)
    config.load()
    # What was made so far stays: looking through it again and again costs CPU, and pauses that are
    # heard. Collections are for the cycles of sessions.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Configure the server: what the socket carries does not compress."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        # base64 adds a third; twice that, so that what is somewhat too long is told so by an
        # error, and only what is absurd costs the connection (1009)
        ws_max_size=2 * (settings.max_utterance_bytes * 4 // 3 + 65536),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
