"""Interruptions that an agent is still to be told of when their session ends."""

from collections import OrderedDict

from app.pipeline.turn_taking import Interruption

MAX_SESSIONS = 1000
"""Sessions that are remembered, the last ones to end: chosen, as many as may be open at once."""


class UntoldInterruptions:
    """Keeps interruptions over the end of their sessions.

    A caller whose connection breaks comes back with the same session id. The response that ran was
    not heard to its end, and the agent does not know that yet.
    """

    def __init__(self, max_sessions: int = MAX_SESSIONS) -> None:
        self._max_sessions = max_sessions
        self._untold: OrderedDict[str, Interruption] = OrderedDict()

    def keep(self, session_id: str, interruption: Interruption | None) -> None:
        """Keep what a session leaves, if anything."""
        if interruption is None:
            return
        self._untold[session_id] = interruption
        self._untold.move_to_end(session_id)
        if len(self._untold) > self._max_sessions:
            self._untold.popitem(last=False)

    def take(self, session_id: str) -> Interruption | None:
        """Return what the last session of this id left, once."""
        return self._untold.pop(session_id, None)
