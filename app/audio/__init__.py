"""Audio as the gateway knows it: formats, headers, companding, resampling, decoding.

What is named here imports numpy when it is used, and not before; see `app.audio.preload`.
"""

import os

# Read when numpy is imported. Its products are small here, and further threads would only wait for
# each other: ten seconds of 8 kHz took 18 ms of CPU with two, and take 1.2 ms with one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from app.audio.companding import decode_mulaw, encode_mulaw
from app.audio.converter import Converter
from app.audio.format import PCM16_16K, AudioFormat, Encoding, SampleAligner, peak_dbfs
from app.audio.wav import HeaderStripper, wav, wav_header

__all__ = [
    "PCM16_16K",
    "AudioFormat",
    "Converter",
    "Encoding",
    "HeaderStripper",
    "SampleAligner",
    "decode_mulaw",
    "encode_mulaw",
    "peak_dbfs",
    "wav",
    "wav_header",
]
