"""Hedged reads: ask again, elsewhere in the vendor's fleet, when the first answer takes long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mooring.services.attempts import once
from mooring.services.call import Call

if TYPE_CHECKING:
    from mooring.domain.service import HedgeConfig
    from mooring.services.attempts import AttemptStep, Ending
    from mooring.services.core import Core


class Hedged:
    """A step that runs its inner step again each time the delay passes without an answer.

    Each extra is admitted and recorded like any attempt, but never waits to be admitted.
    """

    __slots__ = ("_config", "_core", "_inner")

    def __init__(self, core: Core, config: HedgeConfig, inner: AttemptStep) -> None:
        self._core = core
        self._config = config
        self._inner = inner

    async def __call__(self, call: Call) -> Ending:
        """The first good answer, or the last bad one."""

        async def first() -> Ending:
            return await self._inner(call)

        extras = [self._extra(call) for _ in range(self._config.max_extra)]
        ending: Ending = await self._core.first(
            [first, *extras], stagger=self._config.delay, good=_good
        )
        return ending

    def _extra(self, call: Call):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a step
        async def extra() -> Ending:
            plan = call.plan
            twin = Call(plan, call.started, call.deadline - call.started)
            twin.request_id = call.request_id
            question = plan.admission and plan.admission.evolve(within=0)
            ending = await once(self._core, twin, question, self._inner)
            call.attempts += twin.attempts
            call.status = twin.status if ending[1] is None else call.status
            return ending

        return extra


def _good(ending: Ending) -> bool:
    return ending[1] is None
