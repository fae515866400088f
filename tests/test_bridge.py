"""Running flows without an event loop, and telling the modes of functions apart."""

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
from moorage.runtime.bridge import (
    SuspendedError,
    awaited,
    blocking,
    gathered_sync,
    guarded,
    guarded_async,
    is_async,
    lift,
    lift_incoming,
    lift_one,
    not_awaitable,
    quiet,
    refuse_awaitable,
    refuse_generator,
    run_now,
    settle_async,
    settle_sync,
    step_async,
    step_sync,
    with_signature_of,
)
from moorage.services.calling.call import Call, value_of
from moorage.services.calling.steps import Calling
from moorage.wiring.core_assembly import async_core
from moorage.wiring.ports import Ports


class Flows:
    """Some flows, and how often each came to its end."""

    def __init__(self) -> None:
        self.ended = 0

    async def add(self, first: int, *, second: int = 2) -> int:
        """Add two numbers."""
        return first + second

    async def fail(self, error: BaseException) -> None:
        """Fail."""
        raise error

    async def suspend(self) -> None:
        """Wait for something of one's own."""
        try:
            await asyncio.sleep(0)
        finally:
            self.ended += 1


class Promise:
    """Something to await that is no coroutine."""

    def __await__(self) -> Generator[None, None, str]:
        return "kept"
        yield


def test_runs_a_flow_to_its_end() -> None:
    """A flow that never suspends gives what it returns."""
    assert 5 == run_now(Flows().add(1, second=4))


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_what_a_flow_raises_comes_out(error: BaseException) -> None:
    """What a flow raises comes out as it is."""
    with pytest.raises(type(error)) as caught:
        run_now(Flows().fail(error))

    assert error is caught.value


def test_a_flow_that_suspends_is_a_bug() -> None:
    """A flow that waits where nothing waits is closed, and raises at once."""
    flows = Flows()

    with pytest.raises(SuspendedError, match="suspend"):
        run_now(flows.suspend())

    assert 1 == flows.ended


def test_lifts_plain_functions() -> None:
    """A plain function becomes one that is awaited and never suspends."""
    assert [1, 2] == run_now(lift(sorted)([2, 1], reverse=False))
    assert 3 == run_now(lift_one(len)("abc"))


class Body:
    """An answer whose body is still coming."""

    status = 200

    def __init__(self) -> None:
        self.headers = {"a": "b"}
        self.closed = False

    def read(self) -> bytes:
        """The next piece."""
        return b"piece"

    def close(self) -> None:
        """Read no more."""
        self.closed = True


def test_lifts_a_body() -> None:
    """The body of a lifted answer is awaited too; the rest is as it was."""
    body: Any = Body()

    lifted = run_now(lift_incoming(lambda: body)())
    lifted.close()

    assert (200, body.headers, b"piece") == (lifted.status, lifted.headers, run_now(lifted.read()))
    assert body.closed


def ours(error: Exception) -> VendorFailed:
    """One of our errors, made of another."""
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
def test_no_foreign_error_passes_a_guarded_verb(error: BaseException, raised: str | None) -> None:
    """What is not ours becomes ours; what is ours, and interruptions, pass as they are."""

    def fail() -> None:
        raise error

    for use in (guarded(fail, ours), lambda: run_now(guarded_async(lift(fail), ours)())):
        with pytest.raises((VendorFailed, KeyboardInterrupt)) as caught:
            use()
        assert (raised is None) == (caught.value is error)
        assert raised in {None, type(caught.value).__name__}


def test_guarded_verbs_give_what_the_verb_gives() -> None:
    """A verb that does not fail is as it was."""
    assert [1] == guarded(sorted, ours)([1])
    assert "later" == run_now(guarded_async(later, ours)())


def test_quiet_verbs_raise_nothing() -> None:
    """What is posted and fails is nobody's to hear of; an interruption is."""
    posted: list[object] = []
    failures = iter([OSError(), KeyboardInterrupt()])

    def post(command: object) -> None:
        posted.append(command)
        raise next(failures)

    command = Withdraw("key", 1, ttl=1)
    quiet(post)(command)
    with pytest.raises(KeyboardInterrupt):
        quiet(post)(command)

    assert [command, command] == posted


