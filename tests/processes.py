"""What the kernel says of a process and of those it started."""

import os
from pathlib import Path

PROC = Path("/proc")


def children(pid: int) -> list[int]:
    """List the processes that `pid` started, and that are not yet waited for."""
    try:
        lists = [(task / "children").read_text() for task in (PROC / str(pid) / "task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for line in lists for child in line.split()]


def tree(pid: int) -> list[int]:
    """List `pid` and all that it started, and they did."""
    return [pid, *(each for child in children(pid) for each in tree(child))]


def resident_bytes(pid: int) -> int:
    """Return the memory that a process holds; 0 when it is gone."""
    try:
        pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_running(pid: int) -> bool:
    """Tell whether a process is there, and no zombie."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def decoders(pid: int) -> list[int]:
    """List the decoders among what `pid` started."""
    return [each for each in tree(pid)[1:] if "app.decoder" in command_line(each)]


def command_line(pid: int) -> list[str]:
    """Return the arguments of a process."""
    try:
        return (PROC / str(pid) / "cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
