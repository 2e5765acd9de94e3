"""One conversation, as a stream of typed events; knows no wire and no provider."""
