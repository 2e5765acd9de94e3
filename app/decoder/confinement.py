"""Limits that a decoder sets for itself before it reads a stranger's byte.

What the kernel refuses needs no trust in FFmpeg. `prctl` and the size of the address space are
Linux's; elsewhere the gateway's timeout and the other limits remain.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # linux/prctl.h


class AddressSpace:
    """How much memory the process has mapped."""

    def __init__(self) -> None:
        is_linux = sys.platform == "linux"
        self._statm = os.open("/proc/self/statm", os.O_RDONLY) if is_linux else None

    @property
    def size_bytes(self) -> int:
        """The size now; 0 where the system does not tell."""
        if self._statm is None:
            return 0
        return int(os.pread(self._statm, 64, 0).split()[0]) * resource.getpagesize()

    def limit(self, max_growth_bytes: int) -> None:
        """Refuse to grow by more than this."""
        if self._statm is not None:
            _limit(resource.RLIMIT_AS, self.size_bytes + max_growth_bytes)


def close_inherited() -> None:
    """Close what the gateway had open: uvloop hands on what is inheritable."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(3, soft if soft != resource.RLIM_INFINITY else 1 << 20)


def die_with_parent() -> None:
    """Be killed when the gateway dies, and gain no rights by any program."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        for option, value in ((_PR_SET_PDEATHSIG, signal.SIGKILL), (_PR_SET_NO_NEW_PRIVS, 1)):
            if libc.prctl(option, value, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), f"prctl({option})")


def confine() -> None:
    """Allow no file to be opened or written, no core, no process and no thread."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_NOFILE, _open_files())


def yield_to_the_gateway() -> None:
    """Leave the CPU to those who speak, when there is not enough for all."""
    os.nice(5)


def limit_cpu(seconds: int) -> None:
    """Let the process be killed after so much more CPU time."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used_s = int(usage.ru_utime + usage.ru_stime)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    # the limit has whole seconds; one more, as what was used is cut to them
    resource.setrlimit(resource.RLIMIT_CPU, (used_s + seconds + 1, hard))


def _limit(what: int, amount: int) -> None:
    _, hard = resource.getrlimit(what)
    amount = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
    resource.setrlimit(what, (amount, amount))


def _open_files() -> int:
    """Return the number under which the next file would be opened."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor
