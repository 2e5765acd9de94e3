"""Shows pools of sockets to Prometheus."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from app.pool.pool import ConnectionPool
from app.telemetry.counts import Labels, counter_metric, gauge_metric


class PoolCollector(Collector):
    """Reads pools; those of one name are added up."""

    def __init__(self, pools: Callable[[], Sequence[ConnectionPool[Any]]]) -> None:
        self._pools = pools

    def collect(self) -> Iterator[Metric]:
        """Read the state of this moment."""
        now = asyncio.get_running_loop().time()
        sockets: Counter[Labels] = Counter()
        waiting: Counter[Labels] = Counter()
        permits: Counter[Labels] = Counter()
        opened: Counter[Labels] = Counter()
        for pool in self._pools():
            counts = pool.counts()
            waiting[pool.name] += counts.pop("waiting")
            for state, count in counts.items():
                sockets[pool.name, state] += count
            permits[pool.name] += pool.openings_left(now)
            opened[pool.name] += pool.opened
        yield gauge_metric("nabra_provider_sockets", "Sockets by state", ["pool", "state"], sockets)
        yield gauge_metric(
            "nabra_provider_requests_waiting", "Requests that wait for a socket", ["pool"], waiting
        )
        yield gauge_metric(
            "nabra_provider_openings_left",
            "Sockets that may be opened now",
            ["pool"],
            permits,
        )
        yield counter_metric(
            "nabra_provider_openings", "Sockets that were opened", ["pool"], opened
        )
