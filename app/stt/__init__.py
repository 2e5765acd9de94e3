"""Speech to text (STT): the strategy and its implementations."""
