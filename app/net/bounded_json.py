"""How much a JSON document may hold: a parser makes an object of each value, all in one step.

A megabyte of text is one value, and parsed in half a millisecond; a megabyte of `[],[],…` is
350,000, and holds the event loop for a tenth of a second.
"""

MAX_VALUES = 30_000
"""Values of one document. Objects inside each other cost most, up to 15 ms, and twice where the
form of a response is found out by its first line. A response has some hundred."""


class TooManyValuesError(ValueError):
    """A document holds more values than `MAX_VALUES`."""


def check_values(document: bytes | bytearray | str) -> None:
    """Raise `TooManyValuesError` for a document that would take long to parse.

    Each value but the first stands behind a comma or an opening bracket, and these are counted, a
    megabyte in a millisecond. Those within texts count, too.
    """
    if len(document) <= MAX_VALUES:
        return
    if isinstance(document, str):
        count = document.count(",") + document.count("[") + document.count("{")
    else:
        count = document.count(b",") + document.count(b"[") + document.count(b"{")
    if count > MAX_VALUES:
        raise TooManyValuesError(f"more than {MAX_VALUES} values in one JSON document")
