"""The conformance kit of gatherers (functions that run steps concurrently) finds faulty ones."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest

from moorage.adapters.concurrency.gather_async import AsyncioGather
from moorage.testing import gather_conformance as kit
from moorage.testing.kits.checks import waiting_at_most

Item = TypeVar("Item")


class _ResultsAsTheyFinishGatherer(AsyncioGather):
    """A faulty gatherer that returns results in the order in which the steps finish."""

    async def run_all(
        self, steps: Sequence[Callable[[], Awaitable[Item]]], /, *, at_once: int
    ) -> list[Item]:
        tasks = map(asyncio.ensure_future, [step() for step in steps])
        return [await task for task in asyncio.as_completed(tasks)]


class _ResultWithoutStepsGatherer(AsyncioGather):
    """A faulty gatherer that returns a result although it was given no steps."""

    async def run_all(
        self, steps: Sequence[Callable[[], Awaitable[Item]]], /, *, at_once: int
    ) -> list[Item]:
        return [*await super().run_all(steps, at_once=at_once), 0]  # type: ignore[list-item]  # the defect


class _UnboundedGatherer(AsyncioGather):
    """A faulty gatherer that ignores its limit and runs all steps at once."""

    async def run_all(
        self, steps: Sequence[Callable[[], Awaitable[Item]]], /, *, at_once: int
    ) -> list[Item]:
        return await super().run_all(steps, at_once=len(steps))


class _SerialGatherer(AsyncioGather):
    """A faulty gatherer that runs steps sequentially, in the caller's own context."""

    async def run_all(
        self, steps: Sequence[Callable[[], Awaitable[Item]]], /, *, at_once: int
    ) -> list[Item]:
        return [await step() for step in steps]

    async def first(
        self,
        steps: Sequence[Callable[[], Awaitable[Item]]],
        /,
        *,
        stagger: float,
        good: Callable[[Item], bool],
    ) -> Item:
        *other_steps, last_step = steps
        for step in other_steps:
            result = await step()
            if good(result):
                return result
        return await last_step()


class _StartsAllRacersGatherer(AsyncioGather):
    """A faulty gatherer that starts all racing steps at once."""

    async def first(
        self,
        steps: Sequence[Callable[[], Awaitable[Item]]],
        /,
        *,
        stagger: float,
        good: Callable[[Item], bool],
    ) -> Item:
        return await super().first(steps, stagger=0, good=good)


class _AcceptsAnyResultGatherer(AsyncioGather):
    """A faulty gatherer that accepts any result as a success."""

    async def first(
        self,
        steps: Sequence[Callable[[], Awaitable[Item]]],
        /,
        *,
        stagger: float,
        good: Callable[[Item], bool],
    ) -> Item:
        return await super().first(steps, stagger=stagger, good=lambda _: True)


class _ContinuesAfterCancellationGatherer(AsyncioGather):
    """A faulty gatherer whose steps continue after their caller was cancelled."""

    async def run_all(
        self, steps: Sequence[Callable[[], Awaitable[Item]]], /, *, at_once: int
    ) -> list[Item]:
        return await asyncio.shield(super().run_all(steps, at_once=at_once))

    async def first(
        self,
        steps: Sequence[Callable[[], Awaitable[Item]]],
        /,
        *,
        stagger: float,
        good: Callable[[Item], bool],
    ) -> Item:
        shielded = [lambda step=step: asyncio.shield(step()) for step in steps]
        return await super().first(shielded, stagger=stagger, good=good)


class _IgnoresCancellationGatherer(AsyncioGather):
    """A faulty gatherer that returns a result when it is cancelled."""

    async def run_all(
        self, steps: Sequence[Callable[[], Awaitable[Item]]], /, *, at_once: int
    ) -> list[Item]:
        try:
            return await super().run_all(steps, at_once=at_once)
        except asyncio.CancelledError:
            return []


@pytest.mark.parametrize(
    "check, wrong, sentence",
    [
        (
            kit.results_come_in_the_order_of_the_steps,
            _ResultsAsTheyFinishGatherer,
            r"in the order \[3, 2, 1, 0\]",
        ),
        (kit.no_steps_give_no_results, _ResultWithoutStepsGatherer, r"the results are \[0\]"),
        (kit.steps_run_at_once, _UnboundedGatherer, "2 steps ran at once, where 1 may"),
        (kit.steps_run_at_once, _SerialGatherer, "2 steps did not run at once"),
        (kit.steps_see_the_context, _SerialGatherer, "saw the context"),
        (kit.the_first_good_result_is_enough, _StartsAllRacersGatherer, "where .* were needed"),
        (kit.the_first_good_result_is_enough, _AcceptsAnyResultGatherer, "Step 1 was good, and 0"),
        (
            kit.without_a_good_result_the_last_is_returned,
            _AcceptsAnyResultGatherer,
            "returned as 0",
        ),
        (kit.a_slow_step_is_overtaken, _SerialGatherer, "was not overtaken"),
        (
            kit.a_slow_step_is_overtaken,
            _StartsAllRacersGatherer,
            "Three steps started, although two were needed|had its time",
        ),
        (
            kit.a_slow_good_result_beats_a_fast_bad_one,
            _AcceptsAnyResultGatherer,
            "A running step was cancelled because of a bad result",
        ),
        (
            kit.a_cancelled_caller_cancels_every_step,
            _ContinuesAfterCancellationGatherer,
            "`run_all` left a step behind",
        ),
        (
            kit.a_cancelled_caller_cancels_every_step,
            _IgnoresCancellationGatherer,
            "`run_all` swallowed",
        ),
        (
            kit.other_steps_have_ended,
            _ContinuesAfterCancellationGatherer,
            "is not needed continues",
        ),
    ],
)
def test_check_fails_for_a_faulty_gatherer(
    check: kit.AsyncCheck, wrong: Callable[[], AsyncioGather], sentence: str
) -> None:
    """A gatherer with one fault fails the check that looks for this fault."""
    waits_in_vain = wrong is _SerialGatherer
    with (
        waiting_at_most(0.4 if waits_in_vain else 20.0),
        pytest.raises(AssertionError, match=sentence),
    ):
        asyncio.run(check(wrong))
