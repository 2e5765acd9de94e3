"""Asks a gateway for `/healthz` again and again, as a load balancer does; a process of its own.

Arguments: the port, and the gateway's process id. It asks until its input ends, then prints the
longest answer in seconds, and a line for each failure. What the gateway and this process waited for
a processor, which other processes had, does not count.
"""

import select
import socket
import sys
import time
from pathlib import Path

INTERVAL_S = 0.05
TIMEOUT_S = 10.0
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
ALIVE = b'{"status":"ok"}'


def wait_for_processor_s(pid: int | str) -> float:
    """Return how long a process was ready to run and had no processor; 0 where it is not told."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def ask(port: int) -> None:
    """Ask on a new connection. Raises `OSError`."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.sendall(REQUEST)
        while ALIVE not in answer:
            if not (data := connection.recv(4096)):
                raise ConnectionError(f"closed after {answer!r}")
            answer += data


def main(port: int, gateway: int) -> None:
    """Ask until the input ends."""
    longest_s, failures = 0.0, []
    while not select.select([sys.stdin], [], [], INTERVAL_S)[0]:
        waits_s = wait_for_processor_s("self") + wait_for_processor_s(gateway)
        began_at = time.monotonic()
        try:
            ask(port)
        except OSError as error:
            failures.append(repr(error))
        took_s = time.monotonic() - began_at
        waits_s = wait_for_processor_s("self") + wait_for_processor_s(gateway) - waits_s
        longest_s = max(longest_s, took_s - waits_s)
    print(longest_s, *failures, sep="\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
