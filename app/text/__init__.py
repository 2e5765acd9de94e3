"""Text between agent and synthesis: where sentences end, and which text is synthesized."""
