"""The sync and async manager, with real threads, tasks and clocks."""

# ruff: noqa: SLF001 - values of any kind, and a look inside

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from functools import partial
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AsyncConnectorManager,
    BulkheadConfig,
    CircuitBreakerConfig,
    ConfigurationError,
    ConnectorError,
    ConnectorManager,
    Hub,
    InvalidData,
    RateLimitConfig,
    Request,
    Response,
    RetryPolicy,
    Service,
)
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from tests.support.modes import ASYNC, SYNC, Harness, sync_and_async
from tests.support.virtual_tasks import SyncPort

if TYPE_CHECKING:
    from collections.abc import Callable

GET = Request.get("/rates")
SERVICE = Service(
    "vat",
    base_url="https://vat.example",
    circuit=CircuitBreakerConfig(),
    limits=RateLimitConfig(1000),
    bulkhead=BulkheadConfig(50),
    retry=RetryPolicy(2, 0),
)


def clients() -> tuple[Any, Any]:
    """Return a fake vendor for sync mode and one for async mode, each used as an HTTP client."""
    return SyncPort(Harness(SYNC).vendor), Harness(ASYNC).vendor


def test_sync_manager_with_defaults() -> None:
    """With default settings, a synchronous manager makes calls, batches and streams."""
    http, _ = clients()
    with ConnectorManager([SERVICE], http=http) as manager:
        assert 200 == manager.call("vat", GET).status
        assert [200, 200] == [r.unwrap().status for r in manager.call_many("vat", [GET, GET])]
        with manager.stream("vat", GET) as stream:
            assert [] == list(stream)
        assert 7 == manager.run("vat", lambda: 7)


def test_async_manager_with_defaults() -> None:
    """With default settings, an asynchronous manager makes calls, batches and streams."""

    async def run_scenario() -> None:
        _, http = clients()

        async def return_seven() -> int:
            return 7

        async with AsyncConnectorManager([SERVICE], http=http) as manager:
            assert 200 == (await manager.call("vat", GET)).status
            results = await manager.call_many("vat", [GET, GET])
            assert [200, 200] == [result.unwrap().status for result in results]
            async with await manager.stream("vat", GET) as stream:
                assert [] == [piece async for piece in stream]
            assert 7 == await manager.run("vat", return_seven)

    asyncio.run(run_scenario())


class ClosingClient:
    """A client that counts how often it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        """Count the call."""
        self.closed += 1


class AsyncClosingClient(ClosingClient):
    """An asynchronous client that counts how often it was closed."""

    async def close(self) -> None:  # type: ignore[override]  # of the other mode
        """Count the call."""
        self.closed += 1


def test_manager_closes_http_client_that_it_created() -> None:
    """A manager closes the HTTP client that it created, and creates none that is never used."""
    manager = ConnectorManager([SERVICE])
    manager.close()
    custom_client = manager._wired.http._adapter = ClosingClient()
    manager.close()
    assert 1 == custom_client.closed

    async def run_scenario() -> None:
        manager = AsyncConnectorManager([SERVICE])
        await manager.close()
        custom = manager._wired.http._adapter = AsyncClosingClient()
        await manager.close()
        assert 1 == custom.closed

    asyncio.run(run_scenario())


def test_hosts_client_is_not_closed() -> None:
    """A manager does not close an HTTP client that the host passed."""
    http, async_client = clients()
    http.port.close = async_client.close = None

    ConnectorManager([SERVICE], http=http).close()
    asyncio.run(AsyncConnectorManager([SERVICE], http=async_client).close())


def in_threads(work: Callable[[], Any], times: int) -> None:
    """Run a function in many threads at the same time."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == errors


def test_fifty_functions_run_at_once() -> None:
    """Fifty threads run functions of one service with every protection at once."""
    manager = ConnectorManager([SERVICE])
    barrier = Barrier(50)

    in_threads(lambda: manager.run("vat", lambda: barrier.wait(30)), 50)


