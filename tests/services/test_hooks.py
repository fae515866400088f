"""Exceptions of a user's hooks describe themselves, and never prove that nothing was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    CircuitBreakerOpen,
    ConfigurationError,
    ConnectionFailed,
    InvalidData,
    OutcomeUnknown,
    Request,
    RetryPolicy,
    Service,
    UnsupportedByVendor,
    VendorFailed,
)
from tests.support.modes import World, sync_and_async

if TYPE_CHECKING:
    from collections.abc import Callable

POST = Request.post("/charge", json={"amount": 1})
SOON = RetryPolicy(3, 0)


def pay(**options: Any) -> Service:
    """A service that is called to some effect."""
    fields: dict[str, Any] = {"base_url": "https://pay.example", "circuit": None, "retry": SOON}
    return Service("pay", **(fields | options))


def other_calls_error() -> ConnectionFailed:
    """The error of a nested call that never left."""
    return ConnectionFailed("refused", may_have_been_processed=False)


def raising(make: Callable[[], Exception]) -> Callable[..., Any]:
    """A hook that raises."""

    def hook(*_: object) -> Any:
        raise make()

    return hook


@pytest.mark.parametrize(
    "make", [other_calls_error, lambda: CircuitBreakerOpen("open"), lambda: VendorFailed("broken")]
)
@sync_and_async
async def test_a_transform_that_fails_repeats_no_effect(
    world: World, make: Callable[[], Exception]
) -> None:
    """When the vendor has answered, no error of a transform lets a POST go out again."""
    manager = world.manager(pay(response_transforms=raising(make)))

    with pytest.raises(type(make())):
        await manager.call("pay", POST)

    assert 1 == len(world.vendor.requests)


@pytest.mark.parametrize(
    "hook",
    [
        {"response_transforms": raising(other_calls_error)},
        {"response_transforms": raising(lambda: CircuitBreakerOpen("open"))},
        {"classify": raising(other_calls_error)},
        {"classify": lambda *_: UnsupportedByVendor("not here")},
    ],
)
@sync_and_async
async def test_a_hook_that_fails_frees_no_key(world: World, hook: dict[str, Any]) -> None:
    """A hook that fails after the response leaves the key unknown, never free."""
    manager = world.manager(pay(**hook))

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await manager.call("pay", POST, idempotency_key="INV-1")

    assert 1 == len(world.vendor.requests)


@sync_and_async
async def test_a_nested_calls_error_proves_nothing(world: World) -> None:
    """A function that acted, and then failed in another call, has acted all the same."""
    world.vendor.otherwise = other_calls_error()
    manager = world.manager(pay(), Service("other", "https://other.example", retry=None))
    effects: list[int] = []

    async def charge() -> None:
        effects.append(1)
        await manager.call("other", Request.get("/"))

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await manager.run("pay", charge, idempotency_key="INV-1")

    assert [1] == effects


@sync_and_async
async def test_a_functions_own_proof_is_taken(world: World) -> None:
    """A function that says itself that nothing was sent is called again, under a key too."""
    manager = world.manager(pay())
    errors: list[Exception] = [other_calls_error(), other_calls_error()]

    async def charge() -> str:
        if errors:
            raise errors.pop()
        return "charged"

    assert "charged" == await manager.run("pay", charge, idempotency_key="INV-1")


@sync_and_async
async def test_a_fallback_that_fails_keeps_the_first_error(world: World) -> None:
    """When the fallback breaks too, its error says what it was to make up for, and so do events."""
    world.vendor.otherwise = 503
    manager = world.watched(pay(retry=None, fallback=raising(ZeroDivisionError)))

    with pytest.raises(ZeroDivisionError) as caught:
        await manager.call("pay", Request.get("/"))

    assert isinstance(caught.value.__context__, VendorFailed)
    finished = world.events[-1]
    assert ("ZeroDivisionError", False) == (finished.error, finished.fallback)  # type: ignore[attr-defined]


@sync_and_async
async def test_one_text_is_not_many_keys(world: World) -> None:
    """A batch is told by its sequence: a text is none, and an unknown service is named at once."""
    manager = world.manager(pay())

    with pytest.raises(InvalidData, match="idempotency_keys"):
        await manager.call_many("pay", [POST, POST], idempotency_keys="ab")
    with pytest.raises(InvalidData, match="requests"):
        await manager.call_many("pay", POST)
    with pytest.raises(ConfigurationError, match="nope"):
        await manager.call_many("nope", [])
