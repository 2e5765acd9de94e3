"""Text to speech (TTS): the strategy, its transports, and what makes them reliable."""
