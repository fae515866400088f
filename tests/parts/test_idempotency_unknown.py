"""Errors and interruptions that leave the outcome of an idempotency key unknown."""

import asyncio
import functools
import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from moorage import BulkheadFull, ConnectionFailed, Idempotency, OutcomeUnknown, VendorFailed
from tests.parts import interrupted
from tests.parts.idempotent_shop import (
    BOTH,
    EVERY_USE,
    Shop,
    call_async,
    call_decorated,
    call_once,
    keeper,
    value_of_answer,
)
from tests.parts.ways_of_use import Clock, DistantStore, FunctionFailure, run


@EVERY_USE
def test_other_errors_leave_the_key_unknown(use: Callable[..., Any]) -> None:
    """After an error that may have had an effect, repeats of the key raise OutcomeUnknown."""
    part, shop = keeper(), Shop()
    shop.fails = FunctionFailure("the line went dead")

    with pytest.raises(FunctionFailure) as first:
        use(part, "INV-1", shop.sell)
    with pytest.raises(OutcomeUnknown):
        use(part, "INV-1", shop.sell)
    with pytest.raises(OutcomeUnknown) as excinfo:
        use(part, "INV-1", shop.sell)

    assert shop.fails is first.value
    assert 1 == len(shop.effects)
    assert ("INV-1", "the effect of key 'INV-1'") == (
        excinfo.value.idempotency_key,
        excinfo.value.lookup,
    )
    assert excinfo.value.request_id


@BOTH
@pytest.mark.parametrize("error", [VendorFailed("?"), ConnectionFailed("?")], ids=repr)
def test_known_unknown_outcome_is_raised_at_once(use: Callable[..., Any], error: Exception) -> None:
    """If an error states that the outcome is unknown, even the first caller gets OutcomeUnknown."""
    part, shop = keeper(), Shop()
    shop.fails = error

    with pytest.raises(OutcomeUnknown) as excinfo:
        use(part, "k", shop.sell)

    assert error is excinfo.value.__cause__


@EVERY_USE
@pytest.mark.parametrize(
    "error",
    [BulkheadFull("?"), ConnectionFailed("?", may_have_been_processed=False), KeyError("?")],
    ids=repr,
)
def test_proof_of_no_effect_frees_the_key(use: Callable[..., Any], error: Exception) -> None:
    """After an error that proves that nothing was done, the idempotency key is free again."""
    part, shop = keeper(nothing_done=(LookupError, ArithmeticError)), Shop()
    shop.fails = error

    for _ in range(2):
        with pytest.raises(type(error)):
            use(part, "k", shop.sell)
    shop.fails = None

    assert shop.sell() == use(part, "k", shop.sell)


def test_option_nothing_done_may_be_single_exception_class() -> None:
    """The option `nothing_done` may be a single exception class."""
    part, shop = keeper(nothing_done=FunctionFailure), Shop()
    shop.fails = FunctionFailure()

    for _ in range(2):
        with pytest.raises(FunctionFailure):
            part.call("k", shop.sell)


@BOTH
def test_an_unknown_key_is_resolved_by_a_person(use: Callable[..., Any]) -> None:
    """An operator can record that a key's call was done, with a result, or was never done."""
    part, shop = keeper(), Shop()
    shop.fails = FunctionFailure()

    def resolve(key: str, **fields: Any) -> bool:
        is_settled: bool = (
            part.resolve(key, **fields) if use is call_once else run(part.aresolve(key, **fields))
        )
        return is_settled

    for key in ("done", "never"):
        assert not resolve(key, done=False)
        with pytest.raises(FunctionFailure):
            use(part, key, shop.sell)
    shop.fails = None
    fields = {"lines": ["found"]}

    assert resolve("done", done=True, answer=fields)
    assert resolve("never", done=False)
    assert not resolve("done", done=False)

    fields["lines"].append("changed since")
    assert {"lines": ["found"]} == use(part, "done", shop.sell)
    assert shop.sell() == use(part, "never", shop.sell)
    assert 4 == len(shop.effects)


@BOTH
def test_function_that_honours_keys_is_called_again(use: Callable[..., Any]) -> None:
    """A function that honours idempotency keys is called again while it remembers them."""
    clock, shop = Clock(), Shop()
    part = keeper(clock, remembered=timedelta(minutes=10))
    shop.fails = ConnectionFailed("the line went dead")

    for _ in range(2):
        with pytest.raises(ConnectionFailed):
            use(part, "k", shop.sell)
    clock.advance(601)
    shop.fails = None
    with pytest.raises(OutcomeUnknown):
        use(part, "k", shop.sell)

    assert 2 == len(shop.effects)


@pytest.mark.parametrize("store", [None, DistantStore], ids=["near", "distant"])
def test_a_cancelled_task_frees_the_key_or_makes_it_unknown(
    store: type[DistantStore] | None,
) -> None:
    """If a task is cancelled at any point, its key is free or its outcome is unknown."""

    async def cancel(steps: int) -> bool:
        part, shop = Idempotency(storage=store() if store else None), Shop()

        async def perform_effect() -> dict[str, Any]:
            await asyncio.sleep(0)
            answer = shop.sell()
            await asyncio.sleep(0)
            return answer

        task = asyncio.ensure_future(part.call("k", perform_effect))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        effect_count = len(shop.effects)
        try:
            assert {"item": "tea", "amount": 1, "lines": ["tea"]} == await part.call(
                "k", perform_effect
            )
        except OutcomeUnknown:
            assert task.cancelled()
        else:
            assert 1 == len(shop.effects)
        assert effect_count <= len(shop.effects) <= 1
        return task.cancelled()

    steps = 0
    while asyncio.run(cancel(steps)):
        steps += 1
    assert steps >= 3


@EVERY_USE
@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, SystemExit])
def test_an_interruption_makes_the_key_unknown(
    use: Callable[..., Any], error: type[BaseException]
) -> None:
    """After an interrupted function, the idempotency key's outcome is unknown."""
    part, shop = keeper(), Shop()
    shop.fails = error()

    with pytest.raises(error) as excinfo:
        use(part, "k", shop.sell)
    with pytest.raises(OutcomeUnknown):
        use(part, "k", shop.sell)

    assert shop.fails is excinfo.value


@pytest.mark.parametrize(
    "use", [call_once, call_decorated, value_of_answer], ids=lambda use: use.__name__
)
def test_stop_iteration_passes_unchanged(use: Callable[..., Any]) -> None:
    """The function's StopIteration is raised unchanged."""
    shop = Shop()
    shop.fails = StopIteration()

    with pytest.raises(StopIteration) as excinfo:
        use(keeper(), "k", shop.sell)

    assert shop.fails is excinfo.value


@interrupted.UNTIDY
@pytest.mark.parametrize("use", [call_once, call_async], ids=lambda use: use.__name__)
def test_an_interruption_anywhere_leaves_no_claim(use: Callable[..., Any]) -> None:
    """After an interruption at any point the key is not claimed, and nothing ran twice."""
    outcomes: list[str] = []
    for point in itertools.count():
        part, shop = keeper(), Shop()
        use(part, "first", int)
        if not interrupted.interrupt_at(point, functools.partial(use, part, "k", shop.sell)):
            break
        effect_count = len(shop.effects)
        try:
            use(part, "k", shop.sell)
            outcomes.append("replayed" if effect_count else "done")
        except OutcomeUnknown:
            outcomes.append("unknown")
        assert effect_count <= len(shop.effects) <= 1

    assert {"done", "unknown", "replayed"} >= set(outcomes) >= {"done", "unknown"}
    assert len(outcomes) > 50
