"""The adapter behind each port of a manager, and objects that a port refuses."""

# ruff: noqa: SLF001 - values of any kind, and a look inside

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AsyncConnectorManager,
    AsyncHub,
    ConfigurationError,
    ConnectorManager,
    CredentialRefreshFailed,
    Credentials,
    DangerouslyUnverified,
    Endpoint,
    Hub,
    LocalFailure,
    Request,
    Response,
    Service,
    Timeouts,
    TlsUnverified,
)
from moorage.adapters.concurrency.forking import restart_in_child
from moorage.adapters.credentials.memory import (
    AsyncMemoryCredentialProvider,
    MemoryCredentialProvider,
)
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.testing import VendorServer
from moorage.wiring.core_assembly import async_core, sync_core
from moorage.wiring.defaults import LazyAdapter
from moorage.wiring.ports import PORT_DEFAULTS, Ports
from moorage.wiring.stores import sync_and_async_store
from tests.adapters.forked import run_in_forked_child
from tests.support.caching import FaultyCache
from tests.support.modes import ASYNC, SYNC, Harness, sync_and_async
from tests.support.virtual_ports import START
from tests.support.virtual_tasks import SyncPort

if TYPE_CHECKING:
    from moorage.domain.observation.events import Event

SERVICE = Service("vat", base_url="https://vat.example", retry=None)
GET = Request.get("/rates")

PORTS = ("http", "state", "cache", "credentials", "sleeper", "locks", "gather")


class Provider:
    """A credential provider without any credentials."""

    async def get(self, *_: object) -> None:
        """Return nothing."""

    async def refresh(self, *_: object) -> None:
        """Return nothing."""


def port(harness: Harness, name: str) -> Any:
    """Return the asynchronous adapter for the port with the given name."""
    return {
        "http": harness.vendor,
        "state": harness.store,
        "cache": FaultyCache(harness),
        "credentials": Provider(),
        "sleeper": harness.sleeper,
        "locks": harness.locks,
        "gather": harness.gather,
    }[name]


@pytest.mark.parametrize("name", PORTS)
def test_async_port_in_a_sync_manager(name: str) -> None:
    """A synchronous manager refuses an asynchronous port; the error contains the port's name."""
    with pytest.raises(ConfigurationError, match="needs synchronous ports") as excinfo:
        ConnectorManager([SERVICE], **{name: port(Harness(ASYNC), name)})

    assert name == excinfo.value.path
    assert "AsyncConnectorManager" in excinfo.value.remedy


@pytest.mark.parametrize("name", PORTS)
def test_sync_port_in_an_async_manager(name: str) -> None:
    """An asynchronous manager refuses a synchronous port; the error contains the port's name."""
    options: dict[str, Any] = {name: SyncPort(port(Harness(SYNC), name))}
    with pytest.raises(ConfigurationError, match="needs asynchronous ports") as excinfo:
        AsyncConnectorManager([SERVICE], **options)

    assert name == excinfo.value.path
    assert "use ConnectorManager" in excinfo.value.remedy


@pytest.mark.parametrize("name", [*PORTS, "log", "clock", "ids", "randomness"])
@pytest.mark.parametrize("manager_class", [ConnectorManager, AsyncConnectorManager])
def test_object_without_the_method_is_refused(manager_class: Any, name: str) -> None:
    """An object without the port's method is refused; the error contains the port's name."""
    with pytest.raises(ConfigurationError, match="object has no `") as excinfo:
        manager_class([SERVICE], **{name: object()})

    assert name == excinfo.value.path


ARGUMENTS = [
    *(
        (kind, name)
        for kind in (ConnectorManager, AsyncConnectorManager)
        for name in ("dry_run", *PORT_DEFAULTS)
    ),
    *((kind, name) for kind in (Hub, AsyncHub) for name in ("tokens", *PORT_DEFAULTS)),
]


@pytest.mark.parametrize("kind, name", ARGUMENTS)
@pytest.mark.parametrize(
    "value", [5.5, "x", b"x", [1], {"a": 1}, object()], ids=lambda value: type(value).__name__
)
def test_argument_of_a_wrong_type_is_named(kind: Any, name: str, value: object) -> None:
    """A value of a wrong type for any port is refused by the constructor, with the port's name."""
    with pytest.raises(ConfigurationError) as excinfo:
        kind([], **{name: value})

    assert name == excinfo.value.path


