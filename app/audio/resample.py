"""Resampling of a stream of PCM16 mono: a windowed sinc in numpy, with next to no delay.

soxr keeps 20 to 100 ms of a stream to itself, and FFmpeg would be in this process; both cost as
much at chunks of 20 ms. Rates are taken as a ratio of whole numbers, so nothing drifts.
"""

import math
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from app.audio.format import SampleAligner

Floats = npt.NDArray[np.float32]
Shorts = npt.NDArray[np.int16]

HALF_WIDTH = 16
"""Samples to each side of an output sample that the filter looks at, at the lower of the rates:
1 ms at 16 kHz. So much is held back."""

CUTOFF = 0.97
"""Where the filter begins to close, as a share of half the lower rate."""

KAISER_BETA = 9.0
"""Of the window: 90 dB down beside the pass band."""

GROUP = 16
"""Outputs that are computed by one row of a matrix product, at the simple ratios."""

MAX_PHASES = 1024
"""Filters of a ratio that is not simple; between two of them the nearer is taken."""

MAX_BLOCK = 8192
"""Samples that are converted at a time, however many come."""


class Resampler:
    """Change the sample rate of a stream, without seams between chunks.

    1 ms (2 ms when one of the rates is 8 kHz) is held back until `flush`. Equal rates pass whole
    samples through.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz = from_hz
        self.to_hz = to_hz
        self._aligner = SampleAligner(2)
        self._filter: _Filter | None = None
        self._kept = np.empty(0, np.float32)
        """Samples that outputs to come look at."""
        self._state = 0

    def feed(self, pcm: bytes) -> bytes:
        """Return what can be said at the new rate so far."""
        pcm = self._aligner.feed(pcm)
        if self.from_hz == self.to_hz or not pcm:
            return pcm
        if self._filter is None:
            self._filter = make_filter(self.from_hz, self.to_hz)
            self._kept, self._state = np.zeros(self._filter.half - 1, np.float32), 0
        samples = np.frombuffer(pcm, "<i2")
        if len(samples) <= MAX_BLOCK:
            return self._converted(self._filter, samples)
        blocks = np.array_split(samples, math.ceil(len(samples) / MAX_BLOCK))
        return b"".join([self._converted(self._filter, block) for block in blocks])

    def flush(self) -> bytes:
        """Return what was held back, and begin anew; an unfinished sample is dropped."""
        self._aligner = SampleAligner(2)
        if self._filter is None:
            return b""
        rest = self._converted(self._filter, np.zeros(self._filter.half, np.int16))
        self._filter = None
        return rest

    def _converted(self, filter: "_Filter", samples: Shorts) -> bytes:
        held, count = len(self._kept), len(self._kept) + len(samples)
        given = np.zeros(count + filter.padding, np.float32)
        given[:held] = self._kept
        given[held:count] = samples
        out, used, self._state = filter.convert(given, count, self._state)
        self._kept = given[used:count]
        np.rint(out, out=out)
        np.minimum(out, 32_767, out=out)
        np.maximum(out, -32_768, out=out)
        return out.astype("<i2").tobytes()


def resample(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    """Change the sample rate of PCM16 mono that is complete."""
    resampler = Resampler(from_hz, to_hz)
    return resampler.feed(pcm) + resampler.flush()


class _Filter(Protocol):
    half: int
    """Samples to each side of an output that it looks at."""
    padding: int
    """Zeros that it may read, and multiplies by nothing, after what it is given."""

    def convert(self, given: Floats, count: int, state: int) -> tuple[Floats, int, int]:
        """Return the outputs that can be had, how many samples are used up, and the new state.

        `given` begins `half - 1` samples before the position that state 0 stands for; `count` of
        them are samples, the others padding.
        """


@lru_cache(maxsize=16)
def make_filter(from_hz: int, to_hz: int) -> _Filter:
    """Build the filter of a ratio; it has no state, and serves all streams."""
    divisor = math.gcd(from_hz, to_hz)
    up, down = to_hz // divisor, from_hz // divisor
    return _GroupFilter(up, down) if up <= GROUP else _PhaseFilter(up, down)


class _GroupFilter:
    """A simple ratio, as 1:3 or 3:2: outputs in groups, each a product with the same matrix."""

    def __init__(self, up: int, down: int) -> None:
        groups = max(1, GROUP // up)
        self._outputs, self._inputs = up * groups, down * groups
        self.half = _half(up, down)
        self.padding = self._inputs + 2 * self.half
        self._matrix = np.zeros((self.padding, self._outputs), np.float32)
        taps = _taps(np.arange(up) / up, up, down)
        for index in range(self._outputs):
            first, rest = divmod(index * down, up)
            self._matrix[first : first + 2 * self.half, index] = taps[rest]

    def convert(self, given: Floats, count: int, state: int) -> tuple[Floats, int, int]:
        """Return outputs; the state counts those of the first group that are out already."""
        ready = _ready(count - 2 * self.half, self._outputs, self._inputs)
        done, begun = divmod(ready, self._outputs)
        windows = _windows(given, done + bool(begun), self.padding, self._inputs)
        out = (windows @ self._matrix).reshape(-1)[state:ready]
        return out, done * self._inputs, begun


class _PhaseFilter:
    """Any other ratio: a filter for each position of an output between two samples."""

    def __init__(self, up: int, down: int) -> None:
        self._up, self._down = up, down
        self.half = _half(up, down)
        self.padding = 0
        self._phases = min(up, MAX_PHASES)
        self._taps = _taps(np.arange(self._phases + 1) / self._phases, up, down)

    def convert(self, given: Floats, count: int, state: int) -> tuple[Floats, int, int]:
        """Return outputs; the state is the position of the next one, in parts of a sample."""
        ready = _ready(count - 2 * self.half, self._up, self._down, state)
        first, rest = np.divmod(state + self._down * np.arange(ready), self._up)
        phase = (rest * self._phases + self._up // 2) // self._up
        windows = _windows(given, max(0, count - 2 * self.half + 1), 2 * self.half, 1)
        out = np.einsum("ij,ij->i", windows[first], self._taps[phase])
        used, state = divmod(state + ready * self._down, self._up)
        return out, used, state


def _windows(samples: Floats, rows: int, width: int, step: int) -> Floats:
    """Return views of `width` samples each, `step` samples apart: `as_strided`, but checked."""
    return np.ndarray((rows, width), np.float32, samples, 0, (4 * step, 4))


def _ready(last: int, up: int, down: int, offset: int = 0) -> int:
    """Count the outputs from `offset / up` to input position `last`, one each `down / up`."""
    return max(0, ((last + 1) * up - 1 - offset) // down + 1)


def _half(up: int, down: int) -> int:
    return math.ceil(HALF_WIDTH * max(1.0, down / up))


def _taps(shifts: npt.NDArray[np.float64], up: int, down: int) -> Floats:
    """Return a filter for each position between two samples; a constant comes out as it is."""
    half = _half(up, down)
    times = np.arange(1 - half, half + 1)[None, :] - shifts[:, None]
    taps = np.sinc(CUTOFF * min(1.0, up / down) * times)
    taps *= np.interp(np.abs(times) / half, *_window())
    normalized: Floats = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalized


@lru_cache(maxsize=1)
def _window() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return half a Kaiser window, from its middle to its end, to be interpolated.

    A Bessel function for each tap of a thousand filters would hold the event loop for 30 ms.
    """
    places = np.linspace(0.0, 1.0, 4097)
    return places, np.i0(KAISER_BETA * np.sqrt(1 - places**2))
