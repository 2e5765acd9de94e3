"""Client protocols: one translator each, between a client's frames and its session."""
