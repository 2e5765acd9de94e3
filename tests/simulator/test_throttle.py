"""Sockets that are opened beyond the provider's limit."""

import pytest
from websockets.exceptions import InvalidStatus

from app.simulator import Simulator, Throttle
from app.simulator.throttle import ThrottleWindow
from tests.simulator.provider_client import TEXT, ProviderClient


def test_the_window_slides() -> None:
    window, throttle = ThrottleWindow(), Throttle(limit=4, window_s=20)
    full = []
    for now_s in (0, 5, 10, 19, 20, 21, 26):
        full.append(window.is_full(now_s, throttle))
        window.count(now_s)
    # At 20 the first has left the window; at 21 four are in it: 5, 10, 19, 20.
    assert full == [False, False, False, False, False, True, True]


@pytest.mark.parametrize("mode", ["truncated", "refused"])
async def test_sockets_beyond_the_limit_are_truncated_or_refused(
    sim: Simulator, provider: ProviderClient, mode: str
) -> None:
    sim.configure({"throttle": {"limit": 2, "window_s": 600, "mode": mode}})
    async with provider.open() as first, provider.open() as second:
        for ws in (first, second):
            await ws.recv()
            assert (await provider.synthesize(ws)).audio == sim.expected_audio(TEXT)
        if mode == "refused":
            with pytest.raises(InvalidStatus) as refused:
                await provider.open()
            assert refused.value.response.status_code == 429
            assert "Retry-After" in refused.value.response.headers
        else:
            async with provider.open() as third:
                await third.recv()
                for _ in range(2):
                    assert len((await provider.synthesize(third)).audio) == 640
        assert (await provider.synthesize(first)).audio == sim.expected_audio(TEXT)
    assert sim.stats.sockets_throttled == 1
