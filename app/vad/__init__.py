"""Voice activity detection and endpointing: where in a stream utterances begin and end."""
