"""Utterances of Arabic speech by the real model: their boundaries, and the audio in them."""

from itertools import pairwise

import pytest

from app.audio import PCM16_16K, AudioFormat, Converter
from app.vad.base import SpeechBegan, SpeechEnded, SpeechEvent, SpeechPaused, SpeechResumed
from app.vad.endpointer import EndpointerLimits
from app.vad.segmenting_vad import SegmentingVad, create_segmenting_vad
from tests.voices import SAMPLES_PER_MS, Scene, noise

LINES = ("أين شحنتي رقم خمسة؟", "أريد أن أغير عنوان التسليم.", "شكراً جزيلاً لك.")
TOLERANCE_MS = 150
FRAME_BYTES = 640
"""20 ms."""


async def create_detector(format: AudioFormat = PCM16_16K, **limits: float) -> SegmentingVad:
    return await create_segmenting_vad(format, EndpointerLimits(**limits), pre_roll_ms=300)


def detect(
    detector: SegmentingVad, audio: bytes, *, during_response: bool = False, size: int = FRAME_BYTES
) -> list[SpeechEvent]:
    events: list[SpeechEvent] = []
    for at in range(0, len(audio), size):
        events += detector.process(audio[at : at + size], during_response=during_response)
    return events


def boundaries(events: list[SpeechEvent]) -> list[tuple[float, float]]:
    """Return the start and the end of each utterance, in milliseconds."""
    starts = [event.start_ms for event in events if isinstance(event, SpeechBegan)]
    ends = [event.end_ms for event in events if isinstance(event, SpeechEnded)]
    return list(zip(starts, ends, strict=True))


def assert_close(found: list[tuple[float, float]], truth: list[tuple[float, float]]) -> None:
    assert len(found) == len(truth), f"{found} for {truth}"
    for pair, true_pair in zip(found, truth, strict=True):
        for a, b in zip(pair, true_pair, strict=True):
            assert abs(a - b) <= TOLERANCE_MS, f"{found} for {truth}"


def three_utterances() -> Scene:
    scene = Scene().pause(700)
    for line in LINES:
        scene = scene.speak(line).pause(900)
    return scene


async def test_three_utterances_are_found() -> None:
    scene = three_utterances()
    assert_close(boundaries(detect(await create_detector(), scene.pcm())), scene.utterances)


async def test_utterances_are_found_in_noise() -> None:
    scene = three_utterances().noisy(20)
    assert_close(boundaries(detect(await create_detector(), scene.pcm())), scene.utterances)


async def test_a_cough_is_no_utterance() -> None:
    scene = (
        Scene().pause(500).cough(150).pause(600).speak(LINES[0]).pause(800).cough(250).pause(100)
    )
    scene = scene.cough(200).pause(800).noisy(20)
    assert_close(boundaries(detect(await create_detector(), scene.pcm())), scene.utterances)


async def test_a_short_pause_does_not_end_an_utterance() -> None:
    scene = Scene().pause(600).speak(LINES[0], LINES[1], pause_ms=350).pause(900)
    events = detect(await create_detector(), scene.pcm())
    assert_close(boundaries(events), scene.utterances)
    paused, resumed = (
        [index for index, event in enumerate(events) if isinstance(event, kind)]
        for kind in (SpeechPaused, SpeechResumed)
    )
    assert len(paused) == 2
    assert len(resumed) == 1


@pytest.mark.parametrize("deviation", [0, 30, 300, 2000])
async def test_noise_alone_is_no_utterance(deviation: float) -> None:
    assert detect(await create_detector(), noise(8000, deviation=deviation)) == []


@pytest.mark.parametrize("loudness", [1.0, 0.03])
async def test_nothing_of_the_speech_is_missing_in_the_utterance(loudness: float) -> None:
    scene = Scene().pause(1000).speak(LINES[0]).pause(900)
    scene = Scene(scene.samples * loudness, scene.utterances)
    events = detect(await create_detector(), scene.pcm())
    (start, end), *more = scene.utterances
    assert not more
    speech = scene.pcm()[round(start * SAMPLES_PER_MS) * 2 : round(end * SAMPLES_PER_MS) * 2]
    ended = events[-1]
    assert isinstance(ended, SpeechEnded)
    assert speech in ended.pcm
    assert len(ended.pcm) < len(speech) + 800 * 2 * SAMPLES_PER_MS


