"""What a client protocol is: frames to commands, and events to frames."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from app.pipeline.commands import Command
from app.pipeline.events import Event
from app.pipeline.session_config import SessionTerms

Frame = str | bytes
"""One message of a WebSocket, text or binary."""


class Reply:
    """Base of what a translator tells its client by itself, without the session."""


class Translator(ABC):
    """Translates between one client and its session. Does no I/O, and bounds what it parses.

    The connection reads one frame at a time: it carries out all commands of a frame before it
    reads the next.
    """

    name: ClassVar[str]
    """The protocol, for the log."""

    @abstractmethod
    async def read(self, frame: Frame) -> Sequence[Command | Reply]:
        """Return the commands of a frame, and the replies to it, in the order of their effect.

        A reply comes back to `write` once the commands before it have been carried out. A command
        that is refused ends the sequence.

        Raises a `BadInputError` for a frame that is refused.
        """

    @abstractmethod
    def write(self, event: Event | Reply) -> Iterator[Frame]:
        """Yield the frames that tell an event, if this protocol tells it.

        What follows a `yield` runs once the frame has been sent, and never if it was not. `Failed`
        with a `BadInputError` and no turn refuses the frame that was read last.
        """


CreateTranslator = Callable[[SessionTerms], Translator]
"""Creates the translator of a new session."""
