"""Several attempts at once: the first that proves itself wins, the others are given up."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from app import errors
from app.transports.attempt import AttemptRunner

Candidate = Callable[[], Awaitable[AttemptRunner]]


async def race(candidates: Sequence[Candidate], *, hedge_delay_s: float = 0.0) -> AttemptRunner:
    """Return the first trial that proves itself.

    The others start `head_start_s` seconds after the first, or as soon as that one fails. Raises
    the last `ProviderError` when all fail, and a final one at once. What has lost is cleaned up
    before this returns.
    """
    failed = asyncio.Event()
    tasks: list[asyncio.Task[AttemptRunner | errors.ProviderError]] = []
    winner: AttemptRunner | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for number, candidate in enumerate(candidates):
                delay_s = hedge_delay_s if number else 0.0
                tasks.append(
                    group.create_task(_run(candidate, delay_s, failed), name=f"attempt-{number}")
                )
            winner = await _first_good(tasks)
            for task in tasks:
                task.cancel()
        await _release_all(tasks, winner, None)
    except BaseException as error:
        await _release_all(tasks, None, error)
        raise
    if winner is None:
        raise _worst([task.result() for task in tasks if not task.cancelled()])
    return winner


async def _run(
    candidate: Candidate, delay_s: float, failed: asyncio.Event
) -> AttemptRunner | errors.ProviderError:
    if delay_s:
        try:
            async with asyncio.timeout(delay_s):
                await failed.wait()
        except TimeoutError:
            failed.set()  # nobody waits any longer
    try:
        return await candidate()
    except errors.ProviderError as error:
        failed.set()
        return error


async def _first_good(
    tasks: Sequence[asyncio.Task[AttemptRunner | errors.ProviderError]],
) -> AttemptRunner | None:
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        outcomes = [task.result() for task in done]
        for outcome in outcomes:
            if isinstance(outcome, AttemptRunner):
                return outcome
        if any(
            not outcome.retryable for outcome in outcomes if not isinstance(outcome, AttemptRunner)
        ):
            return None
    return None


async def _release_all(
    tasks: Sequence[asyncio.Task[AttemptRunner | errors.ProviderError]],
    winner: AttemptRunner | None,
    error: BaseException | None,
) -> None:
    """Give up every trial that proved itself too late."""
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception() is None:
            outcome = task.result()
            if isinstance(outcome, AttemptRunner) and outcome is not winner:
                await outcome.release(error)


def _worst(outcomes: Sequence[AttemptRunner | errors.ProviderError]) -> errors.ProviderError:
    """Pick the error to tell: a final one, else one that was an attempt, else any."""
    failures = [outcome for outcome in outcomes if not isinstance(outcome, AttemptRunner)]
    return min(
        failures, key=lambda error: (error.retryable, isinstance(error, errors.PoolExhaustedError))
    )
