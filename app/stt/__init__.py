"""Speech to text: the strategy and its implementations."""
