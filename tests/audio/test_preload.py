"""When numpy and soxr are imported: by no start, and by no turn."""

import subprocess
import sys
import threading

import pytest

from app.pipeline.components import PipelineComponents
from tests.pipeline.fakes import FakeAgent, FakeTranscriber
from tests.transports.fakes import FakeTransport, PlainSynthesizer

PROGRAM = """
import os, sys
import app.main
print("start:", *sorted({"numpy", "soxr", "onnxruntime", "rich", "av"} & set(sys.modules)))
from app.audio import PCM16_16K, AudioFormat, Converter
from app.audio.preload import preload
from app.audio.wav_file import WavFile
preload()
loaded = set(sys.modules)
print("preload:", *sorted({"numpy", "soxr"} & loaded))
Converter(AudioFormat("mulaw", 8000), PCM16_16K).feed(bytes(160))
telephone = Converter(PCM16_16K, AudioFormat("mulaw", 8000))
telephone.feed(bytes(3200)), telephone.flush()
from app.audio.wav_samples import to_pcm16
to_pcm16(WavFile("pcm", 2, 2, 48_000, 0, bytes(1 << 20), 0, 1 << 18))
print("turn:", *sorted(set(sys.modules) - loaded))
print("threads:", len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 1)
"""


def test_they_come_after_the_start_and_before_a_turn() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    )
    assert ended.stdout.splitlines() == ["start:", "preload: numpy soxr", "turn:", "threads: 1"]


async def test_they_are_imported_in_a_thread_while_connections_are_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[threading.Thread] = []
    monkeypatch.setattr(
        "app.pipeline.components.preload", lambda: threads.append(threading.current_thread())
    )
    components = PipelineComponents(
        FakeTranscriber(),
        FakeAgent([]),
        PlainSynthesizer(FakeTransport([])),
        max_utterance_s=10,
    )
    await components.warm_up()
    assert [thread is threading.main_thread() for thread in threads] == [False]
