"""Hedged reads: a second request goes out if the first answer takes long."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from moorage.services.calling.attempts import once
from moorage.services.calling.call import Call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.service.settings import HedgeConfig
    from moorage.services.calling.attempts import AttemptStep, Ending
    from moorage.services.core.core import Core


class _Try(NamedTuple):
    """One of the concurrent requests, and its ending."""

    call: Call
    ending: Ending


class Hedged:
    """A step that runs its inner step again each time the delay passes without an answer.

    Each extra request is admitted and recorded like an attempt, but never waits for admission. The
    concurrent requests share no state, because a losing one may continue for a while.
    """

    __slots__ = ("_config", "_core", "_inner")

    def __init__(self, core: Core, config: HedgeConfig, inner: AttemptStep) -> None:
        self._core = core
        self._config = config
        self._inner = inner

    async def __call__(self, call: Call) -> Ending:
        """The first good answer; if there is none, the ending of the first request."""
        lead = _twin(call)
        extras = [_twin(call) for _ in range(self._config.max_extra)]
        ended: list[Ending] = []

        async def first() -> _Try:
            ended.append(await self._inner(lead))
            return _Try(lead, ended[0])

        steps = [first, *(self._extra(extra, number) for number, extra in enumerate(extras))]
        try:
            winner: _Try = await self._core.first(steps, stagger=self._config.delay, good=_is_good)
        finally:
            before = call.attempts
            call.attempts += sum(racer.attempts - before for racer in (lead, *extras))
        if ended and not _is_good(winner):
            winner = _Try(lead, ended[0])
        call.status, call.pause = winner.call.status, lead.pause
        call.cached = winner.call.cached
        call.renewed = any(racer.renewed for racer in (lead, *extras))
        return winner.ending

    def _extra(self, twin: Call, number: int) -> Callable[[], Awaitable[_Try]]:
        question = twin.plan.admission and twin.plan.admission.evolve(within=0)

        async def extra() -> _Try:
            if twin.route is not None:
                return _Try(twin, await twin.route.beside(self._core, twin, number, self._inner))
            return _Try(twin, await once(self._core, twin, question, self._inner))

        return extra


def _twin(call: Call) -> Call:
    twin = Call(call.plan, call.started, call.deadline - call.started)
    twin.request_id = call.request_id
    twin.attempts = call.attempts
    twin.route = call.route
    twin.witness = call.witness
    return twin


def _is_good(attempt: _Try) -> bool:
    return attempt.ending[1] is None
