"""Hedged reads: send a second request if the first response does not arrive soon."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from moorage.services.calling.attempt_result import AttemptResult
from moorage.services.calling.attempts import make_attempt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.service.settings import HedgeConfig
    from moorage.services.calling.attempts import AttemptStep
    from moorage.services.calling.call import Call
    from moorage.services.core.core import Core


class _HedgedRequest(NamedTuple):
    """A single request of a hedged read, and its result."""

    call: Call
    result: AttemptResult


class HedgedAttempts:
    """A step that sends one more concurrent request whenever no response arrives in time.

    Each extra request is admitted and recorded like an attempt, but never waits for admission. The
    concurrent requests share no state, because a slower one may continue for a while.
    """

    __slots__ = ("_config", "_core", "_inner")

    def __init__(self, core: Core, config: HedgeConfig, inner_step: AttemptStep) -> None:
        self._core = core
        self._config = config
        self._inner = inner_step

    async def __call__(self, call: Call) -> AttemptResult:
        """Return the first successful response.

        If all requests fail, the result of the first one.
        """
        first_call = call.concurrent_call()
        extra_calls = [
            call.concurrent_call(number) for number in range(1, self._config.max_extra + 1)
        ]
        lead_results: list[AttemptResult] = []
        results: list[AttemptResult] = []

        async def first() -> _HedgedRequest:
            lead_results.append(await self._inner(first_call))
            results.append(lead_results[0])
            return _HedgedRequest(first_call, lead_results[0])

        steps = [
            first,
            *(self._extra(extra_call, n, results) for n, extra_call in enumerate(extra_calls)),
        ]
        try:
            chosen_request: _HedgedRequest = await self._core.first(
                steps, stagger=self._config.delay, good=_is_good
            )
        finally:
            call.join((first_call, *extra_calls))
        if lead_results and not _is_good(chosen_request):
            chosen_request = _HedgedRequest(first_call, lead_results[0])
        call.status, call.cached = chosen_request.call.status, chosen_request.call.cached
        call.bytes_in, call.content = chosen_request.call.bytes_in, chosen_request.call.content
        return AttemptResult(
            chosen_request.result.value,
            chosen_request.result.error,
            pause=lead_results[0].pause if lead_results else None,
            repeats=any(result.repeats for result in results),
        )

    def _extra(
        self, concurrent_call: Call, number: int, results: list[AttemptResult]
    ) -> Callable[[], Awaitable[_HedgedRequest]]:
        admission_request = (
            concurrent_call.plan.admission and concurrent_call.plan.admission.evolve(within=0)
        )

        async def extra() -> _HedgedRequest:
            if concurrent_call.route is not None:
                result = await concurrent_call.route.concurrent_attempt(
                    self._core, concurrent_call, number, self._inner
                )
            else:
                result = await make_attempt(
                    self._core, concurrent_call, admission_request, self._inner
                )
            results.append(result)
            return _HedgedRequest(concurrent_call, result)

        return extra


def _is_good(attempt: _HedgedRequest) -> bool:
    return attempt.result.error is None
