"""What a confined process cannot do."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.decoder.seccomp import _program

ROOT = Path(__file__).parents[2]

HEAD = """
import ctypes, os, resource, socket, threading
from app.decoder.confinement import *
from app.decoder.seccomp import filter_system_calls
"""

TRIES = {
    "open a file": "os.open('/etc/hostname', os.O_RDONLY)",
    "write a file": "os.open('/tmp/x', os.O_CREAT)",
    "start a process": "os.fork()",
    "start a program": "os.execv('/bin/true', ['true'])",
    "signal the gateway": "os.kill(os.getppid(), 0)",
    "limit the gateway": "resource.prlimit(PARENT, resource.RLIMIT_AS)",
    "talk to the network": "socket.socket()",
    "raise its own limits": "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))",
    "read the gateway's memory": "assert ctypes.CDLL(None).process_vm_readv(PARENT,0,0,0,0,0) == 0",
    "trace the gateway": "assert ctypes.CDLL(None).ptrace(16, PARENT, 0, 0) == 0",
}


def outcome(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout or done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's filter is Linux's")
@pytest.mark.parametrize("name", TRIES)
def test_it_cannot(name: str) -> None:
    confined = "die_with_parent(); confine(); assert filter_system_calls()"
    attempt = f"""
try:
    {TRIES[name]}
except (OSError, ValueError, AssertionError):
    print("refused")
else:
    print("done")
"""
    assert outcome(f"PARENT = os.getppid(); {confined}{attempt}") == "refused\n"


def test_what_it_needs_it_can() -> None:
    script = """
space = AddressSpace()
die_with_parent(); confine(); filter_system_calls()
space.limit(50 << 20)
limit_cpu(5)
block = bytearray(20 << 20)
try:
    bytearray(60 << 20)
except MemoryError:
    print("ok", space.size_bytes > 20 << 20)
"""
    assert outcome(script) == f"ok {sys.platform == 'linux'}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_it_keeps_no_file_that_it_inherited() -> None:
    script = """
kept = os.open("/etc/hostname", os.O_RDONLY)
close_inherited()
print(sorted(int(name) for name in os.listdir("/proc/self/fd"))[:4])
"""
    assert outcome(script) == "[0, 1, 2, 3]\n"  # the fourth is the listing itself


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_jump_of_the_filter_ends_inside_it(machine: str) -> None:
    program = _program(machine)
    lines = [program[at : at + 8] for at in range(0, len(program), 8)]
    for number, line in enumerate(lines):
        for jump in line[2:4]:
            assert number + 1 + jump <= len(lines) - 1 or line[0] == 0x06
