"""Guards of all parts, as calls, decorators and `with` blocks, synchronous and asynchronous."""

# ruff: noqa: D102 - what is called says enough

import functools
import gc
import inspect
import json
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage import (
    Bulkhead,
    CircuitBreaker,
    ConfigurationError,
    RateLimitConfig,
    RateLimiter,
    RetryHandler,
)
from tests.parts.ways_of_use import (
    SYNC,
    USES,
    FunctionFailure,
    as_async,
    call_decorated,
    call_part,
    run,
)

MAKERS: list[Callable[[], Any]] = [
    CircuitBreaker,
    lambda: RateLimiter(RateLimitConfig.per_second(1_000_000)),
    lambda: Bulkhead(3),
]
NAMES = ["breaker", "limiter", "bulkhead"]
GUARDS = pytest.mark.parametrize("make", MAKERS, ids=NAMES)
EVERY_USE = pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)


class CustomAwaitable:
    """An awaitable that is not a coroutine."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class AnyAttribute:
    """An object that has every attribute, like a proxy of a remote object."""

    def __getattr__(self, name: str) -> str:
        return name


@GUARDS
@EVERY_USE
def test_returns_the_functions_value(make: Callable[[], Any], use: Callable[..., Any]) -> None:
    """However a guard is used, it returns the function's value, even None or a falsy value."""
    part = make()

    values: list[Any] = [42, None, 0, "", [], print, CustomAwaitable, AnyAttribute()]
    for value in values:
        assert value is use(part, functools.partial(lambda argument: argument, value))


ERRORS = (FunctionFailure, StopAsyncIteration, GeneratorExit, KeyboardInterrupt, SystemExit)


@GUARDS
@pytest.mark.parametrize(
    "use, error",
    [
        *((use, error) for use in USES for error in ERRORS),
        # No coroutine can raise this exception.
        *((use, StopIteration) for use in SYNC),
    ],
    ids=lambda value: value.__name__,
)
def test_exceptions_pass_unchanged(
    make: Callable[[], Any], use: Callable[..., Any], error: type[BaseException]
) -> None:
    """A guard raises the function's exception as the same object."""
    raised_error = error("why")

    def raise_error() -> None:
        raise raised_error

    with pytest.raises(error) as excinfo:
        use(make(), raise_error)

    assert raised_error is excinfo.value
    assert excinfo.value.__context__ is None


