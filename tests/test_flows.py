"""Running coroutines without an event loop, and telling sync and async functions apart."""

import asyncio
import functools
import gc
import inspect
import weakref
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import pytest

from moorage import (
    AsyncConnectorManager,
    ConfigurationError,
    ConnectorManager,
    Service,
    VendorFailed,
)
from moorage.domain.idempotency.claims import Withdraw
from moorage.domain.service.plan import Plan
from moorage.runtime.flows import (
    SuspendedError,
    as_async,
    as_step,
    async_method,
    blocking_method,
    gathered_sync,
    guarded_async,
    guarded_port,
    incoming_as_async,
    is_async,
    not_awaitable_error,
    one_argument_as_async,
    refuse_awaitable,
    refuse_generator,
    run_now,
    settle_async,
    settle_sync,
    step_async,
    step_sync,
    with_signature_of,
    without_errors,
)
from moorage.services.calling.attempt_result import AttemptResult
from moorage.services.calling.call import Call, value_of
from moorage.services.calling.steps import CallOperations
from moorage.wiring.core_assembly import async_core
from moorage.wiring.ports import Ports


class Flows:
    """Coroutine methods that count how often they complete."""

    def __init__(self) -> None:
        self.ended = 0

    async def add(self, first: int, *, second: int = 2) -> int:
        """Add two numbers."""
        return first + second

    async def fail(self, error: BaseException) -> None:
        """Raise the given error."""
        raise error

    async def suspend(self) -> None:
        """Suspend in an awaitable of a class that the tested code does not handle."""
        try:
            await asyncio.sleep(0)
        finally:
            self.ended += 1


class CustomAwaitable:
    """An awaitable that is not a coroutine."""

    def __await__(self) -> Generator[None, None, str]:
        return "kept"
        yield


def test_coroutine_that_never_suspends_runs_to_its_end() -> None:
    """A coroutine that never suspends is run to its end, and its value is returned."""
    assert 5 == run_now(Flows().add(1, second=4))


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_error_of_a_coroutine_is_raised(error: BaseException) -> None:
    """An error of a coroutine is raised unchanged."""
    with pytest.raises(type(error)) as excinfo:
        run_now(Flows().fail(error))

    assert error is excinfo.value


def test_coroutine_that_suspends_in_sync_code_is_an_error() -> None:
    """A coroutine that suspends in synchronous code is closed, and an error is raised."""
    flows = Flows()

    with pytest.raises(SuspendedError, match="suspend"):
        run_now(flows.suspend())

    assert 1 == flows.ended


def test_sync_function_becomes_asynchronous() -> None:
    """A synchronous function is wrapped as an asynchronous one that never suspends."""
    assert [1, 2] == run_now(as_async(sorted)([2, 1], reverse=False))
    assert 3 == run_now(one_argument_as_async(len)("abc"))


class Body:
    """A response body that arrives piece by piece."""

    status = 200

    def __init__(self) -> None:
        self.headers = {"a": "b"}
        self.closed = False

    def read(self) -> bytes:
        """Return the next piece."""
        return b"piece"

    def close(self) -> None:
        """Stop reading."""
        self.closed = True


def test_body_becomes_asynchronous() -> None:
    """A synchronous response is converted to one with an asynchronous body and the same fields."""
    body: Any = Body()

    lifted = run_now(incoming_as_async(lambda: body)())
    lifted.close()

    assert (200, body.headers, b"piece") == (lifted.status, lifted.headers, run_now(lifted.read()))
    assert body.closed


def moorage_error(error: Exception) -> VendorFailed:
    """Return the moorage error that replaces another library's exception."""
    return VendorFailed(f"was {type(error).__name__}")


