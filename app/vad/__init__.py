"""Listening: where in a stream of audio somebody speaks."""
