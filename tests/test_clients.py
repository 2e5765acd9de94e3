"""The Python client of docs/clients.md, run unchanged."""

import asyncio
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.simulator import Simulator, SimulatorConfig
from tests.documents import block
from tests.gateway import DATA, running_gateway, settings_for

MAX_LINES = 40


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(profile="instant", voice="hum")) as running:
        yield running


async def run(tmp_path: Path, *arguments: str) -> tuple[str, bytes]:
    """Run the program; return what it printed, and the audio that it saved."""
    program, saved = tmp_path / "client.py", tmp_path / "response.wav"
    program.write_text(block("clients.md", "python"), "utf-8")
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


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_examples_are_short(language: str) -> None:
    assert len(block("clients.md", language).splitlines()) <= MAX_LINES
