"""ParsingTurns: connections that parse take turns, so that many together hold up nobody."""

import asyncio
from collections import deque
from collections.abc import Callable

STEP_S = 0.005
"""Longest parsing, of all connections together, before the event loop does other work."""

NEGLIGIBLE_S = 0.0002
"""Parsing that is not counted: a message of a caller takes less."""


class ParsingTurns:
    """Shares `STEP_S` of each iteration of the event loop between connections."""

    def __init__(self) -> None:
        self._used_s = 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_scheduled = False

    def __repr__(self) -> str:
        return f"<ParsingTurns waiting={len(self._waiting)} used_s={self._used_s:.4f}>"

    @property
    def left_s(self) -> float:
        """How much of this iteration is left."""
        return STEP_S - self._used_s

    def spend(self, elapsed_s: float) -> None:
        """Count what a connection took of this iteration."""
        if elapsed_s > NEGLIGIBLE_S:
            self._used_s += elapsed_s
            self._schedule()

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` when it is its turn, in a later iteration."""
        self._waiting.append(go_on)
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._begin_iteration)

    def _begin_iteration(self) -> None:
        self._is_scheduled = False
        self._used_s = 0.0
        for _ in range(len(self._waiting)):  # those who wait again come in the next
            self._waiting.popleft()()
            if self.left_s <= 0:
                break
        if self._waiting:
            self._schedule()
