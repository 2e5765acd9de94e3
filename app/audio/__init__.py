"""Audio as the gateway knows it: formats, headers, companding, resampling, decoding."""

from app.audio.companding import decode_mulaw, encode_mulaw
from app.audio.converter import Converter
from app.audio.format import PCM16_16K, AudioFormat, Encoding, SampleAligner, peak_dbfs
from app.audio.resample import Resampler, resample
from app.audio.wav import HeaderStripper, wav, wav_header

__all__ = [
    "PCM16_16K",
    "AudioFormat",
    "Converter",
    "Encoding",
    "HeaderStripper",
    "Resampler",
    "SampleAligner",
    "decode_mulaw",
    "encode_mulaw",
    "peak_dbfs",
    "resample",
    "wav",
    "wav_header",
]
