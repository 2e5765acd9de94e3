"""Text between agent and speech: where a sentence ends, and what of it is read out."""
