"""The earliest moment that the providers' own timing allows, for each sentence of an answer.

Nothing of the gateway is counted: a piece of the agent's answer is there when it is sent, a
sentence is asked for when its end is written, and audio is played when it is made, in order. The
only bound is `TTS_LOOKAHEAD`: so many sentences are made ahead of the one that is played.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.audio import PCM16_16K
from app.simulator.agent import plan_answer
from app.simulator.hum import Hum
from app.simulator.profiles import Timing
from app.simulator.tts import Delays, plan
from app.text.sentence_splitter import SentenceSplitter
from app.text.speakable import is_speakable
from app.text.tts_text import tts_text
from bench.playback import silence_s


@dataclass(frozen=True, slots=True)
class Earliest:
    """When the first and the last audio of a turn could be heard, in seconds since its begin."""

    first_s: float
    last_s: float
    audio_s: float
    """How long the answer plays."""
    silence_s: float
    """All gaps of a player that begins at the first audio and plays in real time."""
    sentences: int
    """Requests that it takes."""


def earliest(
    answer: str,
    timing: Timing,
    *,
    first_chars: int,
    lookahead: int,
    asked_at_s: float = 0.0,
) -> Earliest:
    """Play the turn through in mind; the agent is asked `asked_at_s` after the turn's begin."""
    released = list(releases(answer, timing, first_chars))
    arrivals: list[tuple[float, int]] = []
    ended: list[float] = []
    for index, (text, written_at_s) in enumerate(released):
        place_at_s = ended[index - 1 - lookahead] if index > lookahead else 0.0
        requested_at_s = max(asked_at_s + written_at_s, place_at_s)
        steps = plan(Hum().speak(tts_text(text)), PCM16_16K, timing, (), Delays(0, 0))
        heard_at_s = ended[-1] if ended else 0.0
        arrivals += (
            (max(requested_at_s + step.at_s, heard_at_s), len(step.data))
            for step in steps
            if step.action == "audio"
        )
        ended.append(arrivals[-1][0])
    audio_s = PCM16_16K.duration_ms(sum(size for _, size in arrivals)) / 1000
    return Earliest(arrivals[0][0], ended[-1], audio_s, silence_s(arrivals), len(released))


def releases(answer: str, timing: Timing, first_chars: int) -> Iterator[tuple[str, float]]:
    """Yield each sentence with the time, counted from the question, when its end is known."""
    splitter = SentenceSplitter(first_chars=first_chars)
    at_s = 0.0
    for step in plan_answer(answer, timing, (), 0.0):
        at_s = step.at_s
        texts = splitter.flush() if step.action == "end" else splitter.feed(step.content or "")
        yield from ((text, at_s) for text in texts if is_speakable(tts_text(text)))
