"""Fault injection through `/workbench`: for this gateway's own page only."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from app.api import fault_injection
from app.api.access import AccessControl, AccessOptions
from app.api.fault_injection import MAX_BODY_BYTES, FaultInjection, SimulatorControl
from app.simulator import Simulator
from app.simulator.control_client import ControlClient
from tests.gateway import instant_simulator

HERE = "http://127.0.0.1:8000"
KEY = "a-key-of-an-operator"
HALF_TRUNCATED = {"faults": {"truncated": 0.5}}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with instant_simulator(key="k-1") as running:
        yield running


@pytest.fixture
async def control(simulator: Simulator) -> AsyncIterator[ControlClient]:
    async with ControlClient(simulator.urls.control_url) as control:
        yield control


@asynccontextmanager
async def page_of(
    control: SimulatorControl | None, *, loopback: bool = True, base_url: str = HERE
) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=fault_injection.make_router().routes)
    keys = {} if loopback else {"acme": KEY}
    app.state.access = AccessControl(
        AccessOptions(loopback=loopback, anonymous=loopback, client_keys=keys)
    )
    app.state.fault_injection = FaultInjection(
        control, simulates_speech=True, simulates_agent=False, listens_on_loopback=loopback
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
        yield client


async def test_a_change_reaches_the_simulator_and_its_state_is_returned(
    simulator: Simulator, control: ControlClient
) -> None:
    change = {**HALF_TRUNCATED, "timing": {"stt_ms": 7}, "throttle": {"limit": 4, "window_s": 20}}
    async with page_of(control) as client:
        changed = await client.patch("/workbench", json=change, headers={"Origin": HERE})
        shown = await client.get("/workbench")
    assert changed.status_code == 200
    assert simulator.config.faults["truncated"].probability == 0.5
    assert simulator.config.throttle is not None
    assert shown.json() == changed.json()
    assert shown.json()["timing"]["stt_ms"] == 7
    assert shown.json()["stats"]["sockets_opened"] == 0
    assert "k-1" not in shown.text


async def test_a_fault_that_is_removed_is_gone_and_the_others_stay(
    simulator: Simulator, control: ControlClient
) -> None:
    async with page_of(control) as client:
        await client.patch("/workbench", json={"faults": {"truncated": 1, "drop": 0.2}})
        await client.patch("/workbench", json={"faults": {"truncated": None}})
    assert list(simulator.config.faults) == ["drop"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{", ""),
        (b"[]", ""),
        (b"\xff", ""),
        (b'{"script": ["x"]}', "script"),
        (b'{"key": "mine"}', "key"),
        (b'{"faults": {"meteor": 1}}', "faults.meteor"),
        (b'{"faults": {"drop": 7}}', "faults.drop"),
        (b'{"profile": "slow"}', "profile"),
    ],
)
async def test_an_invalid_change_is_refused_by_the_name_of_its_field(
    simulator: Simulator, control: ControlClient, body: bytes, named: str
) -> None:
    before = simulator.config
    async with page_of(control) as client:
        response = await client.patch("/workbench", content=body)
    assert response.status_code == 422
    assert named in response.json()["message"]
    assert simulator.config == before


async def test_a_body_that_is_too_long_is_refused(
    simulator: Simulator, control: ControlClient
) -> None:
    body = json.dumps({**HALF_TRUNCATED, "profile": "x" * MAX_BODY_BYTES})
    async with page_of(control) as client:
        assert (await client.patch("/workbench", content=body)).status_code == 413
    assert not simulator.config.faults


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}])
async def test_a_foreign_page_is_refused(
    simulator: Simulator, control: ControlClient, headers: dict[str, str]
) -> None:
    async with page_of(control) as client:
        assert (
            await client.patch("/workbench", json=HALF_TRUNCATED, headers=headers)
        ).status_code == 403
        assert (await client.get("/workbench", headers=headers)).status_code == 403
    assert not simulator.config.faults


async def test_on_loopback_a_foreign_host_name_is_refused(control: ControlClient) -> None:
    evil = "http://evil.example:8000"
    async with page_of(control, base_url=evil) as client:
        response = await client.patch("/workbench", json=HALF_TRUNCATED, headers={"Origin": evil})
        assert response.status_code == 403


async def test_off_loopback_a_key_is_needed(control: ControlClient) -> None:
    public = "http://voice.example:8000"
    async with page_of(control, loopback=False, base_url=public) as client:
        assert (await client.patch("/workbench", json=HALF_TRUNCATED)).status_code == 403
        for key, status in (("wrong", 403), (KEY, 200)):
            headers = {"Origin": public, "Authorization": f"Bearer {key}"}
            response = await client.patch("/workbench", json=HALF_TRUNCATED, headers=headers)
            assert response.status_code == status


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
async def test_on_loopback_what_a_proxy_passes_on_is_refused(
    control: ControlClient, header: str
) -> None:
    async with page_of(control) as client:
        response = await client.get("/workbench", headers={header: "203.0.113.9"})
        assert response.status_code == 403


@pytest.mark.parametrize("headers", [{"Host": "[::1"}, {"Host": "[x]"}, {"Origin": "http://[::1"}])
@pytest.mark.parametrize("loopback", [True, False])
async def test_a_host_or_origin_that_is_no_address_is_refused(
    control: ControlClient, headers: dict[str, str], loopback: bool
) -> None:
    async with page_of(control, loopback=loopback) as client:
        response = await client.get("/workbench", headers=headers)
        assert response.status_code == 403


async def test_without_a_simulator_there_is_no_workbench_and_the_page_is_told() -> None:
    async with page_of(None) as client:
        assert (await client.get("/workbench")).status_code == 404
        assert (await client.patch("/workbench", json=HALF_TRUNCATED)).status_code == 404
        about = (await client.get("/about.json")).json()
    assert about == {
        "simulates": {"speech": True, "agent": False},
        "workbench": False,
        "needs_token": False,
        "root_path": "",
    }


async def test_a_simulator_that_is_gone_is_reported() -> None:
    async with instant_simulator() as simulator:
        url = simulator.urls.control_url
    async with ControlClient(url) as control, page_of(control) as client:
        assert (await client.get("/workbench")).status_code == 503
        about: dict[str, Any] = (await client.get("/about.json")).json()
    assert about["workbench"] is True
