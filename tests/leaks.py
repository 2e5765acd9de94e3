"""What a test leaves open."""

from pathlib import Path


def open_files() -> int:
    """Count the open files and sockets of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))
