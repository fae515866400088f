"""Helpers for tests of the idempotency part: a fake shop, and each way of calling it."""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from moorage import Idempotency
from tests.parts.ways_of_use import AsyncSleeper, Clock, as_async, run


class Shop:
    """A fake shop that records its sales."""

    def __init__(self) -> None:
        self.effects: list[Any] = []
        self.fails: BaseException | None = None

    def sell(self, item: str = "tea", *, amount: int = 1) -> dict[str, Any]:
        """Record the sale, then raise the configured error or return the sale."""
        self.effects.append((item, amount))
        if self.fails is not None:
            raise self.fails
        return {"item": item, "amount": amount, "lines": [item] * amount}


def call_once(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call the function through the idempotency part."""
    return part.call(key, function, *args)


def call_async(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Make the function asynchronous, and call it through the idempotency part."""
    return run(part.call(key, as_async(function), *args))


def call_decorated(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Decorate the function by the idempotency part, and call it."""
    return part(lambda *_: key)(function)(*args)


def call_decorated_async(
    part: Idempotency, key: str, function: Callable[..., Any], *args: Any
) -> Any:
    """Make the function asynchronous, decorate it by the idempotency part, and call it."""
    return run(part(lambda *_: key)(as_async(function))(*args))


def value_of_answer(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call the function through `answer`, and return only its value."""
    bound = functools.partial(function, *args)
    return part.answer(key, bound, payload=[[*args], {}]).value


def value_of_answer_async(
    part: Idempotency, key: str, function: Callable[..., Any], *args: Any
) -> Any:
    """Make the function asynchronous, call it through `answer`, and return only its value."""
    bound = functools.partial(as_async(function), *args)
    return run(part.aanswer(key, bound, payload=[[*args], {}])).value


USES = (
    call_once,
    call_async,
    call_decorated,
    call_decorated_async,
    value_of_answer,
    value_of_answer_async,
)
EVERY_USE = pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
BOTH = pytest.mark.parametrize("use", [call_once, call_async], ids=["sync", "async"])


def keeper(clock: Clock | None = None, **options: Any) -> Idempotency:
    """Return an idempotency part that waits only in simulated time."""
    clock = clock or Clock()
    return Idempotency(clock=clock, sleeper=clock, async_sleeper=AsyncSleeper(clock), **options)
