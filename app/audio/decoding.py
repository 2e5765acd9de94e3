"""Decoding of what browsers and phones record, by FFmpeg, which is trusted with nothing else.

The bytes come from strangers, and FFmpeg knows formats that are lists of things to open. So the
demuxer is chosen here, by the first bytes, from a handful; codecs are listed too; input is memory
only, and an attempt to open anything else fails.
"""

from collections.abc import Iterator
from io import BytesIO

import av
from av.error import FFmpegError

from app.audio.format import PCM16_16K
from app.audio.resample import frames_to_pcm
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


def decode_utterance(data: bytes, *, max_s: float) -> bytes:
    """Decode a complete recording to headerless PCM16, 16 kHz, mono.

    Takes WAV, WebM, Ogg, MP3, MP4, FLAC and ADTS, told apart by content. A recording that was cut
    off, or is broken in places, gives what can be heard of it. Blocks the thread: run it in a
    worker. Raises `EmptyAudioError`, `UndecodableAudioError`, or, as soon as more than `max_s`
    seconds have been decoded, `UtteranceTooLongError`.
    """
    if not data:
        raise EmptyAudioError("no bytes")
    decoding = _Decoding(max_s)
    try:
        pcm = decoding.run(data, _demuxer(data))
    except (FFmpegError, ValueError, ArithmeticError) as error:
        raise UndecodableAudioError(f"FFmpeg cannot read it: {type(error).__name__}") from error
    if pcm:
        return pcm
    if decoding.fault is not None:
        raise UndecodableAudioError("no packet could be decoded") from decoding.fault
    raise EmptyAudioError("a recording without samples")


def _demuxer(data: bytes) -> str:
    """Name the demuxer for what `data` begins with."""
    head = data[:12]
    if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
        return "wav"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"styp", b"free", b"skip", b"wide"):
        return "mov"
    for magic, name in (
        (b"\x1aE\xdf\xa3", "matroska"),
        (b"OggS", "ogg"),
        (b"fLaC", "flac"),
        (b"ID3", "mp3"),
    ):
        if head.startswith(magic):
            return name
    return _mpeg_demuxer(head)


def _mpeg_demuxer(head: bytes) -> str:
    # Both begin each frame with at least eleven set bits; ADTS alone has layer 0.
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3" if head[1] & 0x06 else "aac"
    raise UndecodableAudioError("not the beginning of any audio file that we know")


def _refuse_to_open(url: str, *_: object) -> None:
    raise PermissionError("an utterance may not open anything")


class _Decoding:
    """One utterance on its way to PCM16."""

    def __init__(self, max_s: float) -> None:
        self.fault: Exception | None = None
        """The first thing that could not be decoded."""
        self._max_s = max_s
        self._decoded_s = 0.0
        self._setup: tuple[str, str, int] | None = None
        self._resampler: av.AudioResampler | None = None

    def run(self, data: bytes, demuxer: str) -> bytes:
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
            return bytes(pcm + self._flushed())

    def _frames(
        self, container: av.container.InputContainer, stream: av.AudioStream
    ) -> Iterator[av.AudioFrame]:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except FFmpegError as error:  # cut off: what came before stands
                self.fault = self.fault or error
                return
            try:
                yield from packet.decode()
            except FFmpegError as error:  # one bad packet; the next may be good
                self.fault = self.fault or error

    def _converted(self, frame: av.AudioFrame) -> bytes:
        self._check(frame)
        setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        rest = b"" if setup == self._setup else self._flushed()
        self._setup = setup
        if self._resampler is None:
            rate_hz = PCM16_16K.sample_rate_hz
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)
        frame.pts = None  # gaps in a recorder's clock are no silence to be filled in
        return rest + frames_to_pcm(self._resampler.resample(frame))

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
        rest = frames_to_pcm(self._resampler.resample(None))
        self._resampler = None
        return rest