@pytest.mark.parametrize(
    "error, raised",
    [
        (OSError(), "VendorFailed"),
        (StopAsyncIteration(), "VendorFailed"),
        (VendorFailed("?"), None),
        (KeyboardInterrupt(), None),
    ],
    ids=repr,
)
def test_guarded_method_converts_foreign_errors(error: BaseException, raised: str | None) -> None:
    """A guarded method converts other libraries' errors, but not moorage's own or interruptions."""

    def fail() -> None:
        raise error

    for use in (
        guarded_port(fail, moorage_error),
        lambda: run_now(guarded_async(as_async(fail), moorage_error)()),
    ):
        with pytest.raises((VendorFailed, KeyboardInterrupt)) as excinfo:
            use()
        assert (raised is None) == (excinfo.value is error)
        assert raised in {None, type(excinfo.value).__name__}


def test_guarded_method_returns_its_value() -> None:
    """A guarded method that does not fail returns its value."""
    assert [1] == guarded_port(sorted, moorage_error)([1])
    assert "later" == run_now(guarded_async(async_example, moorage_error)())


def test_post_without_errors_raises_only_interruptions() -> None:
    """A `post` wrapped by `without_errors` suppresses errors, but raises interruptions."""
    posted_commands: list[object] = []
    failures = iter([OSError(), KeyboardInterrupt()])

    def post(command: object) -> None:
        posted_commands.append(command)
        raise next(failures)

    command = Withdraw("key", 1, ttl=1)
    without_errors(post)(command)
    with pytest.raises(KeyboardInterrupt):
        without_errors(post)(command)

    assert [command, command] == posted_commands


class SyncMethods:
    """A class whose methods run coroutines synchronously."""

    def __init__(self) -> None:
        self._flows = Flows()

    add = blocking_method(Flows.add)


class AsyncMethods:
    """A class whose methods await coroutines."""

    def __init__(self) -> None:
        self._flows = Flows()

    add = async_method(Flows.add)


def test_generated_methods_run_their_coroutines() -> None:
    """A generated method accepts its coroutine's arguments, with defaults and keywords."""
    assert [3, 7] == [SyncMethods().add(1), SyncMethods().add(3, second=4)]
    assert 7 == run_now(AsyncMethods().add(3, second=4))
    with pytest.raises(TypeError):
        SyncMethods().add(1, 2)  # type: ignore[call-arg]  # refused


@pytest.mark.parametrize(
    "method, flow",
    [
        (SyncMethods.add, Flows.add),
        (AsyncMethods.add, Flows.add),
        (ConnectorManager.call, CallOperations.call),
        (AsyncConnectorManager.call, CallOperations.call),
    ],
)
def test_generated_methods_have_the_signature_of_their_coroutine(
    method: Callable[..., Any], flow: Callable[..., Any]
) -> None:
    """A generated method has its coroutine's name, docstring, parameters and defaults."""
    assert inspect.signature(flow) == inspect.signature(method)
    assert inspect.getdoc(flow) == inspect.getdoc(method)
    assert flow.__name__ == method.__name__
    assert not hasattr(method, "__wrapped__")


def test_methods_have_their_mode() -> None:
    """A blocking method is synchronous, and an asynchronous method is a coroutine function."""
    for sync_function in (SyncMethods.add, ConnectorManager.call):
        assert not inspect.iscoroutinefunction(sync_function)
    for async_function in (AsyncMethods.add, AsyncConnectorManager.call):
        assert inspect.iscoroutinefunction(async_function)


def test_bound_method_shows_no_self() -> None:
    """The signature of a bound generated method has no `self`."""
    parameters = inspect.signature(SyncMethods().add).parameters

    assert ["first", "second"] == [*parameters]
    assert inspect.Parameter.KEYWORD_ONLY is parameters["second"].kind
    assert 2 == parameters["second"].default


def test_signature_can_be_copied() -> None:
    """A hand-written method can copy the signature of its coroutine."""

    def answer_of(*args: int) -> int:
        return len(args)

    assert inspect.signature(Flows.add) == inspect.signature(
        with_signature_of(Flows.add, answer_of)
    )


