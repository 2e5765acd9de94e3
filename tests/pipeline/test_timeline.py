"""What was heard, from the clock."""

import pytest

from app.pipeline.timeline import Timeline


def spoken(*sentences: tuple[str, float], at: float = 10.5) -> Timeline:
    timeline = Timeline(started_at=10.0)
    for text, audio_ms in sentences:
        timeline.sent(timeline.sentence(text), audio_ms, at)
    return timeline


def test_nothing_was_heard_before_the_first_audio() -> None:
    assert Timeline(10.0).played_ms(11.0) == 0


def test_no_more_was_heard_than_was_sent_or_than_time_passed() -> None:
    timeline = spoken(("واحد", 3000))
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
def test_the_text_heard_is_the_words_that_fit_into_the_audio(played_ms: float, text: str) -> None:
    timeline = spoken(("واحد اثنان ثلاثة أربعة", 2000), ("خمسة ستة", 2000), ("لم يُسمع", 0))
    assert timeline.played_text(played_ms) == text


def test_a_sentence_that_could_not_be_spoken_hides_none_that_was_heard() -> None:
    timeline = spoken(("لم تُنطق", 0), ("واحد اثنان", 2000), ("لم تُنطق", 0), ("ثلاثة أربعة", 2000))
    assert timeline.played_text(3000) == "واحد اثنان ثلاثة"


def test_a_client_has_played_on_since_its_report() -> None:
    timeline = spoken(("واحد اثنان", 2000))
    timeline.on_playback_report(played_ms=500, now=11.0)
    assert timeline.buffered_ms(11.25) == pytest.approx(1250)
    assert timeline.played_ms(11.25) == 500, "what was heard goes by the report"
    assert timeline.is_audible(12.4)
    assert not timeline.is_audible(12.5)


def test_a_client_that_waited_for_audio_did_not_play_meanwhile() -> None:
    timeline = spoken(("واحد اثنان", 1000))
    timeline.sent(timeline.sentence("ثلاثة أربعة"), 2000, 15.0)
    assert timeline.played_ms(15.0) == 1000
    assert timeline.played_ms(15.5) == pytest.approx(1500)
    assert timeline.buffered_ms(15.5) == pytest.approx(1500)
    assert timeline.played_text(timeline.played_ms(15.4)) == "واحد اثنان"
