"""A collector of traces (OTLP over HTTP) on loopback, which keeps what it gets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector:
    """What was sent, parsed and as it was."""

    url: str
    spans: list[Span] = field(default_factory=list)
    resource: dict[str, object] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def add(self, path: str, body: bytes) -> None:
        self.paths.append(path)
        self.bodies.append(body)
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            for each in sent.resource.attributes:
                self.resource[each.key] = each.value.string_value
            for scope in sent.scope_spans:
                self.spans += scope.spans

    def named(self, name: str) -> list[Span]:
        """Return the spans of this name, in the order of their beginning."""
        found = (span for span in self.spans if span.name == name)
        return sorted(found, key=lambda span: span.start_time_unix_nano)

    def children(self, parent: Span) -> list[Span]:
        return [span for span in self.spans if span.parent_span_id == parent.span_id]


def attributes(span: Span) -> dict[str, object]:
    """Return the values of a span, by name."""
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value")
        for each in span.attributes
    }


@asynccontextmanager
async def running_collector(*, status: str = "200 OK") -> AsyncIterator[Collector]:
    """Collect on a free port; anything but 200 refuses all."""
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while head := (await _head(reader)):
            size = int(head.lower().partition("content-length: ")[2].split("\r\n")[0])
            collector.add(head.split()[1], await reader.readexactly(size))
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        collector = Collector(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        yield collector
        for writer in writers:
            writer.close()


async def _head(reader: asyncio.StreamReader) -> str:
    """Read up to the body of the next request; empty when there is none."""
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return ""
