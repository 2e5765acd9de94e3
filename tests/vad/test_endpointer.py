"""Where utterances begin and end, from probabilities alone."""

import pytest

from app.vad.endpointer import Endpointer, EndpointerLimits, EndpointEvent

WINDOW_MS = 32.0
LIMITS = EndpointerLimits(max_utterance_ms=3200)


def endpoint_events(
    script: str, *, during_response: bool = False
) -> list[tuple[EndpointEvent, float, float]]:
    """Feed a window for each character: `#` speech, `+` just under the threshold, `.` silence.

    Return each event with the start and the end of speech, in windows.
    """
    endpointer = Endpointer(LIMITS, WINDOW_MS)
    found = []
    for character in script:
        probability = {"#": 0.9, "+": 0.4, ".": 0.1}[character]
        event = endpointer.feed(probability, during_response=during_response)
        if event is not None:
            speech = (endpointer.start_ms / WINDOW_MS, endpointer.end_ms / WINDOW_MS)
            found.append((event, *speech))
    return found


SILENCE = "." * 16
"""16 windows are 512 ms."""


def test_an_utterance_lasts_from_its_first_window_of_speech_to_its_last() -> None:
    assert endpoint_events("..." + "#" * 20 + SILENCE) == [
        (EndpointEvent.BEGAN, 3, 8),
        (EndpointEvent.PAUSED, 3, 23),
        (EndpointEvent.ENDED, 3, 23),
    ]


def test_speech_that_is_too_short_is_no_utterance() -> None:
    assert endpoint_events("...####" + SILENCE + "####" + SILENCE) == []


def test_a_short_gap_does_not_split_speech_that_becomes_an_utterance() -> None:
    assert endpoint_events("###..##")[0] == (EndpointEvent.BEGAN, 0, 7)


def test_a_pause_within_an_utterance_is_followed_by_resumed() -> None:
    found = [event for event, *_ in endpoint_events("#" * 10 + "." * 8 + "#" * 10 + SILENCE)]
    assert found == [
        EndpointEvent.BEGAN,
        EndpointEvent.PAUSED,
        EndpointEvent.RESUMED,
        EndpointEvent.PAUSED,
        EndpointEvent.ENDED,
    ]


def test_speech_may_fall_below_the_threshold_without_ending() -> None:
    assert [event for event, *_ in endpoint_events("#" * 5 + "+" * 40)] == [EndpointEvent.BEGAN]


def test_sound_below_the_threshold_begins_no_utterance() -> None:
    assert endpoint_events("+" * 60) == []


def test_sound_below_the_threshold_does_not_resume_an_utterance() -> None:
    found = [event for event, *_ in endpoint_events("#" * 10 + "." * 8 + "+" * 10)]
    assert found == [EndpointEvent.BEGAN, EndpointEvent.PAUSED, EndpointEvent.ENDED]


def test_an_utterance_during_a_response_needs_more_speech() -> None:
    assert endpoint_events("#" * 12 + SILENCE, during_response=True) == []
    assert endpoint_events("#" * 13, during_response=True) == [(EndpointEvent.BEGAN, 0, 13)]


def test_endless_speech_is_cut_once_and_the_rest_of_it_is_no_utterance() -> None:
    found = endpoint_events("#" * 500 + SILENCE + "#" * 10 + SILENCE)
    assert [event for event, *_ in found] == [
        EndpointEvent.BEGAN,
        EndpointEvent.LIMIT,
        EndpointEvent.BEGAN,
        EndpointEvent.PAUSED,
        EndpointEvent.ENDED,
    ]
    assert found[1][1:] == (0, 100)
    assert found[2][1] == 516


@pytest.mark.parametrize(("script", "was_speaking"), [("#" * 6, True), ("###", False), ("", False)])
def test_a_client_may_end_an_utterance(script: str, was_speaking: bool) -> None:
    endpointer = Endpointer(LIMITS, WINDOW_MS)
    for _ in script:
        endpointer.feed(0.9)
    assert endpointer.finish() is was_speaking
    assert not endpointer.is_active
    assert endpointer.finish() is False