class CallableObject:
    """An object with a synchronous `__call__`."""

    def __call__(self) -> None:
        """Do nothing."""


class AsyncCallableObject:
    """An object with an asynchronous `__call__`."""

    async def __call__(self) -> None:
        """Do nothing."""


async def async_example() -> str:
    """An asynchronous function, as an example."""
    return "later"


def test_mode_of_callables() -> None:
    """Functions, methods, partial functions and objects are each recognised as sync or async."""
    flows = Flows()
    sync_callables: list[Any] = [
        len,
        sorted,
        CallableObject,
        CallableObject(),
        CallableObject().__call__,
        functools.partial(len, ""),
        moorage_error,
    ]
    asynchronous: list[Any] = [
        async_example,
        flows.add,
        Flows.add,
        AsyncCallableObject(),
        AsyncCallableObject().__call__,
        functools.partial(async_example),
        functools.partial(functools.partial(flows.add, 1), second=3),
    ]

    assert [False] * len(sync_callables) == [is_async(function) for function in sync_callables]
    assert [True] * len(asynchronous) == [is_async(function) for function in asynchronous]


def generate() -> Generator[int, None, None]:
    """Yield one number."""
    yield 1


async def generate_async() -> Any:
    """Yield one number asynchronously."""
    yield 1


@pytest.mark.parametrize("function", [generate, generate_async, functools.partial(generate)])
def test_generators_are_refused(function: Callable[..., Any]) -> None:
    """A generator function is refused, because its body would run only after the call."""
    for refuse in (refuse_generator, is_async):
        with pytest.raises(ConfigurationError, match="generate") as excinfo:
            refuse(function)
        assert "function" == excinfo.value.path


def test_awaitable_in_sync_code_is_refused() -> None:
    """If synchronous code gets an awaitable, an error is raised, and a coroutine is closed."""
    coroutine = async_example()

    for awaitable in (coroutine, CustomAwaitable()):
        with pytest.raises(ConfigurationError, match="awaitable"):
            refuse_awaitable(awaitable)
        with pytest.raises(ConfigurationError, match="awaitable"):
            run_now(settle_sync(awaitable))
    assert inspect.CORO_CLOSED == inspect.getcoroutinestate(coroutine)

    values: list[Any] = [None, 0, CustomAwaitable, CallableObject()]
    for value in values:
        assert value is refuse_awaitable(value)
        assert value is run_now(settle_sync(value))


def test_result_may_be_awaitable() -> None:
    """In asynchronous code a function may return an awaitable or a plain value."""
    assert ["later", "kept", 3] == [
        run_now(settle_async(value)) for value in (async_example(), CustomAwaitable(), 3)
    ]
    assert CustomAwaitable is run_now(settle_async(CustomAwaitable))


def call_in_progress() -> Call:
    """Return a call in progress, which a step takes as its argument."""
    return Call(Plan(Service("v"), None, None), 0, 1)


def step_outcome(step: Any) -> Any:
    """Run a synchronous step, and return its outcome."""
    call = call_in_progress()
    ending = run_now(step(call))
    assert call.may_have_acted
    return ending


def async_step_outcome(function: Callable[[], Any]) -> Any:
    """Run a function as an asynchronous step, and return its outcome."""
    core = async_core(Ports()).core
    plan = Plan(Service("vat"), None, None)

    async def act() -> Any:
        return await step_async(function, core)(Call(plan, core.nanoseconds(), plan.span))

    return asyncio.run(act())


def test_step_returns_its_outcome() -> None:
    """A step returns the value or error of its function as an outcome."""
    errors = [ValueError(), StopIteration(), StopAsyncIteration()]

    def return_or_raise(value: object) -> object:
        if isinstance(value, Exception):
            raise value
        return value

    async def return_or_raise_async(value: object) -> object:
        return return_or_raise(value)

    for value in (3, None, ""):
        assert AttemptResult(value) == step_outcome(
            step_sync(functools.partial(return_or_raise, value))
        )
        assert AttemptResult(value) == async_step_outcome(
            functools.partial(return_or_raise_async, value)
        )
    for error in errors:
        assert AttemptResult(error=error) == step_outcome(
            step_sync(functools.partial(return_or_raise, error))
        )
    for error in errors[::2]:
        assert AttemptResult(error=error) == async_step_outcome(
            functools.partial(return_or_raise_async, error)
        )
    assert AttemptResult("kept") == async_step_outcome(CustomAwaitable)


