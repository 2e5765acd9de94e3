"""Builds everything from the settings: the only module that knows all rooms."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import structlog
from fastapi import FastAPI, WebSocket
from prometheus_client.registry import Collector

from app import __version__, options
from app.agents.client import make_client
from app.agents.registry import make_agent
from app.api import fault_injection, monitoring, page, sessions
from app.api.access import AccessControl
from app.api.clients.native.translator import NativeTranslator
from app.api.connection import SessionLimits, VoiceEndpoint
from app.api.cross_origin import CrossOriginReads
from app.api.fault_injection import FaultInjection
from app.api.monitoring import DecoderCollector, GatewayCollector, Metrics
from app.api.origins import is_loopback
from app.api.unsent import UnsentBytes, UnsentCollector
from app.api.usage import Usage, UsageCollector
from app.audio.decoder_pool import DecoderPool
from app.audio.decoding import Decoder
from app.endpoints import Endpoints, resolve_endpoints, startup_banner
from app.hamsa.budget import SlidingWindowBudget
from app.hamsa.connection import Connection
from app.hamsa.pool import ConnectionPool
from app.hamsa.pool_state import PoolState
from app.hamsa.rest import HamsaClient
from app.net.client import client_over, http1_transport, raw_chunks
from app.pipeline.components import PipelineComponents
from app.pipeline.session_config import InputLimits
from app.settings import Settings
from app.stt.base import Transcriber
from app.stt.fallback import FallbackTranscriber
from app.stt.rest import RestTranscriber
from app.stt.websocket import WebSocketTranscriber
from app.telemetry.loop_monitor import LoopMonitor
from app.transports import composition
from app.transports.registry import TransportContext
from app.vad.segmenting_vad import create_segmenting_vad

JWKS_TIMEOUT_S = 5.0
"""Longest wait for the keys of an identity provider."""

JWKS_KEEP_ALIVE_S = 1.0

MAX_JWKS_BYTES = 256 * 1024
"""Largest set of keys; ten have 5 KB."""

log = structlog.get_logger(__name__)


def make_pool(settings: Settings, endpoints: Endpoints) -> ConnectionPool:
    """Build the pool of sockets; the caller starts it."""

    async def open_connection() -> Connection:
        return await Connection.open(
            endpoints.ws_url,
            endpoints.key,
            connect_timeout_s=settings.hamsa_connect_timeout_s,
            max_trailing_audio_s=settings.hamsa_max_trailing_audio_s,
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


def make_decoder_pool(settings: Settings) -> DecoderPool:
    """Build the pool of decoder processes; they start when they are needed."""
    return DecoderPool(
        options.decoder_limits(settings),
        processes=settings.decoder_processes,
        queue=settings.decoder_queue,
    )


async def make_components(
    settings: Settings,
    endpoints: Endpoints,
    pool: ConnectionPool,
    decoders: DecoderPool,
    stack: AsyncExitStack,
) -> PipelineComponents:
    """Build the components of the pipeline; `stack` closes them."""
    client = HamsaClient(
        endpoints.rest_url,
        endpoints.key,
        connect_timeout_s=settings.hamsa_connect_timeout_s,
        http2_prior_knowledge=endpoints.http2_prior_knowledge,
        limits=options.http_limits(settings),
    )
    stack.push_async_callback(client.aclose)
    speech = options.speech_options(settings)
    context = TransportContext(speech.limits, pool, client)
    transport = composition.compose(speech, context)
    choices = composition.compose_choices(speech, context)
    for each in (transport, *choices.values()):
        stack.push_async_callback(each.aclose)
    agent_client = make_client(
        endpoints.agent_url,
        connect_timeout_s=settings.agent_connect_timeout_s,
        limits=options.http_limits(settings),
    )
    stack.push_async_callback(agent_client.aclose)
    return PipelineComponents(
        make_transcriber(settings, pool, client),
        make_agent(options.agent_options(settings), agent_client, endpoints.agent_url),
        transport,
        max_utterance_s=settings.max_utterance_s,
        decoder=Decoder(decoders, max_s=settings.max_utterance_s),
        max_response_chars=settings.max_response_chars,
        max_sentence_chars=settings.tts_max_sentence_chars,
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
        listens_on_loopback=is_loopback(settings.host),
    )


def announce(banner: str) -> None:
    """Print the banner; a standard output that is full or closed must not prevent the start."""
    try:
        print(banner, flush=True)
    except (OSError, ValueError) as error:
        log.warning("the banner could not be printed", reason=str(error))
        # What is left in the buffer would be an error again when the process ends.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process lives


async def make_access(settings: Settings, stack: AsyncExitStack) -> AccessControl:
    """Build what decides who may come in; `stack` closes its HTTP client."""
    access = options.access_options(settings)
    if settings.client_jwks_url is None:
        return AccessControl(access)
    url = settings.client_jwks_url
    transport = http1_transport(url, keep_alive_s=JWKS_KEEP_ALIVE_S, max_connections=1)
    client = client_over(transport, connect_timeout_s=JWKS_TIMEOUT_S)
    stack.push_async_callback(client.aclose)

    async def fetch() -> bytes:
        body = bytearray()
        try:
            async with (
                asyncio.timeout(JWKS_TIMEOUT_S),
                client.stream("GET", url) as response,
                aclosing(raw_chunks(response)) as chunks,
            ):
                async for chunk in chunks:
                    body += chunk
                    if len(body) > MAX_JWKS_BYTES:
                        raise OSError("CLIENT_JWKS_URL holds too much")
        except (TimeoutError, httpx.HTTPError) as error:
            raise OSError(f"no keys from CLIENT_JWKS_URL: {type(error).__name__}") from None
        return bytes(body)

    from app.api.tokens import KeySet  # noqa: PLC0415 - slow, and not always needed

    return AccessControl(access, KeySet(fetch))


async def start_components(
    app: FastAPI, settings: Settings, collectors: Sequence[Collector], stack: AsyncExitStack
) -> Endpoints:
    """Start all that the routes use, and keep it in `app.state`; `stack` stops it.

    Returns the addresses of the provider and the agent.
    """
    endpoints = await resolve_endpoints(settings, stack)
    pool = make_pool(settings, endpoints)
    await pool.start()
    stack.push_async_callback(pool.aclose)
    decoders = make_decoder_pool(settings)
    stack.push_async_callback(decoders.aclose)
    components = await make_components(settings, endpoints, pool, decoders, stack)
    app.state.fault_injection = make_fault_injection(settings, endpoints)
    usage = Usage(options.usage_limits(settings))
    unsent = UnsentBytes(settings.max_unsent_bytes)
    app.state.access = await make_access(settings, stack)
    app.state.usage = usage
    app.state.endpoint = VoiceEndpoint(
        components,
        options.speech_style(settings),
        InputLimits(settings.max_utterance_bytes, settings.max_text_chars),
        NativeTranslator,
        access=app.state.access,
        usage=usage,
        session_limits=SessionLimits(settings.session_idle_timeout_s, settings.session_max_s),
        unsent=unsent,
    )
    monitor = LoopMonitor()
    monitor.start()
    stack.callback(monitor.close)
    app.state.metrics = Metrics(
        GatewayCollector(pool.counts, components.metrics, lambda: usage.sessions),
        DecoderCollector(decoders.counts, decoders.outcomes),
        UsageCollector(usage),
        UnsentCollector(unsent),
        monitor,
        *collectors,
    )
    warming = await stack.enter_async_context(asyncio.TaskGroup())
    task = warming.create_task(components.warm_up(), name="warm-up")
    stack.callback(task.cancel)
    return endpoints


def create_app(
    settings: Settings, address: str = "", collectors: Sequence[Collector] = ()
) -> FastAPI:
    """Build the application, which prints `address` and the banner when it starts.

    `/metrics` shows what `collectors` tell as well.

    Raises `ConfigurationError` for an unknown transport.
    """
    composition.check(options.speech_options(settings))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            endpoints = await start_components(app, settings, collectors, stack)
            banner = (
                startup_banner(settings, endpoints),
                f"Access {options.describe_access(settings)}",
                f"Open   {address}",
            )
            announce("\n".join(banner))
            yield

    app = FastAPI(title="Nabra", version=__version__, lifespan=lifespan, openapi_url=None)
    if settings.allowed_origins:
        app.add_middleware(CrossOriginReads, allowed_origins=settings.allowed_origins)
    for router in (
        monitoring.make_router(),
        fault_injection.make_router(),
        sessions.make_router(),
    ):
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
