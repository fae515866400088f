"""Errors that prove that a request had no effect, and how they free idempotency keys."""

# ruff: noqa: SLF001 - a look inside

from __future__ import annotations

from typing import Any

import pytest

from moorage import (
    OutcomeUnknown,
    RetryPolicy,
)
from moorage.services.calling.attempt_result import AttemptResult
from moorage.services.calling.attempts import attempt
from moorage.services.calling.call import Call
from moorage.services.calling.idempotency import KeyedUse, KeyRules, run_once_for_key
from tests.services.one_effect import (
    bank,
    over_one_store,
)
from tests.support.modes import AwaitedManager, Harness, sync_and_async

# --- what proves that nothing was done ---


async def make_keyed_call(manager: AwaitedManager, *errors: Exception, **options: Any) -> None:
    """Make a keyed call whose attempts raise these errors; only KeyError proves no effect."""
    core, plans = manager.manager._flows.core, manager.manager._flows.plans
    plan = plans.find("bank", None, None)
    call = Call(plan, core.nanoseconds(), plan.span)
    remaining_errors = list(errors)
    fields: dict[str, Any] = {"remembered": 0.0, "target": "bank"} | options
    rules = KeyRules(
        ttl=60.0,
        encode=str,
        decode=str,
        lookup=str,
        nothing_done=(KeyError,),
        **fields,
    )
    key_use = KeyedUse("k", plan.claim_key("k"), b"p", rules)

    async def step(call: Call) -> AttemptResult:
        call.leave()
        return AttemptResult(error=remaining_errors.pop(0))

    _, failed_error = await run_once_for_key(core, call, key_use, lambda: attempt(core, call, step))
    raise failed_error or AssertionError


@sync_and_async
async def test_some_errors_prove_that_nothing_was_done(harness: Harness) -> None:
    """After an error, a key is free only if the error proves that nothing was done."""
    manager = over_one_store(harness, bank())

    for _ in range(2):
        with pytest.raises(KeyError):
            await make_keyed_call(manager, KeyError())
    with pytest.raises(OSError):  # noqa: PT011 - the very one
        await make_keyed_call(manager, OSError())
    with pytest.raises(OutcomeUnknown):
        await make_keyed_call(manager, KeyError())


@sync_and_async
async def test_error_of_retry_does_not_prove_that_attempt_before_it_did_nothing(
    harness: Harness,
) -> None:
    """The error of a retry does not prove that the attempt before it did nothing."""
    manager = over_one_store(harness, bank(retry=RetryPolicy(2, 0)))

    with pytest.raises(KeyError):
        await make_keyed_call(manager, OSError(), KeyError())
    with pytest.raises(OutcomeUnknown):
        await make_keyed_call(manager, KeyError())


@sync_and_async
async def test_another_target_does_not_know_the_key(harness: Harness) -> None:
    """A call whose outcome at one account is unknown is not repeated at another account."""
    manager = over_one_store(harness, bank())

    with pytest.raises(OSError):  # noqa: PT011 - the very one
        await make_keyed_call(manager, OSError(), remembered=600.0)
    with pytest.raises(OutcomeUnknown):
        await make_keyed_call(manager, OSError(), remembered=600.0, target="another bank")


@sync_and_async
async def test_error_of_repeated_call_does_not_prove_that_earlier_call_did_nothing(
    harness: Harness,
) -> None:
    """An error of a repeated call does not prove that the earlier call did nothing."""
    manager = over_one_store(harness, bank())

    with pytest.raises(OSError):  # noqa: PT011 - the very one
        await make_keyed_call(manager, OSError())
    with pytest.raises(KeyError):
        await make_keyed_call(manager, KeyError(), remembered=600.0)
    with pytest.raises(OutcomeUnknown):
        await make_keyed_call(manager, KeyError())
