"""`/readyz`: when no new session should come, and how it becomes ready again."""

import asyncio
from typing import Any

import httpx
import pytest

from app.api.readiness import RETRY_INTERVAL_S, NotReady, Readiness
from app.simulator import Simulator
from tests import virtual_time
from tests.gateway import calling, instant_simulator, running_gateway, settings_for


class Gateway:
    """What readiness asks, as plain values."""

    def __init__(self) -> None:
        self.draining = self.full = False
        self.speaks = True
        self.looked = 0
        self.readiness = Readiness(
            is_draining=lambda: self.draining,
            is_full=lambda: self.full,
            can_speak=lambda _: self.speaks,
            find_speech=self.look,
        )

    def look(self) -> None:
        self.looked += 1

    def reason(self, now: float = 0.0) -> str | None:
        problem = self.readiness.check(now)
        return problem and problem.reason


async def test_it_starts_until_the_first_connections_were_tried() -> None:
    gateway = Gateway()
    tried = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        starting = tasks.create_task(gateway.readiness.start(tried.wait))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert gateway.reason() == "starting"
        gateway.draining = True
        assert gateway.reason() == "draining", "nobody waits for a gateway that is stopped"
        gateway.draining = False
        tried.set()
        await starting
    assert gateway.reason() is None
    gateway.full = True
    assert isinstance(gateway.readiness.check(0.0), NotReady)
    assert gateway.reason() == "full"


def test_a_connection_that_never_opens_does_not_hold_the_start_back() -> None:
    gateway = Gateway()
    virtual_time.run(gateway.readiness.start(asyncio.Event().wait))  # type: ignore[arg-type]
    assert gateway.reason() is None


def test_without_a_way_to_speech_it_looks_for_one_but_not_at_each_probe() -> None:
    gateway = Gateway()
    gateway.readiness.has_started = True
    gateway.speaks = False
    for now in (0.0, 1.0, RETRY_INTERVAL_S - 1):
        assert gateway.reason(now) == "speech-unavailable"
    assert gateway.looked == 1
    assert gateway.reason(RETRY_INTERVAL_S) == "speech-unavailable"
    assert gateway.looked == 2
    gateway.speaks = True
    assert gateway.reason(RETRY_INTERVAL_S) is None


async def ask(endpoint: str) -> tuple[int, dict[str, Any]]:
    url = endpoint.replace("ws:", "http:").replace("/ws/agent/", "/readyz")
    async with httpx.AsyncClient() as client:
        response = await client.get(url)
    assert response.headers["Cache-Control"] == "no-store"
    return response.status_code, response.json()


async def until_ready(endpoint: str) -> None:
    async with asyncio.timeout(20):
        while await ask(endpoint) != (200, {"status": "ready"}):
            await asyncio.sleep(0.01)


async def test_a_gateway_is_ready_until_it_is_full(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator, max_sessions=1)) as url:
        await until_ready(url)
        async with calling(url):
            status, body = await ask(url)
            assert (status, body["status"], body["reason"]) == (503, "not-ready", "full")
            assert "MAX_SESSIONS" in body["message"]
        await until_ready(url)


@pytest.mark.parametrize("fault", ["unauthorized", "unavailable"])
async def test_a_provider_that_lets_nobody_in_makes_it_not_ready(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is refused concerns all ways; a socket that is down only one of them."""
    monkeypatch.setattr("app.api.readiness.RETRY_INTERVAL_S", 0.05)
    fallback = "rest" if fault == "unauthorized" else "none"
    async with instant_simulator(faults={fault: 1}) as simulator:
        settings = settings_for(simulator, tts_fallback=fallback, hamsa_connect_limit=100)
        async with running_gateway(settings) as url:
            seen: list[Any] = []
            async with asyncio.timeout(20):
                while not seen or seen[-1][0] != 503 or seen[-1][1]["reason"] == "starting":
                    seen.append(await ask(url))
                    await asyncio.sleep(0.01)
            assert seen[-1][1]["reason"] == "speech-unavailable"
            simulator.configure({"faults": {fault: 0}})
            await until_ready(url)
