"""Recordings as browsers and phones make them."""

from io import BytesIO

import av

from tests.audio.signals import sine


def record(
    container: str, codec: str, rate_hz: int = 48_000, seconds: float = 1, **options: str
) -> bytes:
    """Record a sine as a browser or a phone would."""
    file = BytesIO()
    layout = options.pop("layout", "mono")
    with av.open(file, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout=layout)
        assert isinstance(stream, av.AudioStream)
        context = stream.codec_context
        frame = av.AudioFrame(format="s16", layout="mono", samples=round(rate_hz * seconds))
        frame.sample_rate, frame.pts = rate_hz, 0
        frame.planes[0].update(sine(rate_hz, seconds))
        resampler = av.AudioResampler(
            context.format, layout, rate_hz, frame_size=context.frame_size or None
        )
        for each in [*resampler.resample(frame), *resampler.resample(None), None]:
            output.mux(stream.encode(each))
    return file.getvalue()


RECORDINGS: dict[str, tuple[str, str, int, dict[str, str]]] = {
    "wav": ("wav", "pcm_s16le", 44_100, {}),
    "wav 8-bit": ("wav", "pcm_u8", 8000, {}),
    "wav 24-bit stereo": ("wav", "pcm_s24le", 48_000, {"layout": "stereo"}),
    "wav 5.1": ("wav", "pcm_s16le", 48_000, {"layout": "5.1"}),
    "wav float": ("wav", "pcm_f32le", 48_000, {}),
    "wav mulaw": ("wav", "pcm_mulaw", 8000, {}),
    "wav alaw": ("wav", "pcm_alaw", 8000, {}),
    "webm": ("webm", "libopus", 48_000, {}),
    "webm live": ("webm", "libopus", 48_000, {"live": "1"}),
    "ogg": ("ogg", "libopus", 48_000, {}),
    "mp3": ("mp3", "libmp3lame", 44_100, {}),
    "mp3 bare": ("mp3", "libmp3lame", 44_100, {"id3v2_version": "0", "write_xing": "0"}),
    "m4a": ("ipod", "aac", 44_100, {}),
    "mp4 fragments": ("mp4", "aac", 44_100, {"movflags": "frag_keyframe+empty_moov"}),
    "flac": ("flac", "flac", 44_100, {}),
    "adts": ("adts", "aac", 44_100, {}),
}


def recorded(name: str, seconds: float = 1) -> bytes:
    container, codec, rate_hz, options = RECORDINGS[name]
    return record(container, codec, rate_hz, seconds, **options)
