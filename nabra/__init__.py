"""What plug-ins of Nabra are written with. Import from here and from `nabra.testing` alone.

What stands in `app` may move at any time; these names stay, and change by addition.
"""

from app import errors
from app.agents.base import Agent, AgentRequest
from app.audio import PCM16_16K, AudioFormat, SampleAligner, wav
from app.plugins import PluginContext, PluginSettings
from app.pool.connection import AudioSink, PoolableConnection
from app.pool.lease import Lease, PoolLimits
from app.pool.pool import ConnectionPool
from app.pool.terms import LeaseTerms
from app.stt.base import Transcriber, Utterance
from app.transports.base import AudioStream, SpeechRequest, TrailingAudio, TTSTransport
from app.types import Voice

__all__ = [
    "PCM16_16K",
    "Agent",
    "AgentRequest",
    "AudioFormat",
    "AudioSink",
    "AudioStream",
    "ConnectionPool",
    "Lease",
    "LeaseTerms",
    "PluginContext",
    "PluginSettings",
    "PoolLimits",
    "PoolableConnection",
    "SampleAligner",
    "SpeechRequest",
    "TTSTransport",
    "TrailingAudio",
    "Transcriber",
    "Utterance",
    "Voice",
    "errors",
    "wav",
]
