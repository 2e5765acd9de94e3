"""UnsentBytes: what waits for clients that do not read, of all of them together.

A client that reads nothing is let go after some time; until then its audio waits here. One such
client holds a megabyte, a thousand of them a gigabyte.
"""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

MAX_UNSENT_BYTES = 64 * 1024 * 1024
"""As much as 64 clients hold that read nothing."""


class UnsentBytes:
    """Counts what waits while clients do not take it, and disconnects some when it is too much.

    A client counts only while a message to it waits, because its socket is full. Whoever has waited
    longest is disconnected first. That is never one who reads: until so much has piled up, many
    others have taken nothing for longer.
    """

    def __init__(self, max_bytes: int = MAX_UNSENT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._waiting: dict[ClientBacklog, None] = {}
        """In the order in which they began to wait."""
        self.total = 0
        """Bytes that wait now."""
        self.disconnected = 0
        """How many clients were disconnected; for metrics."""

    def __repr__(self) -> str:
        return f"<UnsentBytes {self.total} of {len(self._waiting)} clients>"

    def begin(self, client: "ClientBacklog", size: int) -> None:
        """Count `size` bytes of a client that begins to wait."""
        self._waiting[client] = None
        self.total += size
        if self.total > self._max_bytes:
            self._disconnect_longest()

    def end(self, client: "ClientBacklog", size: int) -> None:
        """Count a client no more, which has taken something or is gone."""
        del self._waiting[client]
        self.total -= size

    def add(self, size: int) -> None:
        """Count more bytes of a client that waits."""
        self.total += size
        if self.total > self._max_bytes:
            self._disconnect_longest()

    def _disconnect_longest(self) -> None:
        while self.total > self._max_bytes:
            longest = next(iter(self._waiting))
            self.disconnected += 1
            longest.disconnect()


class ClientBacklog:
    """What waits for one client. `abort` ends its session."""

    def __init__(self, unsent: UnsentBytes, abort: Callable[[], None]) -> None:
        self._unsent = unsent
        self._abort = abort
        self._audio_bytes = 0
        """Audio in buffers, whether or not the client reads."""
        self._message_bytes = 0
        self.is_waiting = False
        """Whether a message waits to be sent."""

    def hold_audio(self, size: int) -> None:
        """Count audio that was put into a buffer; a negative size was taken out."""
        self._audio_bytes += size
        if self.is_waiting:
            self._unsent.add(size)

    def begin_send(self, size: int) -> None:
        """Note that a message of `size` bytes waits to be sent."""
        self._message_bytes = size
        self.is_waiting = True
        self._unsent.begin(self, self._audio_bytes + size)

    def end_send(self) -> None:
        """Note that a message was taken, or never will be."""
        if self.is_waiting:
            self.is_waiting = False
            self._unsent.end(self, self._audio_bytes + self._message_bytes)

    def disconnect(self) -> None:
        """End the session; what waits for it is freed, and counts no more."""
        self.end_send()
        self._abort()


class UnsentCollector(Collector):
    """Shows what waits, and who was disconnected for it, to Prometheus."""

    def __init__(self, unsent: UnsentBytes) -> None:
        self._unsent = unsent

    def collect(self) -> Iterator[Metric]:
        """Read the state of this moment."""
        yield GaugeMetricFamily(
            "nabra_unsent_bytes",
            "Bytes that wait for clients that do not read",
            value=self._unsent.total,
        )
        yield CounterMetricFamily(
            "nabra_stalled_clients_disconnected",
            "Clients that were disconnected because too much waited",
            value=self._unsent.disconnected,
        )
