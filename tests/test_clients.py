"""What docs/clients.md says: its Python client run unchanged, its tokens, its list of files."""

import asyncio
import re
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.api.page import WEB
from app.simulator import Simulator, SimulatorConfig
from tests.documents import block, text_of
from tests.gateway import DATA, running_gateway, settings_for

MAX_LINES = 40


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(profile="instant", voice="hum")) as running:
        yield running


async def run(tmp_path: Path, *arguments: str, code: str | None = None) -> tuple[str, bytes]:
    """Run the program; return what it printed, and the audio that it saved."""
    program, saved = tmp_path / "client.py", tmp_path / "response.wav"
    program.write_text(code or block("clients.md", "python"), "utf-8")
    url, user_input, *more = arguments
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), url, user_input, str(saved), *more,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    printed, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    with wave.open(str(saved)) as audio:
        assert audio.getparams()[:3] == (1, 2, 16000)
        return printed.decode(), audio.readframes(audio.getnframes())


@pytest.mark.parametrize("user_input", [str(DATA / "arabic.wav"), "أين شحنتي؟"])
async def test_it_sends_a_turn_and_saves_the_response(
    tmp_path: Path, simulator: Simulator, user_input: str
) -> None:
    """The turn is a recording or a text; the audio is that of all sentences."""
    async with running_gateway(settings_for(simulator)) as url:
        printed, audio = await run(tmp_path, url, user_input)
    [agent_text] = [record.text for record in simulator.requests if record.kind == "agent"]
    assert agent_text
    sentences = [record.text for record in simulator.requests if record.kind == "tts"]
    assert audio == b"".join(map(simulator.expected_audio, sentences))
    assert len(printed.splitlines()) == (2 if user_input.endswith(".wav") else 1)


async def test_it_interrupts_after_the_given_time(tmp_path: Path, simulator: Simulator) -> None:
    simulator.configure({"timing": {"realtime_factor": 20}})
    async with running_gateway(settings_for(simulator)) as url:
        _, audio = await run(tmp_path, url, "أين شحنتي؟", "0.5")
    assert 16000 < len(audio) < 32000 * 8


async def test_a_token_is_minted_and_passed_on_as_the_document_says(
    tmp_path: Path, simulator: Simulator
) -> None:
    """Run the request for a token, and the Python client with the header of the table."""
    document = text_of("clients.md")
    key = "a-key-of-a-server-0123456789"
    [wanted] = re.findall(r"-d '(\{.*\})'", document)
    [headers] = re.findall(r"`connect\(url, (additional_headers=.*)\)`", document)
    async with running_gateway(settings_for(simulator, client_keys=f"shop:{key}")) as url:
        async with httpx.AsyncClient(trust_env=False) as http:
            response = await http.post(
                url.replace("ws://", "http://").replace("/ws/agent/", "/v1/sessions"),
                headers={"Authorization": f"Bearer {key}"},
                content=wanted,
            )
        assert response.status_code == 201
        assert set(response.json()) == {"session_id", "token", "expires_at"}
        code = block("clients.md", "python").replace("connect(url,", f"connect(url, {headers},")
        code = f"token = {response.json()['token']!r}\n{code}"
        printed, _ = await run(tmp_path, url, "أين شحنتي؟", code=code)
    assert printed


def test_the_files_of_the_library_are_all_named() -> None:
    """Who copies the files that the document names has what each of them loads."""
    document = text_of("clients.md")
    [sentence] = re.findall(r"copy the files that lie beside it.*?\.js`\. ", document)
    named = set(re.findall(r"`([a-z-]+\.js)`", sentence))
    loaded, found = {"nabra.js"}, {"nabra.js"}
    while found:
        text = (WEB / found.pop()).read_text("utf-8")
        new = set(re.findall(r'["/]([a-z-]+\.js)"[;,)]', text)) - loaded
        loaded |= new
        found |= new
    assert named == loaded - {"nabra.js"}


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_examples_are_short(language: str) -> None:
    assert len(block("clients.md", language).splitlines()) <= MAX_LINES
