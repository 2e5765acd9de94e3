"""Nabra: a real-time voice-agent gateway for Arabic."""