@pytest.mark.parametrize(
    "kind, store", [(Hub, AsyncMemoryCredentialProvider), (AsyncHub, MemoryCredentialProvider)]
)
def test_store_of_tokens_of_the_other_mode_is_refused(kind: Any, store: Any) -> None:
    """A hub refuses a store of tokens that it could not call."""
    with pytest.raises(ConfigurationError, match="synchronous") as excinfo:
        kind([], tokens=store())

    assert "tokens" == excinfo.value.path


def test_transport_of_a_wrong_type_is_named() -> None:
    """The error for a transport that is no object names its account."""
    with pytest.raises(ConfigurationError) as excinfo:
        Hub([], transports={"mail": 5})

    assert "transports.mail" == excinfo.value.path


class AsyncLog:
    """A log whose asynchronous `write` would never be awaited."""

    async def write(self, _: object, /) -> None:
        """Raise an error, since it is never awaited."""


@pytest.mark.parametrize("manager_class", [ConnectorManager, AsyncConnectorManager])
def test_clock_ids_random_numbers_and_log_are_always_synchronous(manager_class: Any) -> None:
    """Clock, ids, random numbers and log are synchronous in sync and async mode."""
    with pytest.raises(ConfigurationError, match=r"AsyncLog\.write is asynchronous") as excinfo:
        manager_class([SERVICE], log=AsyncLog())

    assert "log" == excinfo.value.path


async def observe(_: Event) -> None:
    """Raise an error, since it is never called."""


@pytest.mark.parametrize("observer", [observe, "print", None])
@pytest.mark.parametrize("manager_class", [ConnectorManager, AsyncConnectorManager])
def test_observer_that_is_no_synchronous_function_is_refused(
    manager_class: Any, observer: Any
) -> None:
    """A manager refuses an observer that is a coroutine function or not callable."""
    with pytest.raises(ConfigurationError, match="is not an observer") as excinfo:
        manager_class([SERVICE], observers=[observer])

    assert "observers" == excinfo.value.path


class UnverifiedClient:
    """An HTTP client that reports which hosts' certificates it does not verify."""

    def __init__(self, unverified: object) -> None:
        self.unverified = unverified

    async def send(self, *_: object) -> Response:
        """Respond with a success."""
        return Response(200)


@pytest.mark.parametrize(
    "unverified, reasons",
    [(DangerouslyUnverified("a bench"), ["a bench"]), (None, []), ("anything", [])],
)
@sync_and_async
async def test_disabled_verification_is_reported_at_start(
    harness: Harness, unverified: object, reasons: list[str]
) -> None:
    """An HTTP client without certificate verification emits an event when a manager starts."""
    reports: list[Event] = []
    for _ in range(2):
        harness.manager(
            SERVICE, http=harness.of_mode(UnverifiedClient(unverified)), observers=[reports.append]
        )
    expected = [TlsUnverified(at=START, service="http", because=reason) for reason in reasons * 2]

    assert expected == reports


class ClientWithoutStreams:
    """An HTTP client that cannot stream."""

    async def send(self, *_: object) -> Response:
        """Respond with a success."""
        return Response(200)


class ProviderWithoutRenewal:
    """A credential provider that cannot renew."""

    async def get(self, *_: object) -> Any:
        """Return a credential."""
        return Credentials.bearer("t")


@sync_and_async
async def test_client_without_streams_fails_when_a_stream_is_opened(harness: Harness) -> None:
    """A client that cannot stream causes an error only when a stream is first opened."""
    manager = harness.manager(SERVICE, http=harness.of_mode(ClientWithoutStreams()))

    assert 200 == (await manager.call("vat", GET)).status
    with pytest.raises(ConfigurationError, match="has no `open`") as excinfo:
        await manager.stream("vat", GET)
    assert ("http", "vat") == (excinfo.value.path, excinfo.value.service)


@sync_and_async
async def test_provider_without_refresh_works_until_a_credential_is_refused(
    harness: Harness,
) -> None:
    """A credential provider without `refresh` works until a credential is refused."""
    harness.vendor.answers(200, 401)
    service = Service("vat", base_url="https://vat.example", needs_credentials=True)
    manager = harness.manager(service, credentials=harness.of_mode(ProviderWithoutRenewal()))

    await manager.call("vat", GET)
    with pytest.raises((ConfigurationError, CredentialRefreshFailed), match="has no `refresh`"):
        await manager.call("vat", GET)


