"""What the benchmarks compute by themselves, and that their page holds what was measured."""

import os
import subprocess
import sys

import orjson
import pybase64
import pytest

from app.audio.wav_file import WavFile
from app.simulator.profiles import Timing
from bench import baseline_input, load, report, spoken_line, stt_early
from bench.baseline_input import PAUSE_FRAMES, SILENCE, ClientInput, Utterance
from bench.playback import silence_s
from bench.results import ROOT
from bench.theoretical_minimum import theoretical_minimum

TIMING = Timing(
    handshake_ms=0,
    rest_connect_ms=0,
    first_audio_ms=500,
    realtime_factor=2,
    stt_ms=0,
    agent_first_token_ms=1_000,
    agent_token_ms=100,
    agent_answer_ms=0,
)
SENTENCE = "ا" * 60 + ". "
"""It plays for 6 s: the hum takes 100 ms for a letter."""

SECOND = 32_000
"""Bytes of audio."""


@pytest.mark.parametrize(
    ("arrivals", "silence"),
    [
        ([(1.0, SECOND), (1.5, SECOND), (2.9, SECOND)], 0.0),
        ([(1.0, SECOND), (2.25, SECOND)], 0.25),
        ([(1.0, SECOND), (3.0, SECOND), (4.5, SECOND)], 1.5),
    ],
)
def test_a_player_is_silent_while_it_has_nothing_to_play(
    arrivals: list[tuple[float, int]], silence: float
) -> None:
    assert silence_s(arrivals) == pytest.approx(silence)


def test_the_first_audio_waits_for_its_words_and_for_the_provider() -> None:
    answer = "مرحبا " + SENTENCE + SENTENCE
    two = theoretical_minimum(answer, TIMING, first_chars=0, lookahead=1, asked_at_s=2.0)
    assert two.first_s == pytest.approx(2.0 + 1.1 + 0.5)
    assert (two.sentences, two.audio_s) == (2, 12.5)


@pytest.mark.parametrize(("lookahead", "requests_in_a_row"), [(0, 4), (1, 2), (3, 1)])
def test_the_last_audio_waits_for_those_that_may_not_be_made_at_the_same_time(
    lookahead: int, requests_in_a_row: int
) -> None:
    played = theoretical_minimum(SENTENCE * 4, TIMING, first_chars=0, lookahead=lookahead)
    request_s = 0.5 + 6 / TIMING.realtime_factor
    # the agent's words, one in 100 ms, and the last piece of audio are less than this
    assert played.last_s - 1.0 == pytest.approx(requests_in_a_row * request_s, abs=0.7)


def message(**fields: object) -> str:
    return orjson.dumps(fields).decode()


def test_the_baseline_ends_an_utterance_at_a_pause_of_digital_silence() -> None:
    client, speech = ClientInput(), b"\1\2" * 320
    assert client.feed(message(type="configure", turn_detection="server_vad")) is None
    frames = [SILENCE] * 3 + [speech] * 2 + [SILENCE] * (PAUSE_FRAMES - 1)
    assert [client.feed(frame) for frame in frames] == [None] * len(frames)
    utterance = client.feed(SILENCE)
    assert utterance == Utterance(speech * 2 + SILENCE * PAUSE_FRAMES, 5 * 20)
    assert client.feed(SILENCE) is None


def test_the_baseline_takes_a_stream_up_to_its_end() -> None:
    client = ClientInput()
    client.feed(message(type="configure", output={"framing": "binary"}))
    assert client.is_binary
    frames = [SILENCE, b"\1\2" * 320]
    assert [client.feed(frame) for frame in frames] == [None, None]
    assert client.feed(message(type="audio_end")) == Utterance(b"".join(frames))


async def test_the_baseline_sends_to_stt_what_was_said() -> None:
    client = ClientInput()
    recording = pybase64.b64encode_as_string(spoken_line.wav_recording())
    question = client.feed(message(audio_base64=recording))
    assert isinstance(question, Utterance)
    assert await question.wav_base64() == recording
    assert await Utterance(spoken_line.pcm()).wav_base64() == recording


def test_a_browser_records_the_whole_line() -> None:
    decoded = baseline_input.decode(spoken_line.webm_recording())
    assert len(decoded) == pytest.approx(len(spoken_line.pcm()), rel=0.02)


def test_the_line_is_what_the_provider_accepts_and_comes_in_whole_frames() -> None:
    parsed = WavFile.parse(spoken_line.wav_recording())
    assert parsed is not None
    assert parsed.is_pcm16_16k
    assert parsed.duration_s == spoken_line.SECONDS
    for pause_s in stt_early.PAUSES_S.values():
        assert len(stt_early.line(pause_s)) % spoken_line.FRAME_BYTES == 0


def test_cpu_counts_processes_that_were_started_while_they_run_and_after() -> None:
    code = "import time; sum(range(3_000_000)); print(time.process_time(), flush=True); input()"
    before_s = load.cpu_s(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        used_s = float(child.stdout.readline()) - 2 / load.TICKS_PER_S
        assert load.cpu_s(os.getpid()) - before_s >= used_s > 0
        child.communicate("\n")
    assert load.cpu_s(os.getpid()) - before_s >= used_s


async def test_a_spoken_question_costs_the_baseline_a_transcript_and_a_response() -> None:
    async with (
        load.provider(0.0, transcript="short") as addresses,
        load.relay("baseline", addresses, loop="asyncio") as relay,
        load.callers(
            relay.url, 1, framing="binary", input="wav", turns=1, question="short"
        ) as group,
    ):
        await group.start()
        stats = await group.stats()
    assert (stats.turns, stats.whole) == (1, 1)
    provider_ms = 1000 * (load.STT_S + load.FIRST_TOKEN_S + load.FIRST_AUDIO_S)
    assert stats.waits_ms[0] >= provider_ms - 1


def test_the_page_holds_what_was_measured() -> None:
    """It is written by `make bench` and by `make report`, not by hand."""
    assert (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8") == report.page()
    for picture in report.pictures():
        assert (ROOT / "docs/benchmarks" / picture).exists()
