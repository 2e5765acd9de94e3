"""What is decided without sockets: chunks, pacing, voices, configuration."""

import re
import statistics
from itertools import pairwise

import pytest

from app.audio import PCM16_16K, AudioFormat
from app.simulator.config import SimulatorConfig
from app.simulator.espeak import is_installed, shared_espeak
from app.simulator.profiles import PROFILES, TimingField
from app.simulator.tone_voice import ToneVoice, speakable
from app.simulator.transcripts import Transcripts, built_in_lines, canned_response, read_lines
from app.simulator.tts import FaultDelays, cut, plan
from app.simulator.voice import SimulatedVoice, choose

DELAYS = FaultDelays(stall_s=60, late_s=0.04)


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("size", [0, 2, 640, 1_600, 3_200, 6_400, 83_000, 395_000, 6_400_000])
def test_chunks_keep_within_what_was_seen(size, odd):
    audio = bytes(i % 251 for i in range(size))
    chunks = cut(audio, 6_400, odd=odd)
    assert b"".join(chunks) == audio
    assert all(len(chunk) <= 65_536 for chunk in chunks)
    if len(chunks) > 1:
        assert min(map(len, chunks)) >= 320
        assert len(chunks[0]) % 2 == odd
    if 6_400 <= size <= 1_000_000:
        assert 5 <= len(chunks) <= 40


def test_audio_is_paced_by_absolute_times():
    audio = bytes(32_000 * 5)
    steps = plan(audio, PCM16_16K, PROFILES["measured"], (), DELAYS)
    sent = 0
    for step in steps[:-1]:
        assert step.at_s == pytest.approx(0.44 + sent / (32_000 * 3))
        sent += len(step.data)
    assert steps[-1].action == "end"
    assert steps[-1].at_s == pytest.approx(0.44 + 5 / 3, abs=0.1)


def test_the_instant_profile_waits_for_nothing():
    steps = plan(bytes(160_000), PCM16_16K, PROFILES["instant"], (), DELAYS)
    assert {step.at_s for step in steps} == {0}


@pytest.mark.parametrize("fault", ["drop", "stall", "stall_first", "late_frames", "truncated"])
@pytest.mark.parametrize("size", [0, 2, 320, 700, 160_000])
def test_no_fault_stumbles_over_short_audio(fault, size):
    steps = plan(bytes(size), PCM16_16K, PROFILES["fast"], (fault,), DELAYS)
    assert [step.at_s for step in steps] == sorted(step.at_s for step in steps)
    assert sum(step.action in ("end", "drop") for step in steps) == 1
    assert all(step.data for step in steps if step.action == "audio")


@pytest.mark.skipif(not is_installed(), reason="espeak-ng is an optional extra")
def test_espeak_speaks_arabic_as_fast_as_the_provider():
    sentences = [
        sentence
        for line in built_in_lines()
        for sentence in re.split(r"(?<=[.؟])\s+", canned_response(line))
    ]
    sizes = [len(shared_espeak().speak(sentence)) / len(sentence) for sentence in sentences]
    assert statistics.mean(sizes) == pytest.approx(3_200, rel=0.1)
    assert min(sizes) >= 0.6 * 3_200
    assert max(sizes) <= 1.6 * 3_200


@pytest.mark.skipif(not is_installed(), reason="espeak-ng is an optional extra")
def test_what_espeak_said_is_remembered_byte_for_byte():
    voice = SimulatedVoice(choose("espeak"))
    assert voice.name == "espeak-ng"
    assert voice.speak("نعم، تفضل.") is voice.speak("نعم، تفضل.")
    voice.close()


def test_the_hum_is_as_long_as_its_letters():
    assert speakable("نَعَمْ، NQL.123ـ؟") == "نعمNQL123"
    assert len(ToneVoice().speak("نَعَمْ، NQL.123ـ؟")) == 9 * 3_200
    assert ToneVoice().speak("…") == b""