def test_lazy_adapter_is_created_at_its_first_use() -> None:
    """A lazy adapter is created at its first use, and only once."""
    numbers: list[int] = []

    def make_numbers() -> list[int]:
        numbers.append(1)
        return numbers

    lazy_adapter = LazyAdapter("a list", make_numbers)
    assert [] == numbers
    assert lazy_adapter.get() is lazy_adapter.get() is lazy_adapter.end()
    assert [1] == numbers


def test_waiting_thread_gets_the_created_adapter() -> None:
    """A thread that waits while another creates the lazy adapter gets the same one."""
    lazy_adapter: LazyAdapter

    class Lock:
        """A lock that lets another thread create the adapter first."""

        def __enter__(self) -> None:
            lazy_adapter._adapter = "theirs"

        def __exit__(self, *_: object) -> None:
            """Do nothing."""

    lazy_adapter = LazyAdapter("a text", lambda: "ours")
    lazy_adapter._lock.current = Lock()  # type: ignore[assignment]  # as far as it is one

    assert "theirs" == lazy_adapter.get()


def test_every_port_has_a_default() -> None:
    """A manager without any adapters for its ports uses working defaults."""
    plain_core = sync_core(Ports()).core
    later_core = async_core(Ports()).core

    async def use_core(core: Any) -> list[Any]:
        holder = object()
        await core.sleep(0)
        is_acquired = await core.acquire("place", holder, slots=1, queue=0, timeout=0)
        core.release("place", holder)

        async def return_one() -> int:
            return 1

        all_results = await core.run_all([return_one, return_one], at_once=2)
        first = await core.first([return_one], stagger=1.0, good=bool)
        return [
            is_acquired,
            all_results,
            first,
            len(core.new_id()),
            core.utc().tzinfo is not None,
        ]

    expected = [True, [1, 1], 1, 26, True]
    flow = use_core(plain_core)
    with pytest.raises(StopIteration) as stopped_excinfo:
        flow.send(None)
    assert expected == stopped_excinfo.value.value
    assert expected == asyncio.run(use_core(later_core))
    for core in (plain_core, later_core):
        assert 0 <= core.fraction() < 1
        assert core.token() > 0
        assert core.nanoseconds() <= core.nanoseconds()


@pytest.mark.parametrize(
    "manager_class, store",
    [(ConnectorManager, MemoryStorage), (AsyncConnectorManager, AsyncMemoryStorage)],
    ids=["sync", "async"],
)
def test_class_in_place_of_an_object_is_refused(manager_class: Any, store: Any) -> None:
    """A class passed as a port is refused, unless its methods need no object."""

    class StaticIds:
        """Ids that need no object."""

        @staticmethod
        def new() -> str:
            """Return the id of a call."""
            return "call"

    manager_class([Service("vat")], ids=StaticIds)
    with pytest.raises(ConfigurationError, match=f"{store.__name__} is a class") as excinfo:
        manager_class([Service("vat")], state=store)
    assert "state" == excinfo.value.path


def test_default_http_client() -> None:
    """A manager without an HTTP client creates its own at its first use."""
    for ports, is_async in ((sync_core(Ports()), False), (async_core(Ports()), True)):
        client = ports.http.get()
        assert is_async is inspect.iscoroutinefunction(client.send)
        assert client is ports.end_default_http()
    harness = Harness(ASYNC)
    assert async_core(Ports(http=harness.vendor)).end_default_http() is None


def test_closed_manager_opens_no_http_client() -> None:
    """A manager that was closed before its first call refuses calls, and opens no connection."""
    with VendorServer() as server:
        manager = ConnectorManager([Service("vat", server.url)])
        manager.close()
        with pytest.raises(LocalFailure, match="manager or hub is closed"):
            manager.call("vat", Request.get("/"))

        async def call_after_close() -> None:
            async_manager = AsyncConnectorManager([Service("vat", server.url)])
            await async_manager.close()
            with pytest.raises(LocalFailure, match="manager or hub is closed"):
                await async_manager.call("vat", Request.get("/"))

        asyncio.run(call_after_close())
        assert () == server.requests


