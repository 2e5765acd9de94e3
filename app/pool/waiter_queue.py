"""Requests that wait for a socket, in the order in which they get one."""

from collections import OrderedDict
from typing import Generic, TypeVar

W = TypeVar("W")


class WaiterQueue(Generic[W]):
    """Waiters that are needed now, in the order in which they came to be; then prefetches.

    Each method takes the same time however many wait, but for `pop_all`. A waiter that gives up is
    removed at once, so that all that are here still wait.
    """

    def __init__(self) -> None:
        # Not `dict`: to find its first key, it walks over the keys deleted before.
        self._needed: OrderedDict[W, None] = OrderedDict()
        self._prefetches: OrderedDict[W, None] = OrderedDict()
        self._connectable: OrderedDict[W, None] = OrderedDict()
        """Those of either kind for which a socket may be opened."""

    def __len__(self) -> int:
        return len(self._needed) + len(self._prefetches)

    @property
    def connectable(self) -> int:
        """For how many of them a socket may be opened."""
        return len(self._connectable)

    def add(self, waiter: W, *, is_needed_now: bool, allow_connect: bool) -> None:
        """Append a waiter. `allow_connect` tells whether a socket may be opened for it."""
        queue = self._needed if is_needed_now else self._prefetches
        queue[waiter] = None
        if allow_connect:
            self._connectable[waiter] = None

    def promote(self, prefetch: W) -> None:
        """Treat a prefetch as needed from now on, and let a socket be opened for it.

        Do nothing if it waits no more.
        """
        if prefetch in self._prefetches:
            self.remove(prefetch)
            self.add(prefetch, is_needed_now=True, allow_connect=True)

    def remove(self, waiter: W) -> None:
        """Remove a waiter. Do nothing if it waits no more."""
        for queue in (self._needed, self._prefetches, self._connectable):
            queue.pop(waiter, None)

    def pop(self) -> W:
        """Remove and return the next. Raises `KeyError` when none waits."""
        waiter, _ = (self._needed or self._prefetches).popitem(last=False)
        self._connectable.pop(waiter, None)
        return waiter

    def pop_connectable(self) -> W | None:
        """Remove and return the first for which a socket may be opened; None if there is none."""
        waiter = next(iter(self._connectable), None)
        if waiter is not None:
            self.remove(waiter)
        return waiter

    def pop_all(self) -> list[W]:
        """Remove and return all."""
        waiters = [*self._needed, *self._prefetches]
        for queue in (self._needed, self._prefetches, self._connectable):
            queue.clear()
        return waiters
