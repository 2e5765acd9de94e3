"""Decoding of what browsers and phones record, by FFmpeg, with every other feature locked out.

The bytes come from strangers, and some of FFmpeg's formats are lists of files or URLs to open. So
the demuxer is chosen here from a short list, by the first bytes; codecs are listed, too; the input
is memory only, and an attempt to open anything else fails.
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
    "codec_whitelist": ",".join(_CODECS),  # holds for the probing inside FFmpeg, too
    "format_whitelist": "wav,matroska,webm,ogg,mp3,mov,mp4,m4a,3gp,3g2,mj2,flac,aac",
    "protocol_whitelist": "none",  # no protocol has this name; an empty list would allow all
    "max_streams": "8",  # recorders write one, and sometimes a picture
}

# From telephony to the best sound cards. A higher rate in a header would make the resampler
# allocate gigabytes.
_MIN_RATE_HZ, _MAX_RATE_HZ = 4_000, 384_000
_MAX_CHANNELS = 16


def decode_utterance(data: bytes, *, max_s: float) -> bytes:
    """Decode a complete recording to headerless PCM16, 16 kHz, mono.

    Accepts WAV, WebM, Ogg, MP3, MP4, FLAC and ADTS, detected by content. Of a recording that was
    cut off, or is damaged, returns what can be decoded. Blocks the thread: run it in a worker.
    Raises `EmptyAudioError`, `UndecodableAudioError`, or, as soon as more than `max_s` seconds have
    been decoded, `UtteranceTooLongError`.
    """
    if not data:
        raise EmptyAudioError("recording has no bytes")
    decoding = _Decoding(max_s)
    try:
        pcm = decoding.run(data, _demuxer(data))
    except (FFmpegError, ValueError, ArithmeticError) as error:
        raise UndecodableAudioError(f"FFmpeg cannot read it: {type(error).__name__}") from error
    if pcm:
        return pcm
    if decoding.error is not None:
        raise UndecodableAudioError("no packet could be decoded") from decoding.error
    raise EmptyAudioError("recording has no samples")


def _demuxer(data: bytes) -> str:
    """Return the name of the demuxer for the first bytes of `data`."""
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
    # Every frame of both begins with at least eleven set bits; only ADTS has layer 0.
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3" if head[1] & 0x06 else "aac"
    raise UndecodableAudioError("recording begins like no supported audio file")


def _refuse_to_open(url: str, *_: object) -> None:
    raise PermissionError("a recording must not open files or URLs")


class _Decoding:
    """The decoding of one recording to PCM16."""

    def __init__(self, max_s: float) -> None:
        self.error: Exception | None = None
        """Why the first packet that is broken could not be decoded."""
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
            codec = stream.codec_context  # None, against its type, for an unknown codec
            if codec is None or codec.name not in _CODECS:
                raise UndecodableAudioError(f"codec {codec and codec.name!r} is not allowed")
            pcm = bytearray()
            for frame in self._frames(container, stream):
                pcm += self._resampled(frame)
            return bytes(pcm + self._flushed())

    def _frames(
        self, container: av.container.InputContainer, stream: av.AudioStream
    ) -> Iterator[av.AudioFrame]:
        """Iterate over what can be decoded: skip a broken packet, end where the file is cut off."""
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except FFmpegError as error:  # cut off: keep what came before
                self.error = self.error or error
                return
            try:
                yield from packet.decode()
            except FFmpegError as error:  # one broken packet; the next may be good
                self.error = self.error or error

    def _resampled(self, frame: av.AudioFrame) -> bytes:
        self._check_limits(frame)
        setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        rest = b"" if setup == self._setup else self._flushed()
        self._setup = setup
        if self._resampler is None:
            rate_hz = PCM16_16K.sample_rate_hz
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)
        frame.pts = None  # gaps in a recorder's clock are not filled with silence
        return rest + frames_to_pcm(self._resampler.resample(frame))

    def _check_limits(self, frame: av.AudioFrame) -> None:
        rate_hz, channels = frame.sample_rate, frame.layout.nb_channels
        if not _MIN_RATE_HZ <= rate_hz <= _MAX_RATE_HZ:
            limits = f"{_MIN_RATE_HZ} to {_MAX_RATE_HZ} Hz"
            raise UndecodableAudioError(f"sample rate must be {limits}, got {rate_hz} Hz")
        if channels > _MAX_CHANNELS:
            raise UndecodableAudioError(f"channels must be 1 to {_MAX_CHANNELS}, got {channels}")
        self._decoded_s += frame.samples / frame.sample_rate
        if self._decoded_s > self._max_s:
            raise UtteranceTooLongError(f"recording is longer than {self._max_s:g} s")

    def _flushed(self) -> bytes:
        if self._resampler is None:
            return b""
        rest = frames_to_pcm(self._resampler.resample(None))
        self._resampler = None
        return rest
