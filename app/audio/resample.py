"""Resampling of PCM16 mono by FFmpeg's libswresample."""

from collections.abc import Iterable

import av
from av.error import BlockingIOError as NeedsInputError
from av.filter import Graph

from app.audio.format import SampleAligner


def frames_to_pcm(frames: Iterable[av.AudioFrame]) -> bytes:
    """Return the samples of s16 mono frames."""
    # A plane is padded beyond its samples.
    return b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in frames)


class RateFilter:
    """A filter graph for PCM16 mono that starts no threads.

    PyAV's own `AudioResampler` starts one a core, for each stream.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._graph = Graph()
        self._graph.threads = 1
        source = self._graph.add(
            "abuffer", sample_rate=str(from_hz), sample_fmt="s16", channel_layout="mono"
        )
        target = self._graph.add(
            "aformat", sample_rates=str(to_hz), sample_fmts="s16", channel_layouts="mono"
        )
        source.link_to(target)
        target.link_to(self._graph.add("abuffersink"))
        self._graph.configure()

    def resample(self, frame: av.AudioFrame | None) -> list[av.AudioFrame]:
        """Take a frame, or None at the end; return what can be resampled so far."""
        self._graph.push(frame)
        frames: list[av.AudioFrame] = []
        while True:
            try:
                pulled = self._graph.pull()
            except (NeedsInputError, EOFError):
                return frames
            assert isinstance(pulled, av.AudioFrame)
            frames.append(pulled)


class Resampler:
    """Change the sample rate of a stream, without clicks between chunks.

    About 1 ms is held back until `flush`. With equal rates, whole samples pass unchanged.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz = from_hz
        self.to_hz = to_hz
        self._aligner = SampleAligner(2)
        self._filter: RateFilter | None = None

    def feed(self, pcm: bytes) -> bytes:
        """Return what can be resampled so far, which may be nothing."""
        pcm = self._aligner.feed(pcm)
        if self.from_hz == self.to_hz or not pcm:
            return pcm
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
        frame.sample_rate = self.from_hz
        frame.planes[0].update(pcm)
        if self._filter is None:
            self._filter = RateFilter(self.from_hz, self.to_hz)
        return frames_to_pcm(self._filter.resample(frame))

    def flush(self) -> bytes:
        """Return what was held back, and reset; drop an incomplete sample."""
        self._aligner = SampleAligner(2)
        if self._filter is None:
            return b""
        rest = frames_to_pcm(self._filter.resample(None))
        self._filter = None  # a flushed filter graph accepts no more input
        return rest


def resample(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    """Change the sample rate of a complete piece of PCM16 mono."""
    resampler = Resampler(from_hz, to_hz)
    return resampler.feed(pcm) + resampler.flush()
