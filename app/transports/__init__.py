"""Text to speech: the strategy, its transports, and what an answer is worth."""