def test_store_in_memory_serves_both_modes() -> None:
    """A memory store works in sync and async mode; any other store works in only one mode."""
    harness = Harness(ASYNC)
    sync_store, async_store = sync_and_async_store(None, None)
    assert async_store.shared is sync_store
    memory = MemoryStorage()
    assert memory is sync_and_async_store(memory, None)[1].shared
    assert memory is sync_and_async_store(AsyncMemoryStorage(memory), None)[0]
    assert (None, harness.store) == sync_and_async_store(harness.store, None)
    distant_store = SyncPort(harness.store)
    assert (distant_store, None) == sync_and_async_store(distant_store, None)


def test_only_store_that_never_blocks_gets_direct_calls() -> None:
    """Only a store that never blocks gets commands through the direct call `ask`."""
    harness = Harness(ASYNC)

    assert async_core(Ports()).core.ask is not None
    assert async_core(Ports(state=AsyncMemoryStorage())).core.ask is not None
    assert async_core(Ports(state=harness.store)).core.ask is None
    assert sync_core(Ports()).core.ask is not None


def test_lock_that_another_thread_held_during_fork_does_not_block_child() -> None:
    """A lock that another thread held during a fork does not block the child."""
    lazy_adapter = LazyAdapter("a number", lambda: 7)

    with lazy_adapter._lock.current:
        restart_in_child()
        assert 7 == lazy_adapter.get()


@pytest.mark.parametrize("core", [sync_core(Ports()).core, async_core(Ports()).core])
def test_forked_child_reports_under_its_own_name(core: Any) -> None:
    """A forked child reports under its own name, so that a circuit counts it separately."""
    name = core.reporter()
    assert name == core.reporter()
    assert name != run_in_forked_child(core.reporter)
    assert name == core.reporter()


class UnboundedClient:
    """An HTTP client that cannot limit the time for sending a request."""

    lacks = frozenset({"write"})

    def send(self, *_: object) -> Any:
        """Stand in for the client's method; no test calls it."""


class AsyncUnboundedClient(UnboundedClient):
    """The asynchronous variant of `UnboundedClient`."""

    async def send(self, *_: object) -> Any:
        """Stand in for the client's method; no test calls it."""


MANAGERS = [(ConnectorManager, UnboundedClient), (AsyncConnectorManager, AsyncUnboundedClient)]


@pytest.mark.parametrize("manager_class, client", MANAGERS)
@pytest.mark.parametrize(
    "setting",
    [{"timeouts": Timeouts(write=1)}, {"endpoints": Endpoint("x", timeouts=Timeouts(write=1))}],
)
def test_unsupported_limit_is_refused(
    manager_class: Any, client: Any, setting: dict[str, Any]
) -> None:
    """A time limit that a client does not support is refused; the error names other clients."""
    with pytest.raises(ConfigurationError, match=r"(Async)?Unbounded\w* cannot limit") as excinfo:
        manager_class([Service("vat", **setting)], http=client())

    assert "services.vat.timeouts.write" == excinfo.value.path
    assert "StdlibHttpClient" in excinfo.value.remedy


@pytest.mark.parametrize("manager_class, client", MANAGERS)
def test_supported_limits_are_applied(manager_class: Any, client: Any) -> None:
    """A client that lacks one time limit still gets all other time limits."""
    steps = Timeouts(connect=1, read=1, pool=1)
    manager_class([Service("vat", timeouts=steps, endpoints=Endpoint("x"))], http=client())


_IMPORT_IN_STEPS = """
import sys
from importlib import import_module
from moorage.wiring import stores

name, lines = "moorage.adapters.state.memory", []
assert name not in sys.modules

def trace(frame, event, argument):
    if frame.f_globals.get("__name__") != name:
        return None
    lines.append(frame.f_lineno)
    assert not stores._is_memory(object())
    assert stores._preparing_function(object()) is None
    return trace

sys.settrace(trace)
memory = import_module(name)
sys.settrace(None)
assert len(lines) > 20
assert stores._is_memory(memory.MemoryStorage()) and stores._is_memory(memory.AsyncMemoryStorage())
"""


def test_manager_is_made_while_another_thread_imports_the_store_in_memory() -> None:
    """While a thread imports the in-memory store, other stores are not mistaken for it."""
    subprocess.run([sys.executable, "-c", _IMPORT_IN_STEPS], check=True)
