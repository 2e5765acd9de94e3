"""Shows to Prometheus which transports have failed so often that they are left alone."""

import asyncio
from collections.abc import Iterator, Mapping

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from app.telemetry.counts import Labels, gauge_metric
from app.transports.base import SpeechSynthesizer
from app.transports.breaker import BREAKER_STATES
from app.transports.resilient import ResilientTransport


class BreakerCollector(Collector):
    """Reads the circuit breakers of synthesizers, by what a client calls each."""

    def __init__(self, synthesizers: Mapping[str, SpeechSynthesizer]) -> None:
        self._synthesizers = synthesizers

    def collect(self) -> Iterator[Metric]:
        """Read the state of this moment."""
        now = asyncio.get_running_loop().time()
        states: dict[Labels, float] = {}
        for choice, synthesizer in self._synthesizers.items():
            if not isinstance(synthesizer, ResilientTransport):
                continue
            for route in synthesizer.routes:
                actual = route.breaker.state(now)
                for state in BREAKER_STATES:
                    states[choice, route.transport.name, state] = state == actual
        yield gauge_metric(
            "nabra_tts_breaker",
            "1 for the state that the circuit breaker of a transport is in",
            ["choice", "transport", "state"],
            states,
        )
