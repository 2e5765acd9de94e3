"""The process that decodes recordings of strangers: `python -P -m app.decoder`.

It imports PyAV, the standard library and the errors, and nothing else of ours: it starts fast and
stays small, and there is no secret in it.
"""