@pytest.mark.parametrize(
    "format",
    [AudioFormat("mulaw", 8000), AudioFormat("pcm_s16le", 8000), AudioFormat("pcm_s16le", 48000)],
)
async def test_utterances_are_found_in_other_formats(format: AudioFormat) -> None:
    scene = three_utterances()
    converter = Converter(PCM16_16K, format)
    audio = converter.feed(scene.pcm()) + converter.flush()
    found = boundaries(detect(await create_detector(format), audio, size=501))
    assert_close(found, scene.utterances)


async def test_a_short_word_is_an_utterance_but_no_barge_in() -> None:
    scene = Scene().pause(600).speak("لا").pause(800)
    assert_close(boundaries(detect(await create_detector(), scene.pcm())), scene.utterances)
    backchannel = Scene().pause(600).speak("اه").pause(800)
    assert detect(await create_detector(), backchannel.pcm(), during_response=True) == []
    objection = Scene().pause(600).speak("لا لا، ليس هذا العنوان.").pause(800)
    events = detect(await create_detector(), objection.pcm(), during_response=True)
    assert_close(boundaries(events), objection.utterances)


async def test_an_utterance_that_the_client_ends_holds_all_its_speech() -> None:
    scene = Scene().pause(600).speak(LINES[1])
    detector = await create_detector()
    events = detect(detector, scene.pcm())
    assert [type(event) for event in events] == [SpeechBegan]
    ended = detector.finish()
    assert ended is not None
    assert ended.reason == "client"
    assert len(ended.pcm) > (scene.ms - 600) * SAMPLES_PER_MS * 2
    assert detector.finish() is None


async def test_speech_that_goes_on_after_the_client_ended_it_is_in_one_utterance_only() -> None:
    speech = Scene().pause(600).speak(LINES[1]).pcm()
    half = len(speech) // 2
    detector = await create_detector()
    detect(detector, speech[:half])
    first = detector.finish()
    detect(detector, speech[half:])
    second = detector.finish()
    assert first is not None
    assert second is not None
    assert second.pcm
    assert (first.pcm + second.pcm) in speech


async def test_audio_before_a_pause_shorter_than_the_pre_roll_is_in_one_utterance_only() -> None:
    scene = Scene().pause(600).speak(LINES[0]).pause(250).speak(LINES[1]).pause(600)
    events = detect(await create_detector(silence_ms=100), scene.pcm())
    utterances = [event.pcm for event in events if isinstance(event, SpeechEnded)]
    assert len(utterances) > 1
    for one, next_one in pairwise(utterances):
        last_sound = one.rstrip(b"\0")[-FRAME_BYTES:]
        assert last_sound not in next_one


async def test_two_streams_at_once_do_not_affect_each_other() -> None:
    one, other = await create_detector(), await create_detector()
    scene = three_utterances()
    pcm, quiet = scene.pcm(), noise(scene.ms, deviation=30)
    events: list[SpeechEvent] = []
    for at in range(0, len(pcm), FRAME_BYTES):
        events += one.process(pcm[at : at + FRAME_BYTES], during_response=False)
        assert other.process(quiet[at : at + FRAME_BYTES], during_response=False) == []
    assert events == detect(await create_detector(), pcm)


async def test_five_minutes_of_endless_speech_are_cut_and_no_audio_piles_up() -> None:
    detector = await create_detector(max_utterance_ms=120_000)
    speech = Scene().speak(*LINES).pcm()
    frames = len(speech) // FRAME_BYTES
    events: list[SpeechEvent] = []
    for _ in range(300_000 // (frames * 20)):
        events += detect(detector, speech, size=FRAME_BYTES)
    (ended,) = [event for event in events if isinstance(event, SpeechEnded)]
    assert ended.reason == "limit"
    assert 120_000 <= len(ended.pcm) / SAMPLES_PER_MS / 2 <= 120_700
    assert len(detector._audio) < FRAME_BYTES * 50
