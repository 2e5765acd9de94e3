"""How far the client has played, by the clock and by its reports."""

import pytest

from app.pipeline.timeline import Timeline


def timeline_with(*sentences: tuple[str, float], at: float = 10.5) -> Timeline:
    timeline = Timeline(started_at=10.0)
    for text, audio_ms in sentences:
        timeline.on_audio_sent(timeline.add_sentence(text), audio_ms, at)
    return timeline


def test_nothing_is_played_before_the_first_audio() -> None:
    assert Timeline(10.0).played_ms(11.0) == 0


def test_no_more_is_played_than_was_sent_or_than_time_has_passed() -> None:
    timeline = timeline_with(("واحد", 3000))
    assert timeline.played_ms(11.0) == pytest.approx(500)
    assert timeline.played_ms(99.0) == 3000


@pytest.mark.parametrize(
    ("played_ms", "text"),
    [
        (0, ""),
        (1000, "واحد اثنان"),
        (2000, "واحد اثنان ثلاثة أربعة"),
        (3000, "واحد اثنان ثلاثة أربعة خمسة"),
        (9000, "واحد اثنان ثلاثة أربعة خمسة ستة"),
    ],
)
def test_the_text_played_is_the_words_that_the_audio_covers(played_ms: float, text: str) -> None:
    timeline = timeline_with(("واحد اثنان ثلاثة أربعة", 2000), ("خمسة ستة", 2000), ("لم يُسمع", 0))
    assert timeline.played_text(played_ms) == text


def test_a_sentence_that_failed_hides_none_that_was_played() -> None:
    timeline = timeline_with(
        ("لم تُنطق", 0), ("واحد اثنان", 2000), ("لم تُنطق", 0), ("ثلاثة أربعة", 2000)
    )
    assert timeline.played_text(3000) == "واحد اثنان ثلاثة"


def test_a_client_has_played_on_since_its_report() -> None:
    timeline = timeline_with(("واحد اثنان", 2000))
    timeline.on_playback_report(played_ms=500, now=11.0)
    assert timeline.buffered_ms(11.25) == pytest.approx(1250)
    assert timeline.played_ms(11.25) == 500, "what was played goes by the report"
    assert timeline.is_playing(12.4)
    assert not timeline.is_playing(12.5)


def test_a_client_that_waited_for_audio_did_not_play_meanwhile() -> None:
    timeline = timeline_with(("واحد اثنان", 1000))
    timeline.on_audio_sent(timeline.add_sentence("ثلاثة أربعة"), 2000, 15.0)
    assert timeline.played_ms(15.0) == 1000
    assert timeline.played_ms(15.5) == pytest.approx(1500)
    assert timeline.buffered_ms(15.5) == pytest.approx(1500)
    assert timeline.played_text(timeline.played_ms(15.4)) == "واحد اثنان"
