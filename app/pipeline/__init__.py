"""One session as a stream of typed events; knows neither the wire nor a provider."""
