"""What the benchmarks compute by themselves, and that their page holds what was measured."""

import pytest

from app.simulator.profiles import Timing
from bench import report
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


def test_the_page_holds_what_was_measured() -> None:
    """It is written by `make bench` and by `make report`, not by hand."""
    assert (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8") == report.page()
    for picture in report.pictures():
        assert (ROOT / "docs/benchmarks" / picture).exists()
