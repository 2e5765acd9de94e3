"""Agents, which answer the user: the strategy and its implementations."""
