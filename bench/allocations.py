"""Count the allocations of an interpreter without slowing it down much.

CPython keeps no count, but its allocators are function pointers that can be replaced. A few bytes
of machine code count each call and jump to the original. This works on x86-64 Linux; elsewhere
nothing is counted. Objects that CPython takes from its free lists are not counted, because nothing
is allocated for them.
"""

import ctypes
import mmap
import platform
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

COUNTERS_BYTES = 4096
MEMORY_AND_OBJECTS = (1, 2)
"""PYMEM_DOMAIN_MEM and PYMEM_DOMAIN_OBJ; both hand large requests on to the raw domain."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Number of allocations and their total size; None where they are not counted."""

    calls: int | None
    bytes: int | None


class _Allocator(ctypes.Structure):
    _fields_ = [
        ("context", ctypes.c_void_p),
        ("malloc", ctypes.c_void_p),
        ("calloc", ctypes.c_void_p),
        ("realloc", ctypes.c_void_p),
        ("free", ctypes.c_void_p),
    ]


_alive: list[object] = []
"""Mappings that must live as long as the process."""


def counts_in(counters: Path | None) -> Counts:
    """Read the counts that another process writes into a file."""
    if counters is None or not counters.exists():
        return Counts(None, None)
    return Counts(*struct.unpack_from("<qq", counters.read_bytes()))


def count_into(counters: Path) -> None:
    """Count the allocations of this process into a file, from now on."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        return
    counters.write_bytes(bytes(COUNTERS_BYTES))
    with counters.open("r+b") as file:
        shared = mmap.mmap(file.fileno(), COUNTERS_BYTES)
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    _alive.extend((shared, code))
    counter = ctypes.addressof(ctypes.c_char.from_buffer(shared))
    start = ctypes.addressof(ctypes.c_char.from_buffer(code))
    for domain in MEMORY_AND_OBJECTS:
        allocator = _Allocator()
        ctypes.pythonapi.PyMem_GetAllocator(domain, ctypes.byref(allocator))
        for name in ("malloc", "calloc"):
            at = code.tell()
            code.write(_counting(counter, getattr(allocator, name), sized=name == "malloc"))
            setattr(allocator, name, start + at)
        ctypes.pythonapi.PyMem_SetAllocator(domain, ctypes.byref(allocator))


def _counting(counter: int, original: int, *, sized: bool) -> bytes:
    """Assemble `counter[0] += 1; counter[1] += size; goto original`; `calloc` counts no size."""
    to_rax = b"\x48\xb8"  # mov rax, imm64
    increment = b"\x48\xff\x00"  # inc qword [rax]; whoever allocates holds the GIL
    add_size = b"\x48\x01\x70\x08"  # add qword [rax+8], rsi
    jump = b"\xff\xe0"  # jmp rax
    return (
        to_rax
        + struct.pack("<Q", counter)
        + increment
        + add_size * sized
        + to_rax
        + struct.pack("<Q", original)
        + jump
    )
