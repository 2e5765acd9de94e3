"""The gate before the model: what the model is asked, and in which order it hears."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from app.vad.voice_detector import BACKLOG, HANGOVER, WINDOW_BYTES, VoiceDetector


def window(number: int) -> bytes:
    return number.to_bytes(2, "little") * (WINDOW_BYTES // 2)


def number_of(audio: bytes) -> int:
    return int.from_bytes(audio[:2], "little")


@dataclass
class FakeModel:
    """Finds each window as probable as its number is high."""

    heard: list[int] = field(default_factory=list)
    resets: int = 0

    def process_chunk(self, audio: bytes) -> float:
        self.heard.append(number_of(audio))
        return number_of(audio) / 1000

    def reset(self) -> None:
        self.resets += 1


@dataclass
class FakeGate:
    """Hears something in the windows of its list."""

    audible: set[int]

    def is_speech(self, frame: bytes, sample_rate: int) -> bool:
        assert (len(frame), sample_rate) == (960, 16000)
        return number_of(frame) in self.audible


def probabilities(
    audible: set[int], count: int, *, keep_open: bool = False
) -> tuple[list[float], FakeModel]:
    model = FakeModel()
    detector = VoiceDetector(model, FakeGate(audible))
    found: list[float] = []
    for number in range(1, count + 1):
        found += detector.feed(window(number), keep_open=keep_open)
    return found, model


def test_the_model_is_not_asked_about_silence() -> None:
    found, model = probabilities(set(), 100)
    assert model.heard == []
    assert found == [0.0] * (100 - BACKLOG)


def test_the_model_hears_what_came_just_before_the_gate_opened() -> None:
    found, model = probabilities({50}, 50)
    assert model.heard == list(range(50 - BACKLOG, 51))
    assert len(found) == 50
    assert found[-1] == 0.05
    assert found[: 49 - BACKLOG] == [0.0] * (49 - BACKLOG)


def test_the_gate_stays_open_for_a_while_and_then_the_model_begins_anew() -> None:
    found, model = probabilities({20}, 100)
    assert model.heard[-1] == 20 + HANGOVER - 1
    assert len(found) == 100 - BACKLOG
    assert model.resets == 2, "at the beginning, and when the gate closed again"


def test_an_utterance_keeps_the_gate_open() -> None:
    found, model = probabilities(set(), 30, keep_open=True)
    assert model.heard == list(range(1, 31))
    assert len(found) == 30


def test_nobody_is_told_that_somebody_listens(tmp_path: Path) -> None:
    """The library that runs the model would keep a record of its use, to be sent away."""
    program = (
        "from app.vad.voice_detector import load_model; load_model().process_chunk(bytes(1024))"
    )
    environment = {name: value for name, value in os.environ.items() if "ORT_" not in name}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert list(tmp_path.rglob("*")) == []
