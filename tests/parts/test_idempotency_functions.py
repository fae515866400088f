"""The functions that the idempotency part accepts, and its options."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from moorage import ConfigurationError, Idempotency, IdempotencyConflict, OutcomeUnknown
from tests.parts.idempotent_shop import Shop, keeper
from tests.parts.ways_of_use import as_async, run


class CashRegister:
    """A cash register whose methods are decorated by the idempotency part."""

    part = keeper()

    def __init__(self, number: int) -> None:
        self.number = number
        self.taken = 0

    @part(
        lambda till, reference, amount: f"{till.number}/{reference}", payload=lambda *call: call[1:]
    )
    def take(self, reference: str, amount: int) -> int:
        """Add this amount to the total."""
        self.taken += amount
        return self.taken

    @part(key=lambda till, reference: f"{till.number}/{reference}", payload=lambda *call: call[1:])
    async def give(self, reference: str) -> str:
        """Set the total to zero and return the reference."""
        self.taken = 0
        return reference


def test_payload_of_a_decorated_method_omits_its_object() -> None:
    """A decorated method's payload consists of its arguments, and its signature is kept."""
    register, other_till = CashRegister(1), CashRegister(2)

    assert [5, 5] == [register.take("a", 5), register.take("a", 5)]
    assert 5 == other_till.take("a", 5)
    with pytest.raises(IdempotencyConflict):
        register.take("a", 6)
    assert ["b", "b"] == [run(register.give("b")), run(register.give("b"))]
    assert "take" == CashRegister.take.__name__
    assert "Add this amount to the total." == CashRegister.take.__doc__
    assert ["self", "reference", "amount"] == [*inspect.signature(CashRegister.take).parameters]
    assert [False, True] == [
        inspect.iscoroutinefunction(f) for f in (CashRegister.take, CashRegister.give)
    ]


def test_arguments_named_like_options_of_the_part_reach_the_function() -> None:
    """All arguments reach the function and the payload, even if named like the part's own."""
    part = keeper()

    def return_arguments(*args: Any, **kwargs: Any) -> Any:
        return [args, kwargs]

    options: Any = {"self": 3, "key": 4, "function": 5, "payload": 6}
    expected = [(1, 2), options]

    assert expected == part.call("a", return_arguments, 1, 2, **options)
    assert expected == part(lambda *_, **__: "b")(return_arguments)(1, 2, **options)
    assert expected == run(part.call("c", as_async(return_arguments), 1, 2, **options))
    assert expected == run(part(lambda *_, **__: "d")(as_async(return_arguments))(1, 2, **options))
    with pytest.raises(IdempotencyConflict):
        part.call("a", return_arguments, 1, 2, **options | {"self": 0})


def generate() -> Iterator[int]:
    """Yield one number."""
    yield 1


async def generate_later() -> AsyncIterator[int]:
    """Yield one number asynchronously."""
    yield 1


@pytest.mark.parametrize("function", [generate, generate_later])
def test_generators_are_refused(function: Callable[..., Any]) -> None:
    """A generator function is refused, because its body would run unprotected."""
    part = keeper()

    uses: list[Any] = [part(lambda: "k"), lambda function: part.call("k", function)]
    for use in uses:
        with pytest.raises(ConfigurationError, match="generate"):
            use(function)


def test_coroutine_of_a_synchronous_function_is_refused_and_closed() -> None:
    """If a synchronous function returns a coroutine, it is refused and closed."""
    part = keeper()
    coroutine = as_async(int)()

    with pytest.raises(ConfigurationError, match="awaitable"):
        _ = part.call("k", lambda: coroutine)

    assert inspect.CORO_CLOSED == inspect.getcoroutinestate(coroutine)


def test_synchronous_function_in_asynchronous_use_leaves_the_key_unknown() -> None:
    """If a function is refused as sync or async only after it ran, the outcome is unknown."""
    part, shop = keeper(), Shop()
    sync_function: Any = shop.sell

    with pytest.raises(ConfigurationError, match="did not return an awaitable"):
        run(part.aanswer("k", sync_function, payload=1))
    with pytest.raises(OutcomeUnknown):
        part.answer("k", shop.sell, payload=1)

    assert 1 == len(shop.effects)


@pytest.mark.parametrize("wrong", [5, None, "OSError", int, KeyboardInterrupt, (OSError, 5), [int]])
def test_invalid_nothing_done_is_refused(wrong: object) -> None:
    """The option `nothing_done` is refused if it is not an exception type."""
    options: Any = {"nothing_done": wrong}
    with pytest.raises(ConfigurationError) as excinfo:
        Idempotency(**options)

    assert "nothing_done" == excinfo.value.path
    assert "exception type" in excinfo.value.remedy


async def translate(_: object) -> object:
    """An asynchronous codec, which must be refused."""


@pytest.mark.parametrize("field", ["encode", "decode"])
@pytest.mark.parametrize("wrong", [5, None, translate])
def test_invalid_codecs_are_refused(field: str, wrong: object) -> None:
    """A codec that is not a synchronous function is refused, and the error names the option."""
    options: Any = {field: wrong}
    with pytest.raises(ConfigurationError) as excinfo:
        Idempotency(**options)

    assert field == excinfo.value.path