class PlainFace:
    """A face whose flows are run."""

    def __init__(self) -> None:
        self._flows = Flows()

    add = blocking(Flows.add)


class AwaitedFace:
    """A face whose flows are awaited."""

    def __init__(self) -> None:
        self._flows = Flows()

    add = awaited(Flows.add)


def test_faces_do_what_their_flows_do() -> None:
    """A face is called as its flow is, defaults and keywords included."""
    assert [3, 7] == [PlainFace().add(1), PlainFace().add(3, second=4)]
    assert 7 == run_now(AwaitedFace().add(3, second=4))
    with pytest.raises(TypeError):
        PlainFace().add(1, 2)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "face, flow",
    [
        (PlainFace.add, Flows.add),
        (AwaitedFace.add, Flows.add),
        (ConnectorManager.call, Calling.call),
        (AsyncConnectorManager.call, Calling.call),
    ],
)
def test_faces_look_as_their_flows_do(face: Callable[..., Any], flow: Callable[..., Any]) -> None:
    """Names, docstrings, parameters and defaults of a face are its flow's."""
    assert inspect.signature(flow) == inspect.signature(face)
    assert inspect.getdoc(flow) == inspect.getdoc(face)
    assert flow.__name__ == face.__name__
    assert not hasattr(face, "__wrapped__")


def test_faces_have_their_mode() -> None:
    """A blocking face is plain, an awaited one asynchronous."""
    for plain in (PlainFace.add, ConnectorManager.call):
        assert not inspect.iscoroutinefunction(plain)
    for later in (AwaitedFace.add, AsyncConnectorManager.call):
        assert inspect.iscoroutinefunction(later)


def test_a_bound_face_shows_no_self() -> None:
    """What is shown of a method is what its caller gives."""
    parameters = inspect.signature(PlainFace().add).parameters

    assert ["first", "second"] == [*parameters]
    assert inspect.Parameter.KEYWORD_ONLY is parameters["second"].kind
    assert 2 == parameters["second"].default


def test_a_signature_can_be_lent() -> None:
    """A face that was written by hand can look like its flow as well."""

    def face(*args: int) -> int:
        return len(args)

    assert inspect.signature(Flows.add) == inspect.signature(with_signature_of(Flows.add, face))


class Called:
    """An object that is called."""

    def __call__(self) -> None:
        """Do nothing."""


class CalledLater:
    """An object whose call is awaited."""

    async def __call__(self) -> None:
        """Do nothing."""


async def later() -> str:
    """Something that is awaited."""
    return "later"


def test_knows_what_is_awaited() -> None:
    """Functions, methods, partial functions and objects are told apart by their mode."""
    flows = Flows()
    plain: list[Any] = [
        len,
        sorted,
        Called,
        Called(),
        Called().__call__,
        functools.partial(len, ""),
        ours,
    ]
    asynchronous: list[Any] = [
        later,
        flows.add,
        Flows.add,
        CalledLater(),
        CalledLater().__call__,
        functools.partial(later),
        functools.partial(functools.partial(flows.add, 1), second=3),
    ]

    assert [False] * len(plain) == [is_async(function) for function in plain]
    assert [True] * len(asynchronous) == [is_async(function) for function in asynchronous]


def generate() -> Generator[int, None, None]:
    """Give one number."""
    yield 1


async def generate_later() -> Any:
    """Give one number, later."""
    yield 1


@pytest.mark.parametrize("function", [generate, generate_later, functools.partial(generate)])
def test_refuses_generators(function: Callable[..., Any]) -> None:
    """A function whose body runs later than its call is refused, by name."""
    for refuse in (refuse_generator, is_async):
        with pytest.raises(ConfigurationError, match="generate") as caught:
            refuse(function)
        assert "function" == caught.value.path


def test_refuses_awaitables_where_nothing_awaits() -> None:
    """An awaitable is refused, and closed if it would complain of never being run."""
    coroutine = later()

    for awaitable in (coroutine, Promise()):
        with pytest.raises(ConfigurationError, match="awaitable"):
            refuse_awaitable(awaitable)
        with pytest.raises(ConfigurationError, match="awaitable"):
            run_now(settle_sync(awaitable))
    assert inspect.CORO_CLOSED == inspect.getcoroutinestate(coroutine)

    values: list[Any] = [None, 0, Promise, Called()]
    for value in values:
        assert value is refuse_awaitable(value)
        assert value is run_now(settle_sync(value))


