"""The system calls that a decoder may make: memory, time, and its pipes.

It runs as the gateway's user. Without this, who took over FFmpeg in it could signal the gateway,
trace it and read its memory, or talk to the network.
"""

import ctypes
import errno
import platform
import struct
import sys

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2  # linux/prctl.h, linux/seccomp.h
_KILL, _ALLOW, _REFUSE = 0x80000000, 0x7FFF0000, 0x00050000 | errno.EPERM
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h

_ALLOWED: dict[str, tuple[int, ...]] = {
    "x86_64": (
        0, 1, 3, 5, 7, 8, 17, 19, 20,  # read write close fstat poll lseek pread64 readv writev
        9, 10, 11, 12, 25, 28,  # mmap mprotect munmap brk mremap madvise
        13, 14, 15, 131, 219,  # rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart
        24, 35, 39, 186, 202, 324, 334,  # sched_yield nanosleep getpid gettid futex membarrier rseq
        96, 98, 201, 228, 229, 230, 318,  # gettimeofday getrusage time clock_* getrandom
        60, 231,  # exit exit_group
    ),
    "aarch64": (
        63, 64, 57, 80, 73, 62, 67, 65, 66,
        222, 226, 215, 214, 216, 233,
        134, 135, 139, 132, 128,
        124, 101, 172, 178, 98, 283, 293,
        169, 165, 113, 114, 115, 278,
        93, 94,
    ),
}  # fmt: skip
"""System calls by number, in the order of these comments; all others are refused."""

_PRLIMIT = {"x86_64": 302, "aarch64": 261}
"""Allowed for the process itself, which is 0: a limit on CPU time is set for each recording."""


def filter_system_calls() -> bool:
    """Refuse all system calls but those few; tell whether the kernel does.

    `no_new_privs` must be set. Other processors and systems than these two are left as they are.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _ALLOWED:
        return False
    program = _program(machine)
    count = len(program) // 8
    buffer = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxP", count, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, head, 0, 0) == 0)


def _program(machine: str) -> bytes:
    """Write the filter in BPF."""
    allowed = _ALLOWED[machine]
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_IF_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for index, number in enumerate(allowed):
        # past the other calls, the five lines for prlimit, and the refusal
        lines.append((_JUMP_IF_EQUAL, len(allowed) - index - 1 + 6, 0, number))
    lines += [
        (_JUMP_IF_EQUAL, 0, 4, _PRLIMIT[machine]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_IF_EQUAL, 0, 2, 0),
        (_LOAD, 0, 0, _FIRST_ARGUMENT + 4),
        (_JUMP_IF_EQUAL, 1, 0, 0),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in lines)
