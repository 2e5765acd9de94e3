"""The agent that answers: the strategy and its implementations."""
