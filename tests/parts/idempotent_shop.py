"""A product that is sold once per key, through every API of the idempotency part."""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from moorage import Idempotency
from tests.parts.world import AsyncSleeper, Clock, as_async, run


class Shop:
    """A shop whose sales are counted."""

    def __init__(self) -> None:
        self.effects: list[Any] = []
        self.fails: BaseException | None = None

    def sell(self, item: str = "tea", *, amount: int = 1) -> dict[str, Any]:
        """Sell, and then perhaps fail."""
        self.effects.append((item, amount))
        if self.fails is not None:
            raise self.fails
        return {"item": item, "amount": amount, "lines": [item] * amount}


def called(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Use the part as a function call."""
    return part.call(key, function, *args)


def called_later(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Use it as an asynchronous call."""
    return run(part.call(key, as_async(function), *args))


def decorated(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Use the part as a decorator."""
    return part(lambda *_: key)(function)(*args)


def decorated_later(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Use it as a decorator of an asynchronous function."""
    return run(part(lambda *_: key)(as_async(function))(*args))


def answered(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Request the answer with its details."""
    bound = functools.partial(function, *args)
    return part.answer(key, bound, payload=[[*args], {}]).value


def answered_later(part: Idempotency, key: str, function: Callable[..., Any], *args: Any) -> Any:
    """Request the answer with its details, asynchronously."""
    bound = functools.partial(as_async(function), *args)
    return run(part.aanswer(key, bound, payload=[[*args], {}])).value


USES = (called, called_later, decorated, decorated_later, answered, answered_later)
EVERY_USE = pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
BOTH = pytest.mark.parametrize("use", [called, called_later], ids=["plain", "awaited"])


def keeper(clock: Clock | None = None, **options: Any) -> Idempotency:
    """Return an idempotency part whose waits return at once."""
    clock = clock or Clock()
    return Idempotency(clock=clock, sleeper=clock, async_sleeper=AsyncSleeper(clock), **options)
