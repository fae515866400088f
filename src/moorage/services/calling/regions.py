"""The choice of a region for each attempt, for services that have several."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from moorage.domain.observation.events import CallRefused
from moorage.domain.service import region
from moorage.domain.values.durations import FOREVER
from moorage.errors import CircuitBreakerOpen, ConnectorError, RateLimitExceeded
from moorage.services.calling.attempt_result import AttemptResult
from moorage.services.calling.attempts import admission_question, make_attempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Request
    from moorage.domain.resilience.admission import Admission
    from moorage.domain.service.plan import Plan
    from moorage.services.calling.attempts import AttemptStep
    from moorage.services.calling.call import Call
    from moorage.services.core.core import Core


class Route:
    """The regions that a call may use, and the regions that it has tried.

    Attributes:
        whole: plan of the service without a region.
        may_move: True if a second region may repeat an attempt that may have had its effect.
    """

    __slots__ = ("_busy", "_regions", "_tried", "movable", "whole")

    def __init__(self, plan: Plan, request: Request, *, may_move: bool) -> None:
        self.whole = plan
        self.movable = may_move
        self._regions = region.regions_of_path(plan.service.regions, request.path)
        self._tried: set[str] = set()
        self._busy: dict[str, int] = {}

    def plans_by_target(self) -> dict[str, Plan]:
        """The plans of the regions that may have received a key's request, by region name.

        The mapping is empty if every region is equally suitable.
        """
        if self.movable:
            return {}
        plans = (self.whole.regions[item.name] for item in self._regions)
        return {plan.target: plan for plan in plans}

    async def first_attempt(
        self, core: Core, call: Call, step: AttemptStep, *, on_fast_path: bool
    ) -> AttemptResult:
        """Make the first attempt, in the preferred region that admits it."""
        # If a request was sent before under its key, it stays in the region of the key.
        plans = self._other_plans(core, call) or (call.plan,)
        request_admission = _planned_admission if on_fast_path else _first_admission
        result = await self.attempt_in_any_region(core, call, plans, request_admission, step)
        if _is_refused_everywhere(result) and core.observers:
            error = result.error
            call.emit(
                core,
                CallRefused,
                error=type(error).__name__,
                retry_after=max(0, _end_of_refusal(error) - core.nanoseconds()) / 1e9,
            )
        return result

    def regions_after(
        self, core: Core, call: Call, error: Exception, retry_after: float | None
    ) -> OtherRegions | None:
        """Return the regions in which to continue after `error`; None if there are none."""
        is_rate_limit = isinstance(error, RateLimitExceeded)
        if retry_after is not None:
            self._busy[_name(call)] = core.nanoseconds() + int(retry_after * 1e9)
        plans = self._other_plans(core, call)
        if not plans:
            return None
        return OtherRegions(
            self,
            plans,
            at_once=call.is_unsent and plans[0].region not in self._tried,
            retry_after=retry_after if is_rate_limit else None,
        )

    async def concurrent_attempt(
        self, core: Core, call: Call, number: int, step: AttemptStep
    ) -> AttemptResult:
        """Make one of several concurrent attempts, if possible each in another region."""
        own_plan = call.plan
        other_plans = self._other_plans(core, call, may_have_acted=True)
        target_index = number % len(other_plans) if other_plans else 0
        plans = (*other_plans[target_index:], *other_plans[:target_index], own_plan)
        return await self.attempt_in_any_region(core, call, plans, _admission_without_wait, step)

    async def attempt_in_any_region(
        self,
        core: Core,
        call: Call,
        plans: tuple[Plan, ...],
        make_question: Callable[[Core, Call], Admission | None],
        step: AttemptStep,
    ) -> AttemptResult:
        """Make the attempt in the first region that admits it, or return the shortest rejection."""
        refusals: list[ConnectorError] = []
        # A refusal by one circuit breaker does not end the call.
        call.undecided = True
        for plan in plans:
            call.plan = plan
            result = await make_attempt(core, call, make_question(core, call), step)
            if not result.refused or not isinstance(result.error, CircuitBreakerOpen):
                call.undecided = False
                self._tried.add(_name(call))
                return result
            refusals.append(result.error)
        call.undecided = False
        if len(plans) > 1:
            call.plan = self.whole
        return AttemptResult(error=min(refusals, key=_end_of_refusal), refused=True)

    def _other_plans(
        self, core: Core, call: Call, *, may_have_acted: bool = False
    ) -> tuple[Plan, ...]:
        now = core.nanoseconds()
        free_regions = [item for item in self._regions if self._busy.get(item.name, 0) <= now]
        order = region.regions_to_try(
            free_regions,
            call.plan.region,
            tried_regions=self._tried,
            may_have_acted=call.may_have_acted or may_have_acted,
            movable=self.movable,
            draw=core.fraction(),
        )
        return tuple(self.whole.regions[item.name] for item in order)


@attrs.frozen
class OtherRegions:
    """The regions in which a call may continue after a failed attempt.

    Attributes:
        plans: plans of the regions to try, in order.
        at_once: True if no pause is needed before the next attempt.
        retry_after: pause that the vendor requested for all regions. A pause of a rate limit
            concerns all regions; any other pause concerns only the region that requested it.
    """

    _route: Route
    plans: tuple[Plan, ...]
    at_once: bool
    retry_after: float | None

    async def attempt(self, core: Core, call: Call, step: AttemptStep) -> AttemptResult | None:
        """Make another attempt in another region; return None if no region admits it."""
        own_plan = call.plan
        result = await self._route.attempt_in_any_region(
            core, call, self.plans, _retry_admission, step
        )
        if not _is_refused_everywhere(result):
            return result
        call.plan = own_plan
        return None


def _is_refused_everywhere(result: AttemptResult) -> bool:
    """Return whether an attempt was refused because all regions' circuits are open."""
    return result.refused and isinstance(result.error, CircuitBreakerOpen)


def _name(call: Call) -> str:
    return call.plan.region or ""


def _end_of_refusal(error: Exception | None) -> int:
    """Return the local-clock time when a rejection ends.

    Far ahead for a manually opened circuit.
    """
    due_times = error.due if isinstance(error, ConnectorError) else None
    return due_times[1] if isinstance(due_times, tuple) else FOREVER * 1000


def _planned_admission(_: Core, call: Call) -> Admission | None:
    return call.plan.admission


def _first_admission(core: Core, call: Call) -> Admission | None:
    return admission_question(core, call, retry=False)


def _retry_admission(core: Core, call: Call) -> Admission | None:
    return admission_question(core, call, retry=True)


def _admission_without_wait(_: Core, call: Call) -> Admission | None:
    admission_request = call.plan.admission
    return admission_request and admission_request.evolve(within=0)