@GUARDS
def test_arguments_reach_the_function(make: Callable[[], Any]) -> None:
    """All arguments reach the guarded function, even if named like the guard's own."""
    part = make()

    def return_arguments(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        return args, kwargs

    expected = ((1, 2), {"self": 3, "function": 4, "ticket": 5})
    options: Any = {"self": 3, "function": 4, "ticket": 5}

    assert expected == part.call(return_arguments, 1, 2, **options)
    assert expected == part(return_arguments)(1, 2, **options)
    assert expected == run(part.call(as_async(return_arguments), 1, 2, **options))
    assert expected == run(part(as_async(return_arguments))(1, 2, **options))


class Shop:
    """A class with decorated methods."""

    def sell(self, *, amount: int) -> "tuple[Shop, int]":
        """Return the object and the amount."""
        return self, amount

    async def deliver(self, *, amount: int) -> "tuple[Shop, int]":
        """Return the object and the amount, asynchronously."""
        return self, amount


@GUARDS
def test_guarded_function_keeps_its_metadata_and_mode(make: Callable[[], Any]) -> None:
    """A guarded function keeps its name, docstring and signature, and stays sync or async."""
    part = make()

    for function in (Shop.sell, Shop.deliver):
        guarded_function = part(function)
        for trait in ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__"):
            assert getattr(function, trait) == getattr(guarded_function, trait)
        assert inspect.signature(function) == inspect.signature(guarded_function)
        mode = inspect.iscoroutinefunction
        assert mode(function) == mode(guarded_function)

    class GuardedShop(Shop):
        sell = part(Shop.sell)
        deliver = part(Shop.deliver)

    shop = GuardedShop()
    assert (shop, 3) == shop.sell(amount=3)
    assert (shop, 4) == run(shop.deliver(amount=4))


class Callables:
    """An object that can be called."""

    def __call__(self) -> str:
        return "called"


class Awaitables:
    """An object whose call returns an awaitable."""

    async def __call__(self) -> str:
        return "async"


@GUARDS
def test_anything_that_can_be_called_is_guarded(make: Callable[[], Any]) -> None:
    """A guard calls partial functions, methods, classes and objects, sync or async."""
    part, shop = make(), Shop()
    plain_functions: list[Any] = [
        Callables(),
        functools.partial("called".format),
        "called".lower,
        Callables().__call__,
    ]
    async_functions: list[Any] = [
        Awaitables(),
        functools.partial(as_async(lambda word: word), "async"),
        Awaitables().__call__,
        functools.partial(functools.partial(Awaitables().__call__)),
    ]

    for function in plain_functions:
        assert "called" == call_part(part, function) == call_decorated(part, function)
    for function in async_functions:
        assert "async" == run(part.call(function)) == run(part(function)())
    assert isinstance(part.call(Shop), Shop)
    assert (shop, 1) == part.call(shop.sell, amount=1)
    assert (shop, 1) == run(part.call(shop.deliver, amount=1))


def generate() -> Iterator[int]:
    """Yield one number."""
    yield 1


async def generate_later() -> AsyncIterator[int]:
    """Yield one number asynchronously."""
    yield 1


@GUARDS
@pytest.mark.parametrize("function", [generate, generate_later, functools.partial(generate)])
def test_generators_are_refused(make: Callable[[], Any], function: Callable[..., Any]) -> None:
    """A guard refuses a generator function, since its body would run only after the guard."""
    part = make()

    for use in (part, part.call):
        with pytest.raises(ConfigurationError, match="generate") as excinfo:
            use(function)
        assert "function" == excinfo.value.path


@GUARDS
@pytest.mark.parametrize("use", SYNC[:2], ids=lambda use: use.__name__)
def test_coroutine_of_a_synchronous_function_is_refused(
    make: Callable[[], Any], use: Callable[..., Any]
) -> None:
    """If a synchronous function returns a coroutine, the guard refuses and closes it."""
    part = make()
    coroutine = as_async(int)()

    for awaitable in (coroutine, CustomAwaitable()):
        with pytest.raises(ConfigurationError, match="awaitable") as excinfo:
            use(part, lambda awaitable=awaitable: awaitable)
        assert "function" == excinfo.value.path

    assert inspect.CORO_CLOSED == inspect.getcoroutinestate(coroutine)


@GUARDS
@pytest.mark.parametrize("use", SYNC[:2], ids=["called", "decorated"])
def test_asynchronous_function_without_awaitable_is_refused(
    make: Callable[[], Any], use: Callable[..., Any]
) -> None:
    """A function marked as asynchronous that returns no awaitable is refused."""

    class FakeCoroutineFunction:
        def __call__(self) -> int:
            return 1

    liar: Any = FakeCoroutineFunction()
    liar.__call__ = as_async(int)

    with pytest.raises(ConfigurationError, match="did not return an awaitable"):
        run(use(make(), liar))


@GUARDS
def test_guards_nest_and_are_shared(make: Callable[[], Any]) -> None:
    """A guard may be entered again inside its own block; the two entries are independent."""
    part = make()

    with part.guard(), part.guard():
        assert 1 == part.call(int, "1")

    async def enter() -> int:
        async with part.guard(), part.guard():
            return await part.call(as_async(int), "2")  # type: ignore[no-any-return]  # the part is of any kind

    assert 2 == run(enter())


@GUARDS
def test_guard_cannot_be_entered_twice(make: Callable[[], Any]) -> None:
    """Using one entry of a guard twice raises an error."""
    entry = make().guard()
    with entry:
        pass

    async def enter() -> None:
        async with entry:
            pass

    for use in (entry.__enter__, lambda: run(enter())):
        with pytest.raises(ConfigurationError, match="was already used"):
            use()


@pytest.mark.untraced
@EVERY_USE
@pytest.mark.parametrize("make", [*MAKERS, RetryHandler], ids=[*NAMES, "retry"])
def test_guarded_function_error_is_freed_without_garbage_collector(
    make: Callable[[], Any], use: Callable[..., Any]
) -> None:
    """A guarded function's error is freed without the garbage collector."""
    part = make()
    if not hasattr(part, "guard") and use not in {call_part, call_decorated}:
        use = call_part

    class WatchableTypeError(TypeError):
        """An error that is not retried, and to which a weak reference can be made."""

    def raise_error() -> None:
        raise WatchableTypeError

    gc.collect()
    gc.disable()
    try:
        error_reference = None
        try:
            use(part, raise_error)
        except WatchableTypeError as error:
            error_reference = weakref.ref(error)
        assert error_reference
        assert error_reference() is None
    finally:
        gc.enable()


def test_garbage_collected_entry_releases_its_slots() -> None:
    """If an entered guard is garbage-collected, it releases its slots and tokens."""
    bulkhead = Bulkhead(1)

    async def enter() -> None:
        await bulkhead.guard().__aenter__()
        assert 3 == await bulkhead.call(as_async(int), 3)

    bulkhead.guard().__enter__()

    assert 2 == bulkhead.call(int, "2")
    run(enter())


def test_closed_generator_releases_its_slots() -> None:
    """If a generator is closed inside a guard's block, the guard's slots are released."""
    bulkhead = Bulkhead(1)

    def generate_inside() -> Generator[int, None, None]:
        with bulkhead.guard():
            yield 1

    visit = generate_inside()
    next(visit)
    visit.close()

    assert 2 == bulkhead.call(int, "2")


@pytest.mark.parametrize("kind", ["probes", "places", "waits", "retries"])
def test_many_interruptions_leave_no_leases_or_slots(kind: str) -> None:
    """After many real signals, all leases, slots and reservations are free again."""
    program = subprocess.run(
        [sys.executable, "-m", "tests.parts.signal_storm", kind],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
        timeout=150,
    )
    interruption_count, remaining_count = json.loads(program.stdout)

    assert interruption_count > 50
    assert 0 == remaining_count
