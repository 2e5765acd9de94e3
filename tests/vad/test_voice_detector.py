"""The pre-VAD before the model: which windows the model is given, and in which order."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from app.vad.voice_detector import BACKLOG_WINDOWS, HANGOVER_WINDOWS, WINDOW_BYTES, VoiceDetector


def window(number: int) -> bytes:
    return number.to_bytes(2, "little") * (WINDOW_BYTES // 2)


def number_of(audio: bytes) -> int:
    return int.from_bytes(audio[:2], "little")


@dataclass
class FakeModel:
    """Returns the number of a window, in thousandths."""

    windows: list[int] = field(default_factory=list)
    resets: int = 0

    def process_chunk(self, audio: bytes) -> float:
        self.windows.append(number_of(audio))
        return number_of(audio) / 1000

    def reset(self) -> None:
        self.resets += 1


@dataclass
class FakePreVad:
    """Finds sound in the windows of its list."""

    audible: set[int]

    def is_speech(self, frame: bytes, sample_rate: int) -> bool:
        assert (len(frame), sample_rate) == (960, 16000)
        return number_of(frame) in self.audible


def probabilities(
    audible: set[int], count: int, *, bypass_pre_vad: bool = False
) -> tuple[list[float], FakeModel]:
    model = FakeModel()
    detector = VoiceDetector(model, FakePreVad(audible))
    found: list[float] = []
    for number in range(1, count + 1):
        found += detector.feed(window(number), bypass_pre_vad=bypass_pre_vad)
    return found, model


def test_the_model_is_not_run_on_silence() -> None:
    found, model = probabilities(set(), 100)
    assert model.windows == []
    assert found == [0.0] * (100 - BACKLOG_WINDOWS)


def test_the_model_is_given_the_windows_just_before_the_first_sound() -> None:
    found, model = probabilities({50}, 50)
    assert model.windows == list(range(50 - BACKLOG_WINDOWS, 51))
    assert len(found) == 50
    assert found[-1] == 0.05
    assert found[: 49 - BACKLOG_WINDOWS] == [0.0] * (49 - BACKLOG_WINDOWS)


def test_the_model_is_run_for_a_while_after_the_last_sound_and_then_reset() -> None:
    found, model = probabilities({20}, 100)
    assert model.windows[-1] == 20 + HANGOVER_WINDOWS - 1
    assert len(found) == 100 - BACKLOG_WINDOWS
    assert model.resets == 2, "at the beginning, and after the hangover"


def test_during_an_utterance_the_model_is_run_on_all_windows() -> None:
    found, model = probabilities(set(), 30, bypass_pre_vad=True)
    assert model.windows == list(range(1, 31))
    assert len(found) == 30


def test_the_use_of_the_model_is_not_recorded(tmp_path: Path) -> None:
    """By default onnxruntime records its use in the home directory, to be sent to its maker."""
    program = (
        "from app.vad.voice_detector import load_model; load_model().process_chunk(bytes(1024))"
    )
    environment = {name: value for name, value in os.environ.items() if "ORT_" not in name}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert list(tmp_path.rglob("*")) == []
