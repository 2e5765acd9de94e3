"""The body of an agent's response, read within its time limits."""

import httpx

from app.agents.response_timeouts import ResponseTimeouts
from app.errors import AgentCutError, AgentTimeoutError
from app.net.client import raw_chunks
from app.timeouts import ReusableTimeout


class ResponseBody:
    """The bytes of a body as they arrive. Close it, or the connection stays open."""

    def __init__(self, response: httpx.Response, timeouts: ResponseTimeouts) -> None:
        self._response = response
        self._timeouts = timeouts
        self._chunks = raw_chunks(response)
        self._read_timeout = ReusableTimeout()
        self._peeked = b""

    async def read(self) -> bytes:
        """Return the next bytes of the body; none at its end, or when lingering is over."""
        if self._peeked:
            data, self._peeked = self._peeked, b""
            return data
        timeouts = self._timeouts
        try:
            return await self._read_timeout.wait_for(anext(self._chunks, b""), timeouts.left_s)
        except TimeoutError as error:
            if timeouts.lingering:
                return b""
            raise AgentTimeoutError(timeouts.reason()) from error
        except httpx.TransportError as error:
            if timeouts.lingering:
                return b""
            raise AgentCutError(f"connection lost within the response: {error}") from error
        finally:
            timeouts.spend(self._read_timeout.waited_s)

    async def starts_with(self, start: bytes) -> bool:
        """Return whether the body begins with `start`; what is read for that is read again."""
        data = await self.read()
        while data and len(data) < len(start) and start.startswith(data):
            if not (more := await self.read()):
                break
            data += more
        self._peeked = data
        return data.startswith(start)

    async def aclose(self) -> None:
        """Give the connection back."""
        self._read_timeout.close()
        await self._chunks.aclose()
        await self._response.aclose()
