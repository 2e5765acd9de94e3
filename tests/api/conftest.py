"""The providers of the gateways that these tests run."""

from collections.abc import AsyncIterator

import pytest

from app.simulator import Simulator
from tests.gateway import instant_simulator


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with instant_simulator() as running:
        yield running
