"""Several attempts at once: the first with usable audio is selected, the others are cancelled."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from app import errors
from app.transports.attempt import AttemptRunner

Candidate = Callable[[], Awaitable[AttemptRunner]]
"""Starts an attempt and waits for its first audio."""

Outcome = AttemptRunner | errors.ProviderError


async def race(candidates: Sequence[Candidate], *, hedge_delay_s: float = 0.0) -> AttemptRunner:
    """Return the first attempt with usable audio.

    All candidates but the first start `hedge_delay_s` seconds after it, or as soon as it fails.
    Raises a final `ProviderError` at once, and another one when all candidates have failed. The
    attempts that lost are released before this returns.
    """
    failed = asyncio.Event()
    tasks: list[asyncio.Task[Outcome]] = []
    selected: AttemptRunner | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for number, candidate in enumerate(candidates):
                delay_s = hedge_delay_s if number else 0.0
                tasks.append(
                    group.create_task(_run(candidate, delay_s, failed), name=f"attempt-{number}")
                )
            selected = await _first_usable(tasks)
            for task in tasks:
                task.cancel()
        await _release_others(tasks, selected, None)
    except BaseException as error:
        await _release_others(tasks, None, error)
        raise
    if selected is None:
        raise _error_to_raise([task.result() for task in tasks if not task.cancelled()])
    return selected


async def _run(candidate: Candidate, delay_s: float, failed: asyncio.Event) -> Outcome:
    """Run a candidate after its delay, which the first failure of any other ends.

    The error is returned, not raised: it must not cancel the other candidates.
    """
    if delay_s:
        try:
            async with asyncio.timeout(delay_s):
                await failed.wait()
        except TimeoutError:
            failed.set()  # ends the delay of all others as well
    try:
        return await candidate()
    except errors.ProviderError as error:
        failed.set()
        return error


async def _first_usable(tasks: Sequence[asyncio.Task[Outcome]]) -> AttemptRunner | None:
    """Wait for the first attempt with usable audio; None if all fail.

    None also after a final error, since then no other attempt can succeed.
    """
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


async def _release_others(
    tasks: Sequence[asyncio.Task[Outcome]],
    selected: AttemptRunner | None,
    error: BaseException | None,
) -> None:
    """Release every attempt that had usable audio, but was not selected."""
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception() is None:
            outcome = task.result()
            if isinstance(outcome, AttemptRunner) and outcome is not selected:
                await outcome.release(error)


def _error_to_raise(outcomes: Sequence[Outcome]) -> errors.ProviderError:
    """Return a final error if there is one, else one of a request that was sent, else any."""
    failures = [outcome for outcome in outcomes if not isinstance(outcome, AttemptRunner)]
    return min(
        failures, key=lambda error: (error.retryable, isinstance(error, errors.PoolExhaustedError))
    )
