"""Builds what listens, from the settings."""

from functools import partial

from app.listening.base import OpenListener
from app.listening.endpointer import EndpointerLimits
from app.listening.listener import open_listener
from app.settings import Settings


def make_listening(settings: Settings) -> OpenListener:
    """Build what finds utterances in a microphone's stream."""
    limits = EndpointerLimits(
        threshold=settings.vad_threshold,
        min_speech_ms=settings.vad_min_speech_ms,
        barge_in_min_speech_ms=settings.barge_in_min_speech_ms,
        silence_ms=settings.vad_silence_ms,
        max_utterance_ms=settings.max_utterance_s * 1000,
    )
    return partial(open_listener, limits=limits, pre_roll_ms=settings.vad_pre_roll_ms)
