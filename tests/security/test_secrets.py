"""After a run with every fault, at debug: no credential, and not a word that was said, anywhere."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.simulator import Simulator, SimulatorConfig
from app.simulator.faults import FAULT_NAMES, FaultSpec
from bench.harness import recorded_utterance, take_turn
from tests.audio.recordings import recorded
from tests.gateway import ARABIC_WAV
from tests.processes import PROC, decoders, tree
from tests.security.gateways import GatewayProcess, gateway_process

PROVIDER_KEY = "pk-provider-8d1f63"
AGENT_TOKEN = "Bearer at-agent-77c0de"
CLIENT_KEYS = {"acme": "ck-acme-19ab4e0a72", "other": "ck-other-5e02c7b9d1"}
METRICS_TOKEN = "mt-scraper-c41b902e"
CREDENTIALS = (PROVIDER_KEY, "at-agent-77c0de", *CLIENT_KEYS.values(), METRICS_TOKEN)

TYPED, SPOKEN, ANSWER = "zanzibarword", "quokkaword", "marmaladeword"
WORDS = (TYPED, SPOKEN, ANSWER)
TURNS = 30

SETTINGS = {
    "HAMSA_API_KEY": PROVIDER_KEY,
    "AGENT_TOKEN": AGENT_TOKEN,
    "CLIENT_KEYS": ",".join(f"{name}:{key}" for name, key in CLIENT_KEYS.items()),
    "METRICS_TOKEN": METRICS_TOKEN,
    "LOG_LEVEL": "debug",
    "LOG_TRANSCRIPTS": "false",
    "AGENT_FIRST_TOKEN_TIMEOUT_S": "1",
    "AGENT_BETWEEN_TOKENS_TIMEOUT_S": "1",
    "TTS_DEADLINE_S": "3",
    "TTS_FIRST_AUDIO_TIMEOUT_S": "0.5",
    "TTS_STALL_TIMEOUT_S": "0.5",
    "STT_TIMEOUT_S": "1",
    "STT_DEADLINE_S": "2",
    "HAMSA_CONNECT_LIMIT": "50",
}


def faulty_simulator() -> Simulator:
    faults = {name: FaultSpec(probability=0.04) for name in FAULT_NAMES}
    faults["provider_error"] = FaultSpec(probability=0.3)
    return Simulator(
        SimulatorConfig(
            profile="instant",
            voice="hum",
            script=(SPOKEN,),
            answers=dict.fromkeys((TYPED, SPOKEN), f"{ANSWER}. {ANSWER} {ANSWER}."),
            faults=faults,
            provider_message=f"the key {PROVIDER_KEY} cannot say this",
        )
    )


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {CLIENT_KEYS[name]}"}


def encoded(audio: bytes) -> dict[str, str]:
    return {"audio_base64": base64.b64encode(audio).decode()}


async def converse(gateway: GatewayProcess, number: int) -> None:
    """Type, speak and send recordings for the decoders, whatever comes back."""
    url = f"{gateway.endpoint}of-acme-{number}"
    async with connect(
        url, proxy=None, compression=None, max_size=None, additional_headers=bearer("acme")
    ) as socket:
        spoken = (recorded_utterance(), encoded(recorded("webm")), encoded(ARABIC_WAV[:3000]))
        for turn in range(TURNS // 6):
            await take_turn(socket, {"type": "text", "text": TYPED})
            await take_turn(socket, spoken[turn % len(spoken)])


async def overhear(gateway: GatewayProcess, heard: list[str]) -> None:
    """Be another client, and note all that one gets."""
    async with connect(
        f"{gateway.endpoint}of-other", proxy=None, additional_headers=bearer("other")
    ) as socket:
        async for data in socket:
            heard.append(str(data))  # noqa: PERF401 - kept when this is cancelled


async def refusals(gateway: GatewayProcess) -> list[str]:
    """Collect what refused requests are told."""
    bodies = []
    async with httpx.AsyncClient(trust_env=False) as client:
        for key in ("wrong-key-3b9d", PROVIDER_KEY, "at-agent-77c0de"):
            headers = {"Authorization": f"Bearer {key}"}
            base = gateway.url
            for method, path in (
                ("GET", "/ws/agent/of-acme-0"),
                ("POST", "/v1/sessions"),
                ("GET", "/metrics"),
                ("GET", f"/ws/agent/x?token={key}"),
                ("GET", f"/nothing/{key[:0]}"),
            ):
                bodies.append((await client.request(method, base + path, headers=headers)).text)
            try:
                async with connect(f"{gateway.endpoint}of-acme-0?token={key}", proxy=None):
                    raise AssertionError("came in")
            except InvalidStatus as error:
                bodies.append((error.response.body or b"").decode())
        joined = await client.get(f"{gateway.url}/ws/agent/of-acme-0", headers=bearer("other"))
        assert joined.status_code == 403
        bodies.append(joined.text)
        bodies.append((await client.get(f"{gateway.url}/metrics", headers=bearer("acme"))).text)
    return bodies


def of_children(gateway: GatewayProcess) -> str:
    """Return environment and command line of all that the gateway started."""
    parts = []
    for pid in tree(gateway.process.pid)[1:]:
        parts += [(PROC / str(pid) / name).read_bytes() for name in ("environ", "cmdline")]
    return b"\0".join(parts).decode(errors="replace")


async def test_neither_a_credential_nor_a_word_is_anywhere(tmp_path: Path) -> None:
    async with faulty_simulator() as simulator:
        urls: dict[str, Any] = {
            "HAMSA_WS_URL": simulator.urls.hamsa_ws_url,
            "HAMSA_REST_URL": simulator.urls.hamsa_rest_url,
            "HAMSA_REST_HTTP2": "prior_knowledge",
            "AGENT_WEBHOOK_URL": simulator.urls.agent_webhook_url,
        }
        async with gateway_process(tmp_path, {**SETTINGS, **urls}) as gateway:
            heard: list[str] = []
            other = asyncio.create_task(overhear(gateway, heard))
            async with asyncio.timeout(50):
                await asyncio.gather(*(converse(gateway, number) for number in range(6)))
            bodies = await refusals(gateway)
            assert decoders(gateway.process.pid)
            children = of_children(gateway)
            other.cancel()
            log = gateway.log()
            assert log.count("\n") > 100 and "fault" in log
            assert json.loads(heard[0])["type"] == "session"
            for place, text in {
                "log": log,
                "events": "\n".join(heard),
                "bodies and metrics": "\n".join(bodies),
                "children": children,
            }.items():
                found = [each for each in (*CREDENTIALS, *WORDS) if each in text]
                lines = [line for line in text.splitlines() if any(each in line for each in found)]
                assert not found, (place, lines[:3])
            assert "fault=provider-refused" in log, "the provider quoted the key"
            assert "Traceback" not in log


async def test_the_simulator_s_process_gets_no_credential(tmp_path: Path) -> None:
    settings = {name: SETTINGS[name] for name in ("AGENT_TOKEN", "CLIENT_KEYS", "METRICS_TOKEN")}
    async with gateway_process(tmp_path, settings) as gateway:
        assert "app.simulator" in (children := of_children(gateway))
        assert not [each for each in CREDENTIALS if each in children]
