"""Repeats actions after temporary failures, until they succeed or the pipeline stops."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from random import random
from typing import TYPE_CHECKING, Final, TypeVar

from moorage.domain.pipelines.failures import FailureConsequence, Verdict
from moorage.domain.resilience.retry import delay, wait_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.resilience.retry import RetryPolicy
    from moorage.pipelines._numbers import PipelineNumbers

T = TypeVar("T")

_VERDICTS_AFTER_RETRIES: Final = {
    FailureConsequence.RETRY: Verdict.RETRY,
    FailureConsequence.DEAD_LETTER: Verdict.DEAD_LETTER,
    FailureConsequence.STOP: Verdict.STOP,
}


class PipelineStopping(Exception):
    """Raised instead of making another attempt, because the pipeline is stopping."""


class RecordAtFault(Exception):
    """Raised if all attempts to process a record fail because of the record itself.

    Attributes:
        error: the error.
        attempts: the number of attempts.
    """

    def __init__(self, error: Exception, attempts: int) -> None:
        super().__init__()
        self.error = error
        self.attempts = attempts


class ActionRepeater:
    """Repeats actions of a pipeline that fail temporarily.

    Args:
        policy: the pauses, and the number of attempts.
        exhausted: the consequence if all attempts have failed.
        judge: returns the consequence of an error.
        numbers: the counters of the pipeline.
        stopping: an event that ends a pause, because the pipeline stops.
        counts_retries: whether the counter `retried` includes the repetitions.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        exhausted: FailureConsequence,
        judge: Callable[[Exception, RetryPolicy], Verdict],
        numbers: PipelineNumbers,
        stopping: asyncio.Event,
        *,
        counts_retries: bool = False,
    ) -> None:
        self._policy = policy
        self._exhausted = exhausted
        self._judge = judge
        self._numbers = numbers
        self._stopping = stopping
        self._counts_retries = counts_retries
        self._pauses: set[asyncio.Timeout] = set()

    def end_pauses(self) -> None:
        """Begin the next attempts now, except for those that wait because an error requested it."""
        for pause in self._pauses:
            if not pause.expired():
                pause.reschedule(asyncio.get_running_loop().time())

    async def run(
        self, action: Callable[[], Awaitable[T]], *, failure: Exception | None = None
    ) -> T:
        """Run an action, repeat it after temporary failures, and return its value.

        Args:
            action: the action.
            failure: an error that counts as the first attempt.

        Raises:
            RecordAtFault: the record caused the failure, or is treated so after the last attempt.
            Stopping: the pipeline stops.
            Exception: a failure that stops the pipeline.
        """
        attempt, pause, error = 0, 0.0, failure
        while True:
            if error is None:
                try:
                    return await action()
                except Exception as caught:  # noqa: BLE001 - `judge` decides about the error
                    error = caught
            attempt += 1
            self._check(error, attempt)
            pause = delay(self._policy, attempt, previous=pause, draw=random())  # noqa: S311 - jitter needs no secure randomness
            await self._wait(pause, self._requested_pause(error))
            error = None

    def _check(self, error: Exception, attempt: int) -> None:
        """Raise an error if a failed action must not be tried again."""
        self._numbers.count_failure(error)
        consequence = self._judge(error, self._policy)
        if consequence is Verdict.RETRY and attempt >= self._policy.max_attempts:
            consequence = _VERDICTS_AFTER_RETRIES[self._exhausted]
        if consequence is Verdict.STOP:
            raise error
        if consequence is Verdict.DEAD_LETTER:
            raise RecordAtFault(error, attempt) from error
        self._numbers.retried += self._counts_retries

    def _requested_pause(self, error: Exception) -> float:
        """Return the pause that an error requests, but at most the policy's longest pause."""
        return min(wait_of(error, datetime.now(UTC)) or 0.0, self._policy.max_retry_after)

    async def _wait(self, pause: float, requested_pause: float) -> None:
        timeout = asyncio.timeout(max(pause, requested_pause))
        try:
            async with timeout:
                if not requested_pause:
                    self._pauses.add(timeout)
                await self._stopping.wait()
        except TimeoutError:
            return
        finally:
            self._pauses.discard(timeout)
        raise PipelineStopping
