"""The slots of a bulkhead, which limits how many calls are in progress at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.observation.events import BulkheadShrank, BulkheadWaited, CallRefused
from moorage.errors import BulkheadFull, ConnectorError
from moorage.services.calling.attempts import attempt

if TYPE_CHECKING:
    from moorage.domain.service.settings import BulkheadConfig
    from moorage.services.calling.attempt_result import AttemptResult
    from moorage.services.calling.attempts import AttemptStep, Ending
    from moorage.services.calling.call import Call
    from moorage.services.core.core import Core

_SHORT_WAIT: Final = 0.001
"""Seconds; shorter waits for a slot of a bulkhead are not reported to observers."""


async def in_slot(core: Core, call: Call, step: AttemptStep, bulkhead: BulkheadConfig) -> Ending:
    """Run the attempts of a call in a slot of its bulkhead, waiting for one if none is free."""
    plan = call.plan
    wait = max(0.0, call.remaining(core) / 1e9)
    if bulkhead.max_wait is not None:
        wait = min(wait, bulkhead.max_wait)
    wait_start = core.nanoseconds() if core.observers else None
    slots = bulkhead.max_concurrent
    if bulkhead.adaptive is not None:
        slots = core.concurrency_limits.limit(plan.bulkhead_key, bulkhead, core.nanoseconds())
        step = _measured_step(core, step, bulkhead)
    try:
        try:
            is_acquired = await core.acquire(
                plan.bulkhead_key,
                call,
                slots=slots,
                queue=bulkhead.max_waiting,
                timeout=wait,
            )
            if not is_acquired:
                return None, _bulkhead_error(core, call, slots)
            delay = 0.0 if wait_start is None else (core.nanoseconds() - wait_start) / 1e9
            if delay >= _SHORT_WAIT:
                call.emit(core, BulkheadWaited, delay=delay)
            call.has_less_time = True
            return await attempt(core, call, step)
        finally:
            if not call.keeps_place:
                core.release(plan.bulkhead_key, call)
    except BaseException:
        # An interruption may arrive in the line above, and a slot has no lease that ends.
        if not call.keeps_place:
            core.release(plan.bulkhead_key, call)
        raise


def _measured_step(core: Core, step: AttemptStep, bulkhead: BulkheadConfig) -> AttemptStep:
    """Return a step that also tells the bulkhead's adaptive limit how each attempt ended."""
    limits = core.concurrency_limits

    async def measured_step(call: Call) -> AttemptResult:
        key, start_time, attempt_mark = call.plan.bulkhead_key, core.nanoseconds(), object()
        error: BaseException | None = None
        limits.begin(key, attempt_mark)
        try:
            result = await step(call)
            error = result.error
        finally:
            now = core.nanoseconds()
            limit = limits.end(key, bulkhead, attempt_mark, error, start_time, now)
        if limit is not None and core.observers:
            call.emit(core, BulkheadShrank, limit=limit)
        return result

    return measured_step


def _bulkhead_error(core: Core, call: Call, slots: int) -> ConnectorError:
    error: ConnectorError = BulkheadFull(
        "The bulkhead is full:"
        f" {'1 call is' if slots == 1 else f'{slots} calls are'} already in progress."
    )
    if call.remaining(core) <= 0:
        error = call.deadline_error(error)
    if core.observers:
        name = type(error).__name__
        call.emit(core, CallRefused, error=name, retry_after=0.0)
    return error
