"""The voices: espeak-ng, tones, and the cache before them."""

import re
import statistics

import pytest

from app.audio import AudioFormat
from app.simulator.espeak import is_installed, shared_espeak
from app.simulator.tone_voice import ToneVoice, speakable_characters
from app.simulator.transcripts import built_in_lines, canned_response
from app.simulator.voice import SimulatedVoice, choose_synthesizer

needs_espeak = pytest.mark.skipif(not is_installed(), reason="espeak-ng is an optional extra")


@needs_espeak
def test_espeak_speaks_arabic_as_fast_as_the_provider() -> None:
    sentences = [
        sentence
        for line in built_in_lines()
        for sentence in re.split(r"(?<=[.؟])\s+", canned_response(line))
    ]
    sizes = [len(shared_espeak().synthesize(sentence)) / len(sentence) for sentence in sentences]
    assert statistics.mean(sizes) == pytest.approx(3_200, rel=0.1)
    assert min(sizes) >= 0.6 * 3_200
    assert max(sizes) <= 1.6 * 3_200


@needs_espeak
def test_audio_of_espeak_is_cached_byte_for_byte() -> None:
    voice = SimulatedVoice(choose_synthesizer("espeak"))
    assert voice.name == "espeak-ng"
    assert voice.synthesize_blocking("نعم، تفضل.") is voice.synthesize_blocking("نعم، تفضل.")
    voice.close()


def test_tones_are_as_long_as_the_letters() -> None:
    assert speakable_characters("نَعَمْ، NQL.123ـ؟") == "نعمNQL123"
    assert len(ToneVoice().synthesize("نَعَمْ، NQL.123ـ؟")) == 9 * 3_200
    assert ToneVoice().synthesize("…") == b""


def test_every_20_ms_of_tones_occur_only_once() -> None:
    texts = ["شحنتك وصلت إلى الرياض.", "شحنتك وصلت إلى جدة.", "شحنتك وصلت", "بببببب", "بببببب."]
    audios = [ToneVoice().synthesize(text) for text in texts]
    frames = [audio[i : i + 640] for audio in audios for i in range(0, len(audio), 640)]
    assert len(set(frames)) == len(frames)
    assert audios == [ToneVoice().synthesize(text) for text in texts]


def test_auto_falls_back_to_tones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.simulator.voice.is_installed", lambda: False)
    assert choose_synthesizer("auto").name == "hum"


def test_a_full_cache_evicts_the_oldest_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.simulator.voice._MAX_CACHE_BYTES", 10_000)
    voice = SimulatedVoice(ToneVoice())
    first = voice.synthesize_blocking("نعم")
    assert voice.synthesize_blocking("نعم") is first
    voice.synthesize_blocking("لا")
    assert voice.synthesize_blocking("نعم") == first
    assert voice.synthesize_blocking("نعم") is not first
    voice.close()


def test_other_formats_are_made_of_the_same_audio() -> None:
    voice = SimulatedVoice(ToneVoice())
    narrow = voice.synthesize_blocking("نعم", AudioFormat("mulaw", 8_000))
    assert len(narrow) == pytest.approx(2_400, abs=20)
    voice.close()
