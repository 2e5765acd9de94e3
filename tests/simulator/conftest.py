"""A simulator without delays, and clients that share no code with the gateway."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.simulator import Simulator, SimulatorConfig
from tests.simulator.provider_client import ProviderClient


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(profile="instant", voice="hum")) as simulator:
        yield simulator


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
async def http(request: pytest.FixtureRequest, sim: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    """Talk to the simulator in each version of HTTP; the second with prior knowledge."""
    http2 = request.param == "HTTP/2"
    async with httpx.AsyncClient(
        base_url=sim.urls.hamsa_rest_url,
        headers={"Authorization": "Token key"},
        http1=not http2,
        http2=http2,
        trust_env=False,
        timeout=10,
    ) as client:
        yield client


@pytest.fixture
def provider(sim: Simulator) -> ProviderClient:
    return ProviderClient(sim)
