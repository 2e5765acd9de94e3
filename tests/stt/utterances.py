"""An utterance, and how a provider must get it."""

import base64

from app.audio import PCM16_16K, AudioFormat, wav_header
from app.stt.base import Utterance

PCM = bytes(range(256)) * 50
UTTERANCE = Utterance(PCM, PCM16_16K)


def assert_wav(audio: object) -> None:
    """Assert that this is the utterance in base64, as a WAV file of 16 kHz mono PCM16."""
    assert isinstance(audio, str)
    header = wav_header(AudioFormat("pcm_s16le", 16_000), len(PCM))
    assert base64.b64decode(audio) == header + PCM