def test_threads_and_tasks_share_a_store() -> None:
    """If many threads and tasks use one key at once, there is one effect and one response."""
    store = MemoryStorage()
    effects: list[int] = []
    plain_manager = ConnectorManager([SERVICE], state=store)
    answers: list[int] = []

    def perform_effect() -> int:
        effects.append(1)
        return len(effects)

    in_threads(
        lambda: answers.append(plain_manager.run("vat", perform_effect, idempotency_key="k")), 16
    )

    async def run_scenario() -> None:
        later_manager = AsyncConnectorManager([SERVICE], state=AsyncMemoryStorage(store))

        async def act_later() -> int:
            return perform_effect()

        flows = (later_manager.run("vat", act_later, idempotency_key="k") for _ in range(16))
        answers.extend(await asyncio.gather(*flows))

    asyncio.run(run_scenario())

    assert ([1], [1] * 32) == (effects, answers)


def test_stream_is_an_iterator_of_its_mode() -> None:
    """A synchronous stream is an iterator, and an asynchronous one an async iterator."""
    http, async_client = clients()
    http.port.otherwise = async_client.otherwise = Response(200, body=b"all")

    assert [b"all"] == list(ConnectorManager([SERVICE], http=http).stream("vat", GET))

    async def run_scenario() -> list[bytes]:
        manager = AsyncConnectorManager([SERVICE], http=async_client)
        return [piece async for piece in await manager.stream("vat", GET)]

    assert [b"all"] == asyncio.run(run_scenario())


@pytest.mark.parametrize("manager_class", [ConnectorManager, AsyncConnectorManager])
def test_services_and_observers_may_be_passed_as_any_iterable(manager_class: Any) -> None:
    """Services and observers may be passed as any iterable."""
    manager_class(iter([SERVICE]), observers=iter([print]))


def generator_example() -> Any:
    """A generator function, as an example."""
    yield 1


async def generating_later() -> Any:
    """An asynchronous generator function, as an example."""
    yield 1


@pytest.mark.parametrize("timeout", [None, 5.0], ids=["easy", "flow"])
@pytest.mark.parametrize("wrong", [5, None, generator_example, generating_later])
@pytest.mark.parametrize("warm", [False, True])
def test_values_that_are_not_functions_are_refused(
    wrong: Any, timeout: float | None, warm: Any
) -> None:
    """Values that are not functions, and generator functions, are refused in both modes."""
    plain_manager, later_manager = (
        ConnectorManager([Service("a")]),
        AsyncConnectorManager([Service("a")]),
    )

    async def return_one() -> int:
        return 1

    if warm:
        assert 1 == plain_manager.run("a", lambda: 1)
        assert 1 == asyncio.run(later_manager.run("a", return_one))
    uses: list[Callable[[], Any]] = [
        lambda: plain_manager.run("a", wrong, timeout=timeout),
        lambda: asyncio.run(later_manager.run("a", wrong, timeout=timeout)),
        lambda: plain_manager.protect("a")(wrong),
        lambda: later_manager.protect("a")(wrong),
    ]
    for use in uses:
        with pytest.raises(ConfigurationError) as excinfo:
            use()
        assert "function" == excinfo.value.path


def test_plain_function_may_return_a_generator() -> None:
    """A protected function may return a generator."""
    manager = ConnectorManager([Service("a")])

    assert [[1], [1]] == [list(manager.run("a", lambda: (n for n in [1]))) for _ in range(2)]


