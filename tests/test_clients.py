"""The Python client of docs/clients.md, run as it stands there."""

import asyncio
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.simulator import Simulator, SimulatorConfig
from tests.documents import block
from tests.gateway import DATA, running_gateway, settings_for

LINES_AT_MOST = 40


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(profile="instant", voice="hum")) as running:
        yield running


async def run(tmp_path: Path, *arguments: str) -> tuple[str, bytes]:
    """Run the program; gives what it printed, and the sound that it kept."""
    program, answer = tmp_path / "client.py", tmp_path / "answer.wav"
    program.write_text(block("clients.md", "python"), "utf-8")
    url, question, *more = arguments
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), url, question, str(answer), *more,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    printed, complaint = await process.communicate()
    assert (process.returncode, complaint) == (0, b"")
    with wave.open(str(answer)) as heard:
        assert heard.getparams()[:3] == (1, 2, 16000)
        return printed.decode(), heard.readframes(heard.getnframes())


@pytest.mark.parametrize("question", [str(DATA / "arabic.wav"), "أين شحنتي؟"])
async def test_it_asks_and_keeps_the_answer(
    tmp_path: Path, simulator: Simulator, question: str
) -> None:
    """By a recording, which is heard, or by a text; the sound is that of all sentences."""
    async with running_gateway(settings_for(simulator)) as url:
        printed, sound = await run(tmp_path, url, question)
    [answer] = [record.text for record in simulator.requests if record.kind == "agent"]
    assert answer
    spoken = [record.text for record in simulator.requests if record.kind == "tts"]
    assert sound == b"".join(map(simulator.expected_audio, spoken))
    assert len(printed.splitlines()) == (2 if question.endswith(".wav") else 1)


async def test_it_interrupts_when_it_has_heard_enough(tmp_path: Path, simulator: Simulator) -> None:
    simulator.configure({"timing": {"realtime_factor": 20}})
    async with running_gateway(settings_for(simulator)) as url:
        _, sound = await run(tmp_path, url, "أين شحنتي؟", "0.5")
    assert 16000 < len(sound) < 32000 * 8


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_examples_are_short(language: str) -> None:
    assert len(block("clients.md", language).splitlines()) <= LINES_AT_MOST
