"""How late the event loop is."""

import asyncio
import time

from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from app.telemetry.loop_monitor import INTERVAL_S, LoopMonitor


def shown(monitor: LoopMonitor) -> str:
    registry = CollectorRegistry()
    registry.register(monitor)
    return generate_latest(registry).decode()


def test_each_look_is_counted_in_its_bucket() -> None:
    monitor = LoopMonitor()
    assert 'le="+Inf"} 0.0' in shown(monitor)
    for lag_s in (0.0, 0.004, 0.03, 9.0):
        monitor.observe(lag_s, now=0)
    text = shown(monitor)
    assert 'le="0.001"} 1.0' in text
    assert 'le="0.005"} 2.0' in text
    assert 'le="0.05"} 3.0' in text
    assert 'le="5.0"} 3.0' in text
    assert 'le="+Inf"} 4.0' in text


async def test_a_stall_is_seen_and_told_once() -> None:
    monitor = LoopMonitor()
    with capture_logs() as lines:
        monitor.start()
        time.sleep(INTERVAL_S + 0.4)  # noqa: ASYNC251 - this is the stall
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        monitor.close()
    assert [line["event"] for line in lines] == ["event loop stalled"]
    assert lines[0]["lag_ms"] >= 390
    assert 'le="0.25"} 0.0' in shown(monitor)
