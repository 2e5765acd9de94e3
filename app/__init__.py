"""Nabra: a real-time voice-agent gateway for Arabic."""

__version__ = "0.1.0"
