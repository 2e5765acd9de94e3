"""Several attempts at once: the first that proves itself wins, the others are given up."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from app import errors
from app.transports.trial import Trial

Entrant = Callable[[], Awaitable[Trial]]


async def race(entrants: Sequence[Entrant], *, head_start_s: float = 0.0) -> Trial:
    """Return the first trial that proves itself.

    The others start `head_start_s` seconds after the first, or as soon as that one fails. Raises
    the last `ProviderError` when all fail, and a final one at once. What has lost is cleaned up
    before this returns.
    """
    failed = asyncio.Event()
    tasks: list[asyncio.Task[Trial | errors.ProviderError]] = []
    winner: Trial | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for number, entrant in enumerate(entrants):
                delay_s = head_start_s if number else 0.0
                tasks.append(
                    group.create_task(_run(entrant, delay_s, failed), name=f"attempt-{number}")
                )
            winner = await _first_good(tasks)
            for task in tasks:
                task.cancel()
        await _leave_all(tasks, winner, None)
    except BaseException as error:
        await _leave_all(tasks, None, error)
        raise
    if winner is None:
        raise _worst([task.result() for task in tasks if not task.cancelled()])
    return winner


async def _run(
    entrant: Entrant, delay_s: float, failed: asyncio.Event
) -> Trial | errors.ProviderError:
    if delay_s:
        try:
            async with asyncio.timeout(delay_s):
                await failed.wait()
        except TimeoutError:
            failed.set()  # nobody waits any longer
    try:
        return await entrant()
    except errors.ProviderError as error:
        failed.set()
        return error


async def _first_good(tasks: Sequence[asyncio.Task[Trial | errors.ProviderError]]) -> Trial | None:
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        outcomes = [task.result() for task in done]
        for outcome in outcomes:
            if isinstance(outcome, Trial):
                return outcome
        if any(not outcome.retryable for outcome in outcomes if not isinstance(outcome, Trial)):
            return None
    return None


async def _leave_all(
    tasks: Sequence[asyncio.Task[Trial | errors.ProviderError]],
    winner: Trial | None,
    error: BaseException | None,
) -> None:
    """Give up every trial that proved itself too late."""
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception() is None:
            outcome = task.result()
            if isinstance(outcome, Trial) and outcome is not winner:
                await outcome.leave(error)


def _worst(outcomes: Sequence[Trial | errors.ProviderError]) -> errors.ProviderError:
    """Pick the error to tell: a final one, else one that was an attempt, else any."""
    failures = [outcome for outcome in outcomes if not isinstance(outcome, Trial)]
    return min(
        failures, key=lambda error: (error.retryable, isinstance(error, errors.PoolExhaustedError))
    )
