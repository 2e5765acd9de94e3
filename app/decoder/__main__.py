"""The decoder's loop: a recording in, PCM16 or an error out, until its input ends."""

import os
import struct
import sys
from typing import BinaryIO

from app.decoder.confinement import (
    AddressSpace,
    close_inherited,
    confine,
    die_with_parent,
    limit_cpu,
    yield_to_the_gateway,
)
from app.decoder.ffmpeg import decode_recording
from app.decoder.frames import MAX_ERROR_BYTES, READY, REQUEST, RESPONSE, Kind
from app.decoder.seccomp import filter_system_calls
from app.errors import EmptyAudioError, UndecodableAudioError, UtteranceTooLongError

WORN_BYTES = 24 * 1024 * 1024
"""Growth after which a decoder makes room for a fresh one: its allocator gives nothing back."""

_WAV = struct.pack(
    "<4sI4s4sIHHIIHH4sI1600x",
    *(b"RIFF", 1636, b"WAVE", b"fmt ", 16, 1, 2, 48_000, 192_000, 4, 16, b"data", 1600),
)
"""A moment of silence in stereo, so that it is resampled."""


def main() -> None:
    """Confine this process to `max_growth_bytes` and `cpu_s` a recording, and serve."""
    max_growth_bytes, cpu_s = (int(argument) for argument in sys.argv[1:])
    close_inherited()
    die_with_parent()
    yield_to_the_gateway()
    space = AddressSpace()
    responses = os.fdopen(os.dup(1), "wb")
    devnull = os.open(os.devnull, os.O_WRONLY)
    rehearse()
    os.dup2(devnull, 1)  # whatever a library prints must not be taken for a response
    confine()
    space.limit(max_growth_bytes)
    responses.write(READY)
    responses.flush()
    os.dup2(devnull, 2)  # up to here the operator sees what went wrong; strangers write no log
    filter_system_calls()
    serve(sys.stdin.buffer, responses, space, cpu_s=cpu_s)


def rehearse() -> None:
    """Decode something of our own: PyAV imports half of itself then, and soon no file can be read.

    Raises whatever is wrong with PyAV here.
    """
    _response(_WAV, max_s=1)
    _response(b"OggS" + bytes(100), max_s=1)


def serve(requests: BinaryIO, responses: BinaryIO, space: AddressSpace, *, cpu_s: int) -> None:
    """Decode what is asked for, until nothing more is or the process is worn."""
    max_size_bytes = space.size_bytes + WORN_BYTES
    is_worn = False
    while not is_worn and len(head := requests.read(REQUEST.size)) == REQUEST.size:
        max_s, size = REQUEST.unpack(head)
        limit_cpu(cpu_s)
        kind, body = _response(requests.read(size), max_s)
        is_worn = space.size_bytes > max_size_bytes
        responses.write(RESPONSE.pack(kind, is_worn, len(body)))
        responses.write(body)
        responses.flush()


def _response(data: bytes, max_s: float) -> tuple[Kind, bytes | bytearray]:
    try:
        return Kind.PCM, decode_recording(data, max_s=max_s)
    except EmptyAudioError as error:
        return Kind.EMPTY, _description(error)
    except UtteranceTooLongError as error:
        return Kind.TOO_LONG, _description(error)
    except UndecodableAudioError as error:
        return Kind.UNDECODABLE, _description(error)
    except MemoryError:
        return Kind.UNDECODABLE, b"it needs too much memory"


def _description(error: Exception) -> bytes:
    return str(error).encode()[:MAX_ERROR_BYTES]


if __name__ == "__main__":
    main()
