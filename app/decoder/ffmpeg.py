"""Decoding of what browsers and phones record, by FFmpeg, which is trusted with nothing else.

The bytes come from strangers, and FFmpeg knows formats that are lists of things to open. So the
demuxer is chosen here, by the first bytes, from a handful; codecs are listed too; input is memory
only, and an attempt to open anything else fails.
"""

from collections.abc import Iterable, Iterator
from io import BytesIO

import av
from av.error import FFmpegError

from app.decoder.containers import without_tags
from app.errors import EmptyAudioError, UndecodableAudioError, UtteranceTooLongError

_CODECS = (
    "pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le",
    "pcm_mulaw", "pcm_alaw", "adpcm_ms", "adpcm_ima_wav",
    "opus", "libopus", "vorbis", "mp3", "mp3float", "aac", "alac", "flac",
)  # fmt: skip

_CONTAINER_OPTIONS = {
    "codec_whitelist": ",".join(_CODECS),  # binds the probing inside FFmpeg too
    "format_whitelist": "wav,matroska,webm,ogg,mp3,mov,mp4,m4a,3gp,3g2,mj2,flac,aac",
    "protocol_whitelist": "none",  # the name of no protocol; an empty list would allow all
    "max_streams": "8",  # recorders write one, and perhaps a picture
}

# Telephony to the best sound cards. Beyond, a header alone could ask for a resampling filter of
# gigabytes.
_MIN_RATE_HZ, _MAX_RATE_HZ = 4_000, 384_000
_MAX_CHANNELS = 16

MAX_FRUITLESS_PACKETS = 10_000
"""Packets without a sample in them, broken or empty, after which the rest is not worth reading."""

RATE_HZ = 16_000
"""Of what comes out: what speech to text takes."""


def decode_recording(data: bytes, *, max_s: float) -> bytearray:
    """Decode a complete recording to headerless PCM16, 16 kHz, mono.

    Takes WAV, WebM, Ogg, MP3, MP4, FLAC and ADTS, told apart by content. A recording that was cut
    off, or is broken in places, gives what can be heard of it. Raises `EmptyAudioError`,
    `UndecodableAudioError`, or, as soon as more than `max_s` seconds have been decoded,
    `UtteranceTooLongError`.
    """
    if not data:
        raise EmptyAudioError("no bytes")
    container, data = without_tags(data)
    decoding = _Decoding(max_s)
    try:
        pcm = decoding.run(data, container)
    except (FFmpegError, ValueError, ArithmeticError) as error:
        raise UndecodableAudioError(f"FFmpeg cannot read it: {type(error).__name__}") from error
    if pcm:
        return pcm
    if decoding.fault is not None:
        raise UndecodableAudioError("no packet could be decoded") from decoding.fault
    raise EmptyAudioError("a recording without samples")


def _refuse_to_open(url: str, *_: object) -> None:
    raise PermissionError("an utterance may not open anything")


class _Decoding:
    """One utterance on its way to PCM16."""

    def __init__(self, max_s: float) -> None:
        self.fault: Exception | None = None
        """The first thing that could not be decoded; without its traceback, which holds us."""
        self._max_s = max_s
        self._decoded_s = 0.0
        self._setup: tuple[str, str, int] | None = None
        self._resampler: av.AudioResampler | None = None

    def run(self, data: bytes, demuxer: str) -> bytearray:
        """Decode the first audio stream of `data`."""
        with av.open(
            BytesIO(data),
            mode="r",
            format=demuxer,
            container_options=_CONTAINER_OPTIONS,
            metadata_errors="replace",
            io_open=_refuse_to_open,
        ) as container:
            if not container.streams.audio:
                raise UndecodableAudioError("no audio stream")
            stream = container.streams.audio[0]
            codec = stream.codec_context  # None, whatever PyAV says, for one that FFmpeg has not
            if codec is None or codec.name not in _CODECS:
                raise UndecodableAudioError(f"codec {codec and codec.name!r} is not allowed")
            pcm = bytearray()
            for frame in self._frames(container, stream):
                pcm += self._converted(frame)
            pcm += self._flushed()
            return pcm

    def _frames(
        self, container: av.container.InputContainer, stream: av.AudioStream
    ) -> Iterator[av.AudioFrame]:
        packets, fruitless = container.demux(stream), 0
        while fruitless < MAX_FRUITLESS_PACKETS:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except FFmpegError as error:  # cut off: what came before stands
                self.fault = self.fault or error.with_traceback(None)
                return
            try:
                frames = packet.decode()
            except FFmpegError as error:  # one bad packet; the next may be good
                self.fault = self.fault or error.with_traceback(None)
                frames = []
            fruitless += not frames
            yield from frames

    def _converted(self, frame: av.AudioFrame) -> bytes:
        self._check(frame)
        setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        rest = b"" if setup == self._setup else self._flushed()
        self._setup = setup
        if self._resampler is None:
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        frame.pts = None  # gaps in a recorder's clock are no silence to be filled in
        return rest + _samples(self._resampler.resample(frame))

    def _check(self, frame: av.AudioFrame) -> None:
        if not _MIN_RATE_HZ <= frame.sample_rate <= _MAX_RATE_HZ:
            raise UndecodableAudioError(f"sample rate of {frame.sample_rate} Hz")
        if frame.layout.nb_channels > _MAX_CHANNELS:
            raise UndecodableAudioError(f"{frame.layout.nb_channels} channels")
        self._decoded_s += frame.samples / frame.sample_rate
        if self._decoded_s > self._max_s:
            raise UtteranceTooLongError(f"longer than {self._max_s:g} s")

    def _flushed(self) -> bytes:
        if self._resampler is None:
            return b""
        rest = _samples(self._resampler.resample(None))
        self._resampler = None
        return rest


def _samples(frames: Iterable[av.AudioFrame]) -> bytes:
    # A plane is padded beyond its samples.
    return b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in frames)
