"""A second speech provider: OpenAI's audio API, and the many servers that speak it."""