def test_settles_what_can_be_awaited() -> None:
    """Where all is awaited, a value may be an awaitable or not."""
    assert ["later", "kept", 3] == [
        run_now(settle_async(value)) for value in (later(), Promise(), 3)
    ]
    assert Promise is run_now(settle_async(Promise))


def under_way() -> Call:
    """A call, as far as a step needs one."""
    return Call(Plan(Service("v"), None, None), 0, 1)


def stepped(step: Any) -> Any:
    """What became of a step."""
    call = under_way()
    ending = run_now(step(call))
    assert call.acted
    return ending


def stepped_later(function: Callable[[], Any]) -> Any:
    """What became of a step that is awaited."""
    core = async_core(Ports()).core
    plan = Plan(Service("vat"), None, None)

    async def act() -> Any:
        return await step_async(function, core)(Call(plan, core.nanoseconds(), plan.span))

    return asyncio.run(act())


def test_steps_carry_what_became_of_them() -> None:
    """A step gives its value, or the error it ended with, whatever kind of error."""
    errors = [ValueError(), StopIteration(), StopAsyncIteration()]

    def give(value: object) -> object:
        if isinstance(value, Exception):
            raise value
        return value

    async def give_later(value: object) -> object:
        return give(value)

    for value in (3, None, ""):
        assert (value, None) == stepped(step_sync(functools.partial(give, value)))
        assert (value, None) == stepped_later(functools.partial(give_later, value))
    for error in errors:
        assert (None, error) == stepped(step_sync(functools.partial(give, error)))
    for error in errors[::2]:
        assert (None, error) == stepped_later(functools.partial(give_later, error))
    assert ("kept", None) == stepped_later(Promise)


def test_steps_of_the_wrong_mode_are_refused() -> None:
    """A step that ran in the wrong mode raises: it is no answer of what was called."""
    coroutine = later()

    with pytest.raises(ConfigurationError, match="awaitable"):
        stepped(step_sync(lambda: coroutine))
    with pytest.raises(ConfigurationError, match="nothing to await"):
        stepped_later(int)

    assert inspect.CORO_CLOSED == inspect.getcoroutinestate(coroutine)
    assert "function" == not_awaitable(int).path


def test_interruptions_are_not_carried() -> None:
    """An interruption goes through a step."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stepped(step_sync(interrupt))
    with pytest.raises(KeyboardInterrupt):
        stepped_later(lift(interrupt))


def test_an_ending_is_a_value_or_an_error() -> None:
    """What a step carried comes out where no coroutine can change it."""
    assert 3 == value_of((3, None))
    for error in (StopIteration(), ValueError()):
        with pytest.raises(type(error)) as caught:
            value_of((None, error))
        assert error is caught.value


class Noticed(Exception):
    """An error that can be watched."""


def test_an_error_does_not_hold_itself() -> None:
    """When nobody holds an error any more, it is gone, with no help of the collector."""

    def fail() -> None:
        raise Noticed

    def foreign(_: Exception) -> Any:
        return Noticed()

    uses: list[Callable[[], Any]] = [
        lambda: value_of(run_now(step_sync(fail)(under_way()))),  # type: ignore[arg-type]
        guarded(fail, foreign),
        lambda: run_now(guarded_async(lift(fail), foreign)()),
    ]
    gc.collect()
    gc.disable()
    try:
        for use in uses:
            seen = None
            try:
                use()
            except Noticed as error:
                seen = weakref.ref(error)
            assert seen
            assert seen() is None
    finally:
        gc.enable()


def test_gathers_flows_in_threads() -> None:
    """The steps that a plain Gather gets are plain functions; its options are passed on."""
    fields: dict[str, object] = {}

    def every(steps: list[Callable[[], object]], /, **options: object) -> list[object]:
        fields.update(options)
        return [step() for step in steps]

    def step(number: int) -> Callable[[], Coroutine[Any, Any, int]]:
        return functools.partial(Flows().add, number)

    assert [3, 4] == run_now(gathered_sync(every)([step(1), step(2)], at_once=7))
    assert {"at_once": 7} == fields