def test_steps_of_the_wrong_mode_are_refused() -> None:
    """A step with a function of the wrong mode raises an error instead of returning an outcome."""
    coroutine = async_example()

    with pytest.raises(ConfigurationError, match="awaitable"):
        step_outcome(step_sync(lambda: coroutine))
    with pytest.raises(ConfigurationError, match="did not return an awaitable"):
        async_step_outcome(int)

    assert inspect.CORO_CLOSED == inspect.getcoroutinestate(coroutine)
    assert "function" == not_awaitable_error(int).path


def test_step_raises_interruptions() -> None:
    """A step raises an interruption, instead of returning it as an outcome."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step_outcome(step_sync(interrupt))
    with pytest.raises(KeyboardInterrupt):
        async_step_outcome(as_async(interrupt))


def test_outcome_is_unwrapped() -> None:
    """Unwrapping an outcome returns its value or raises its error unchanged."""
    assert 3 == value_of((3, None))
    for error in (StopIteration(), ValueError()):
        with pytest.raises(type(error)) as excinfo:
            value_of((None, error))
        assert error is excinfo.value


class WatchableError(Exception):
    """An error that supports weak references."""


def test_error_is_in_no_reference_cycle() -> None:
    """An error is freed as soon as nothing refers to it, since it is in no reference cycle."""

    def fail() -> None:
        raise WatchableError

    def convert_error(_: Exception) -> Any:
        return WatchableError()

    uses: list[Callable[[], Any]] = [
        lambda: value_of(run_now(step_sync(fail)(call_in_progress()))[:2]),  # type: ignore[arg-type]  # any result
        guarded_port(fail, convert_error),
        lambda: run_now(guarded_async(as_async(fail), convert_error)()),
    ]
    gc.collect()
    gc.disable()
    try:
        for use in uses:
            error_reference = None
            try:
                use()
            except WatchableError as error:
                error_reference = weakref.ref(error)
            assert error_reference
            assert error_reference() is None
    finally:
        gc.enable()


def test_gather_port_gets_synchronous_steps() -> None:
    """A synchronous Gather port gets synchronous steps and all options."""
    fields: dict[str, object] = {}

    def run_all(steps: list[Callable[[], object]], /, **options: object) -> list[object]:
        fields.update(options)
        return [step() for step in steps]

    def step(number: int) -> Callable[[], Coroutine[Any, Any, int]]:
        return functools.partial(Flows().add, number)

    assert [3, 4] == run_now(gathered_sync(run_all)([step(1), step(2)], at_once=7))
    assert {"at_once": 7} == fields


def test_gathered_steps_of_marked_functions_are_unchanged() -> None:
    """If a step's function needs no coroutine, the step is run unchanged."""
    step = functools.partial(as_step(functools.partial(divmod, 7)), 2)

    def run_all(steps: list[Any]) -> list[object]:
        assert [step] == steps
        return [steps[0]()]

    assert [(3, 1)] == run_now(gathered_sync(run_all)([step]))


def test_gathered_step_calls_wrapped_function_directly() -> None:
    """A step whose function was wrapped as asynchronous calls the function without a coroutine."""

    def add(first: int, second: int) -> int:
        return first + second

    def run_all(steps: list[Any]) -> list[int]:
        return [step.func(*step.args, **step.keywords) for step in steps if step.func is add]

    step = functools.partial(as_async(add), 1, second=2)

    assert [3] == run_now(gathered_sync(run_all)([step]))