@pytest.mark.parametrize("manager_class", [ConnectorManager, AsyncConnectorManager])
@pytest.mark.parametrize("wrong", [Service("a"), None, 5, [5], "a"])
def test_services_must_be_iterable(manager_class: Any, wrong: Any) -> None:
    """A single service instead of an iterable of services is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        manager_class(wrong)

    assert "services" == excinfo.value.path


@pytest.mark.parametrize("manager_class", [ConnectorManager, AsyncConnectorManager])
@pytest.mark.parametrize("wrong", [print, None])
def test_observers_must_be_iterable(manager_class: Any, wrong: Any) -> None:
    """A single observer, or None, is refused in place of an iterable of observers."""
    with pytest.raises(ConfigurationError) as excinfo:
        manager_class([], observers=wrong)

    assert "observers" == excinfo.value.path


# Since Python 3.12, the frames in a traceback keep their callers' frames alive, and the objects in
# them.
FOREIGN = (ValueError("foreign"),) if sys.version_info < (3, 12) else ()


# Here instead of with the services, because mutants are called through frames of their own.
@sync_and_async
async def test_error_leaves_no_cycle(harness: Harness) -> None:
    """An error is freed as soon as nobody refers to it, as no traceback frame keeps it."""
    manager = harness.manager(SERVICE)
    gc.collect()
    gc.disable()
    try:
        for answer in (404, 422, *FOREIGN):
            harness.vendor.otherwise = answer
            error_references: list[Any] = []
            try:
                await manager.call("vat", GET)
            except ConnectorError as error:
                error_references.append(weakref.ref(error))
            assert [None] == [reference() for reference in error_references]
    finally:
        gc.enable()


# --- money ------------------------------------------------------------------------


class DeclaredStorage:
    """A memory store that declares itself durable or not."""

    def __init__(self, *, durable: bool = True) -> None:
        self.durable = durable
        self._memory = MemoryStorage()
        self.execute, self.post = self._memory.execute, self._memory.post


MOVING = Service("bank", moves_money=True)


def test_managers_that_move_money_refuse_a_store_without_durability() -> None:
    """For a service that moves money, both managers refuse a store without durability."""
    for make in (ConnectorManager, AsyncConnectorManager):
        with pytest.raises(
            ConfigurationError, match="MemoryStorage loses the used keys in a crash"
        ) as excinfo:
            make([MOVING])
        assert excinfo.value.path == "services.bank.moves_money"
        assert "claims=" in excinfo.value.remedy
    with pytest.raises(ConfigurationError, match="DeclaredStorage loses the used keys in a crash"):
        ConnectorManager([MOVING], state=DeclaredStorage(durable=False))


def test_service_that_moves_money_needs_durable_store_of_keys() -> None:
    """A service that moves money needs a durable key store, or the setting `volatile_keys`."""
    ConnectorManager([MOVING], state=DeclaredStorage())
    ConnectorManager([MOVING], state=DeclaredStorage(durable=False), claims=DeclaredStorage())
    ConnectorManager([Service("bank", moves_money=True, volatile_keys=True)])
    with pytest.raises(ConfigurationError):
        ConnectorManager([MOVING], state=DeclaredStorage(), claims=DeclaredStorage(durable=False))


@pytest.mark.parametrize("subject", [5, "", "a\nb", "a" * 600])
def test_invalid_subject_is_refused_on_fast_path(subject: Any) -> None:
    """An invalid subject is refused on the fast path, too."""
    with ConnectorManager([Service("a", circuit=None, retry=None)]) as manager:
        for request_id in (None, "r"):
            with pytest.raises(InvalidData, match="subject"):
                manager.run("a", lambda: 1, subject=subject, request_id=request_id)

    async def run_async() -> None:
        async with AsyncConnectorManager([Service("a", circuit=None, retry=None)]) as manager:
            with pytest.raises(InvalidData, match="subject"):
                await manager.run("a", partial(asyncio.sleep, 0), subject=subject)

    asyncio.run(run_async())


@pytest.mark.parametrize("kind", [ConnectorManager, AsyncConnectorManager, Hub])
def test_wrong_keyword_argument_is_refused_by_its_name(kind: Any) -> None:
    """An unknown keyword argument is refused with its name and a list of the valid ones."""
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'storage'. Use .*state"):
        kind([], storage=MemoryStorage())