def test_every_20_ms_of_the_hum_occur_only_once():
    texts = ["شحنتك وصلت إلى الرياض.", "شحنتك وصلت إلى جدة.", "شحنتك وصلت", "بببببب", "بببببب."]
    hummed = [ToneVoice().speak(text) for text in texts]
    frames = [audio[i : i + 640] for audio in hummed for i in range(0, len(audio), 640)]
    assert len(set(frames)) == len(frames)
    assert hummed == [ToneVoice().speak(text) for text in texts]


def test_auto_falls_back_to_the_hum(monkeypatch):
    monkeypatch.setattr("app.simulator.voice.is_installed", lambda: False)
    assert choose("auto").name == "hum"


def test_the_voice_forgets_the_oldest_when_it_holds_too_much(monkeypatch):
    monkeypatch.setattr("app.simulator.voice._CACHE_BYTES", 10_000)
    voice = SimulatedVoice(ToneVoice())
    first = voice.speak("نعم")
    assert voice.speak("نعم") is first
    voice.speak("لا")
    assert voice.speak("نعم") == first
    assert voice.speak("نعم") is not first
    narrow = voice.speak("نعم", AudioFormat("mulaw", 8_000))
    assert len(narrow) == pytest.approx(2_400, abs=20)
    voice.close()


def test_a_script_file_has_one_line_a_turn(tmp_path):
    path = tmp_path / "script.txt"
    path.write_text("\ufeffمرحبا\r\n\n  أين شحنتي؟  \n", encoding="utf-8")
    script = Transcripts(read_lines(path))
    assert [script.next_transcript() for _ in range(3)] == ["مرحبا", "أين شحنتي؟", "مرحبا"]
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no line"):
        read_lines(path)


def test_timing_can_be_overridden_figure_by_figure():
    config = SimulatorConfig(profile="measured", timing={"stt_ms": 5})
    assert config.effective_timing.stt_ms == 5
    assert config.effective_timing.first_audio_ms == 440
    assert set(TimingField.__args__) == set(type(config.effective_timing).__slots__)


def test_the_old_name_of_the_measured_profile_is_accepted_with_one_warning(caplog):
    config = SimulatorConfig.validated({"profile": "seed"})
    assert config.patched({"timing": {"stt_ms": 5}}).profile == "measured"
    assert caplog.messages == ["profile 'seed' is deprecated; use 'measured'"]


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"faults": {"truncated": 2}}, "faults.truncated.probability: Input should be less"),
        ({"faults": {"nonsense": 1}}, "faults.nonsense: Input should be"),
        ({"faults": [1]}, "faults: Input should be a valid dictionary"),
        ({"timing": {"stt_ms": -1}}, "timing.stt_ms: Input should be greater"),
        ({"profile": "slow"}, "profile: Input should be 'fast', 'instant' or 'measured'"),
        ({"throttle": {"limit": 4}}, "throttle.window_s: Field required"),
        ({"voice": "hum"}, "voice: fixed when the simulator starts"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"script": []}, "script: Tuple should have at least 1 item"),
    ],
)
def test_a_bad_patch_names_the_field_and_changes_nothing(patch, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        SimulatorConfig().patched(patch)


def test_faults_and_timing_are_patched_entry_by_entry():
    config = SimulatorConfig(faults={"drop": 1, "riff": 1}, timing={"stt_ms": 5})
    changed = config.patched(
        {"faults": {"drop": None, "stall": 0.5}, "timing": {"handshake_ms": 9}}
    )
    assert {name: spec.probability for name, spec in changed.faults.items()} == {
        "riff": 1,
        "stall": 0.5,
    }
    assert changed.timing == {"stt_ms": 5, "handshake_ms": 9}
    assert changed.patched({"faults": None}).faults == {}


def test_jitter_makes_neighbouring_chunks_differ():
    sizes = list(map(len, cut(bytes(160_000), 6_400)))
    assert any(a != b for a, b in pairwise(sizes))
