"""What gateway and decoder say to each other: frames of known length, over pipes.

The decoder begins with `READY`. Then each request is a header and the recording; each response a
header and PCM16, or the code of an error and what is wrong.
"""

import struct
from enum import IntEnum

READY = b"ready\n"

REQUEST = struct.Struct("<dI")
"""Most seconds to decode; bytes of the recording that follows."""

RESPONSE = struct.Struct("<B?I")
"""Its kind; whether the decoder ends after it; bytes that follow."""

MAX_ERROR_BYTES = 200
"""Longest description of an error; the gateway takes no longer one."""


class Kind(IntEnum):
    """What a response holds."""

    PCM = 0
    EMPTY = 1
    UNDECODABLE = 2
    TOO_LONG = 3
