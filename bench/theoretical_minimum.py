"""The theoretical minimum: when audio could be heard if only the providers took time.

The gateway takes no time here. A piece of the agent's response is there when the agent sends it. A
sentence is requested when its last word is there. Audio is heard as soon as the provider has made
it, in order. The only limit is `TTS_LOOKAHEAD`: so many sentences are synthesized ahead of the one
that is heard.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.audio import PCM16_16K
from app.simulator.agent_plan import plan_response
from app.simulator.profiles import Timing
from app.simulator.tone_voice import ToneVoice
from app.simulator.tts import FaultDelays, plan_stream
from app.text.sentence_splitter import SentenceSplitter
from app.text.speakable import is_speakable
from app.text.tts_text import tts_text
from bench.playback import silence_s


@dataclass(frozen=True, slots=True)
class TheoreticalMinimum:
    """When the first and the last audio of a turn could arrive, in seconds since its start."""

    first_s: float
    last_s: float
    audio_s: float
    """How long the response plays."""
    silence_s: float
    """Sum of all gaps in a player that starts at the first audio and plays in real time."""
    sentences: int
    """TTS requests of the response."""


def theoretical_minimum(
    response: str,
    timing: Timing,
    *,
    first_chars: int,
    lookahead: int,
    asked_at_s: float = 0.0,
) -> TheoreticalMinimum:
    """Compute the minimum for a turn that asks the agent `asked_at_s` after its start."""
    sentences = list(sentence_times(response, timing, first_chars))
    arrivals: list[tuple[float, int]] = []
    ended: list[float] = []
    for index, (text, written_at_s) in enumerate(sentences):
        lookahead_free_at_s = ended[index - 1 - lookahead] if index > lookahead else 0.0
        requested_at_s = max(asked_at_s + written_at_s, lookahead_free_at_s)
        steps = plan_stream(
            ToneVoice().synthesize(tts_text(text)), PCM16_16K, timing, (), FaultDelays(0, 0)
        )
        previous_ended_at_s = ended[-1] if ended else 0.0
        arrivals += (
            (max(requested_at_s + step.at_s, previous_ended_at_s), len(step.data))
            for step in steps
            if step.action == "audio"
        )
        ended.append(arrivals[-1][0])
    audio_s = PCM16_16K.duration_ms(sum(size for _, size in arrivals)) / 1000
    silence = silence_s(arrivals)
    return TheoreticalMinimum(arrivals[0][0], ended[-1], audio_s, silence, len(sentences))


def sentence_times(response: str, timing: Timing, first_chars: int) -> Iterator[tuple[str, float]]:
    """Yield each sentence and the time, in seconds after the request, when its end is known."""
    splitter = SentenceSplitter(first_chars=first_chars)
    at_s = 0.0
    for step in plan_response(response, timing, (), 0.0):
        at_s = step.at_s
        texts = splitter.flush() if step.action == "end" else splitter.feed(step.content or "")
        yield from ((text, at_s) for text in texts if is_speakable(tts_text(text)))
