"""What the log says of clients: a line when one comes, and one when it goes."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from starlette.requests import HTTPConnection

from app.api.access import Grant
from app.pipeline.session import Session
from app.pipeline.turn_outcome import CLIENT_LEFT, SHUTDOWN
from app.telemetry.request_ids import Origin, origin_of

MAX_USER_AGENT_CHARS = 120
"""Longest user agent in the log; those of browsers have some 110."""

STOPPED_READING = "client-stopped-reading"
FAILED = "internal"
"""How sessions end, beside the ends of turns and the codes of errors: a client that took nothing
any more, and a bug of the gateway."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SessionRecord:
    """What is known of a session, much of it for the line by which its client goes."""

    origin: Origin
    ended_by: str = CLIENT_LEFT
    bytes_in: int = 0
    """Messages of the client, as they came out of their frames."""
    bytes_out: int = 0
    session: Session | None = None
    """None until it has begun."""

    @property
    def turns(self) -> int:
        """Turns that have begun."""
        return self.session.turn_count if self.session is not None else 0


class SessionLog:
    """Writes both lines, and binds the session to every line in between."""

    def __init__(self) -> None:
        self.begun = 0
        """Sessions since the start of the process."""
        self.ended: Counter[str] = Counter()
        """Those that are over, by how they ended."""

    @contextmanager
    def recording(
        self, session_id: str, client: HTTPConnection, grant: Grant, *, protocol: str
    ) -> Iterator[SessionRecord]:
        """Log a session that runs in this context, and in the tasks that are started in it."""
        with structlog.contextvars.bound_contextvars(session=session_id):
            began_at = asyncio.get_running_loop().time()
            self.begun += 1
            record = SessionRecord(origin_of(client.headers))
            user_agent = client.headers.get("user-agent", "")[:MAX_USER_AGENT_CHARS]
            log.info(
                "client connected",
                request=record.origin.request_id,
                address=grant.address,
                protocol=protocol,
                user_agent=user_agent,
            )
            try:
                yield record
            except asyncio.CancelledError:
                record.ended_by = SHUTDOWN
                raise
            except Exception:
                record.ended_by = FAILED
                raise
            finally:
                self.ended[record.ended_by] += 1
                log.info(
                    "client left",
                    why=record.ended_by,
                    turns=record.turns,
                    seconds=round(asyncio.get_running_loop().time() - began_at, 1),
                    bytes_in=record.bytes_in,
                    bytes_out=record.bytes_out,
                )

    def log_stop(self) -> None:
        """Log that the process has closed everything, and how its sessions ended."""
        log.info("stopped", sessions=self.begun, ended=dict(self.ended.most_common()))
