"""Cost of the completeness checks when nothing fails: first audio with and without them."""

import asyncio

from app.audio import PCM16_16K
from app.hamsa.connection import Connection
from app.hamsa.rest import HamsaClient
from app.hamsa.tts_rest import RestTransport
from app.hamsa.tts_websocket import WebSocketTransport
from app.pool.budget import SlidingWindowBudget
from app.pool.lease import PoolLimits
from app.pool.pool import ConnectionPool
from app.pool.pool_state import PoolState
from app.pool.terms import LeaseTerms, Urgency
from app.simulator.child import SimulatorProcess
from app.telemetry import logs
from app.transports.base import SpeechRequest, TTSTransport
from app.transports.resilient import ResilientTransport
from app.types import Voice
from bench.harness import percentile
from bench.results import Cell, Result, Table

SENTENCES = 40
TEXT = "أهلاً وسهلاً بك في خدمة العملاء لشركة ناقل إكسبرس في الرياض."


async def run() -> Result:
    """Synthesize 40 sentences over each transport, bare and checked by turns."""
    logs.configure("error", "console")
    async with SimulatorProcess(["--profile=fast", "--voice=hum"]) as simulator:
        urls = simulator.urls
        pool = ConnectionPool(
            lambda: Connection.open(urls["hamsa_ws_url"], "bench", connect_timeout_s=5),
            PoolState(
                SlidingWindowBudget(3, 20), max_connections=8, max_age_s=3300, max_pong_age_s=50
            ),
            PoolLimits(),
        )
        client = HamsaClient(
            urls["hamsa_rest_url"], "bench", connect_timeout_s=5, http2_prior_knowledge=True
        )
        await pool.start()
        try:
            socket, rest = WebSocketTransport(pool, linger_s=0.3), RestTransport(client)
            rows = await asyncio.gather(_compare(socket), _compare(rest))
        finally:
            await client.aclose()
            await pool.aclose()
    table = Table(
        "First audio over a warm transport, bare and checked in one run",
        (
            "transport",
            "bare p50 ms",
            "checked p50 ms",
            "bare p95 ms",
            "checked p95 ms",
            "ratio at p50",
        ),
        rows,
        f"{SENTENCES} sentences per cell, profile `fast`, in which the provider's first audio "
        "takes 60 ms. Bare: the transport alone. Checked: inside the resilient wrapper, which "
        "holds back the first 40 ms of audio and compares the length of the audio with the text.",
    )
    return Result("hold_back", [table])


async def _compare(bare: TTSTransport) -> tuple[Cell, ...]:
    checked = ResilientTransport([bare])
    await _first_audio_ms(bare)
    times: dict[TTSTransport | ResilientTransport, list[float]] = {bare: [], checked: []}
    for _ in range(SENTENCES):
        for transport, measured in times.items():
            measured.append(await _first_audio_ms(transport))
    p50 = [percentile(times[transport], 0.5) for transport in (bare, checked)]
    p95 = [percentile(times[transport], 0.95) for transport in (bare, checked)]
    return bare.name, *p50, *p95, p50[1] / p50[0]


async def _first_audio_ms(transport: TTSTransport | ResilientTransport) -> float:
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    request = SpeechRequest(TEXT, Voice("Majd", "ksa"), PCM16_16K)
    speech = (
        transport.synthesize(request, LeaseTerms())
        if isinstance(transport, TTSTransport)
        else transport.synthesize(request, Urgency())
    )
    async with speech as stream:
        chunks = aiter(stream)
        await anext(chunks)
        first_ms = (loop.time() - started_at) * 1000
        async for _ in chunks:
            pass
    return first_ms
