"""Builds everything from the settings: the only module that knows all rooms."""

# isort: off
from app.telemetry import structlog_import  # noqa: F401 - before structlog
# isort: on

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
from app.api import fault_injection, monitoring, page, sessions
from app.api.access import AccessControl, is_in
from app.api.clients.native.translator import NativeTranslator
from app.api.connection import VoiceEndpoint
from app.api.cross_origin import CrossOriginReads
from app.api.drain import Drain
from app.api.fault_injection import FaultInjection
from app.api.monitoring import DecoderCollector, Metrics, ProcessStateCollector
from app.api.origins import is_loopback
from app.api.readiness import Readiness
from app.api.root_path import RootPath
from app.api.session_log import SessionLog
from app.api.unsent import UnsentBytes, UnsentCollector
from app.api.usage import SessionLimits, Usage, UsageCollector
from app.audio.decoder_pool import DecoderPool
from app.audio.decoding import Decoder
from app.endpoints import Endpoints, resolve_endpoints, startup_banner
from app.net.client import client_over, http1_transport, raw_chunks
from app.pipeline.components import PipelineComponents
from app.pipeline.session_config import InputLimits
from app.pool.pool_metrics import PoolCollector
from app.settings import Settings
from app.strategies import (
    PlugIns,
    Strategies,
    load_plugins,
    plug_in_secrets,
    strategy_names,
)
from app.telemetry.loop_monitor import LoopMonitor
from app.telemetry.start_tracer import tracing
from app.telemetry.tracing import Tracer
from app.transports.breaker_metrics import BreakerCollector
from app.vad.segmenting_vad import create_segmenting_vad

JWKS_TIMEOUT_S = 5.0
"""Longest wait for the keys of an identity provider."""

JWKS_KEEP_ALIVE_S = 1.0

MAX_JWKS_BYTES = 256 * 1024
"""Largest set of keys; ten have 5 KB."""

log = structlog.get_logger(__name__)


def make_decoder_pool(settings: Settings) -> DecoderPool:
    """Build the pool of decoder processes; they start when they are needed."""
    return DecoderPool(
        options.decoder_limits(settings),
        processes=settings.decoder_processes,
        queue=settings.decoder_queue,
    )


def make_components(
    settings: Settings, strategies: Strategies, decoders: DecoderPool, tracer: Tracer | None = None
) -> PipelineComponents:
    """Build the components of the pipeline."""
    return PipelineComponents(
        strategies.transcriber(),
        strategies.agent(),
        strategies.synthesizer(),
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
        transports=strategies.choices(),
        tracer=tracer,
    )


def make_fault_injection(settings: Settings, endpoints: Endpoints) -> FaultInjection:
    """Build the fault injection of the page's workbench."""
    return FaultInjection(
        endpoints.simulator,
        simulates_speech=settings.simulates_speech,
        simulates_agent=settings.simulates_agent,
        listens_on_loopback=is_loopback(settings.host),
        strategies=strategy_names(settings),
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


def make_readiness(
    drain: Drain, usage: Usage, strategies: Strategies, components: PipelineComponents
) -> Readiness:
    """Build what `/readyz` asks."""
    return Readiness(
        is_draining=lambda: drain.has_begun,
        is_full=lambda: usage.is_full,
        can_speak=components.transport.is_usable,
        find_speech=strategies.hamsa.pool.retry_open,
    )


async def start_components(
    app: FastAPI,
    settings: Settings,
    plug_ins: PlugIns,
    collectors: Sequence[Collector],
    stack: AsyncExitStack,
) -> Endpoints:
    """Start all that the routes use, and keep it in `app.state`; `stack` stops it.

    Returns the addresses of the provider and the agent.
    """
    secrets = [*options.secrets_of(settings), *plug_in_secrets(plug_ins)]
    tracer = await stack.enter_async_context(tracing(os.environ, __version__, secrets))
    endpoints = await resolve_endpoints(settings, stack)
    strategies = Strategies(settings, endpoints, plug_ins)
    await strategies.start(stack)
    decoders = make_decoder_pool(settings)
    stack.push_async_callback(decoders.aclose)
    components = make_components(settings, strategies, decoders, tracer)
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
        drain=app.state.drain,
        session_limits=SessionLimits(settings.session_idle_timeout_s, settings.session_max_s),
        unsent=unsent,
        session_log=app.state.session_log,
    )
    monitor = LoopMonitor()
    monitor.start()
    stack.callback(monitor.close)
    components.metrics.add_protocol(NativeTranslator.name)
    app.state.metrics = Metrics(
        ProcessStateCollector(),
        components.metrics,
        strategies.metrics,
        BreakerCollector({"default": components.transport, **components.transports}),
        PoolCollector(lambda: (strategies.hamsa.pool, *plug_ins.resources.pools)),
        DecoderCollector(decoders.counts, decoders.outcomes),
        UsageCollector(usage),
        UnsentCollector(unsent),
        monitor,
        *collectors,
    )
    app.state.readiness = make_readiness(app.state.drain, usage, strategies, components)
    tasks = await stack.enter_async_context(asyncio.TaskGroup())
    for work in (app.state.readiness.start(components.warm_up), app.state.drain.run()):
        stack.callback(tasks.create_task(work, name=work.__qualname__).cancel)
    return endpoints


def create_app(
    settings: Settings,
    address: str = "",
    collectors: Sequence[Collector] = (),
    *,
    plug_ins: PlugIns | None = None,
) -> FastAPI:
    """Build the application, which prints `address` and the banner when it starts.

    `/metrics` shows what `collectors` tell as well.

    Raises `ConfigurationError` for what `load_plugins` refuses, unless it was called before.
    """
    loaded = plug_ins or load_plugins(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            endpoints = await start_components(app, settings, loaded, collectors, stack)
            banner = (
                *startup_banner(settings, endpoints),
                f"Access {options.describe_access(settings)}",
                f"Open   {address}",
            )
            if settings.log_format == "json":
                log.info("listening", address=address, about=banner)
            else:
                announce("\n".join(banner))
            yield
        app.state.session_log.log_stop()

    app = FastAPI(
        title="Nabra",
        version=__version__,
        lifespan=lifespan,
        openapi_url=None,
        # its spans would hold the query of a handshake, and so the token of a browser
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.drain = Drain(settings.drain_s)
    app.state.session_log = SessionLog()
    if settings.allowed_origins:
        app.add_middleware(CrossOriginReads, allowed_origins=settings.allowed_origins)
    app.add_middleware(
        RootPath,
        root_path=settings.root_path,
        is_trusted=partial(is_in, networks=options.access_options(settings).trusted_proxies),
    )
    _add_routes(app)
    return app


def _add_routes(app: FastAPI) -> None:
    """Add what is served, in the order in which paths are matched."""
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
