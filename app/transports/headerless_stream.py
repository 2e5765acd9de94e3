"""Audio of a provider, without the WAV header that it may begin with."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from app.audio import AudioFormat, HeaderStripper
from app.transports.base import AudioStream


class HeaderlessStream(AudioStream):
    """The audio of one request. `format` is what was requested; a header overrides it."""

    def __init__(self, format: AudioFormat) -> None:
        self.format = format

    @abstractmethod
    def raw_chunks(self) -> AsyncGenerator[bytes, None]:
        """Iterate over the provider's bytes."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the audio.

        A header may be split over several chunks. It can name another format than the requested
        one, but only before the first audio.
        """
        header = HeaderStripper()
        is_past_header = False
        async with aclosing(self.raw_chunks()) as chunks:
            async for chunk in chunks:
                if is_past_header:
                    yield chunk
                elif audio := header.feed(chunk):
                    self.format = header.format or self.format
                    is_past_header = header.passes_all
                    yield audio
        if rest := header.flush():
            yield rest
