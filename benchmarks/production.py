"""The cost of the usual production options, separately and together.

The reference is a call with a limit, a circuit and retries. In memory the vendor is an object that
answers at once, so that a row is the processor time of the option alone. Over the network every row
stands beside `http.client` of the standard library, called directly.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import attrs
import redis_costs
from client_costs import http_client
from http_costs import Vendor
from in_process import (
    HUGE_BURST,
    HUGE_RATE,
    call_alone,
    cheapest_async_peers,
    cheapest_peers,
    do_nothing_async,
    usual_peers,
)
from measure import (
    ELAPSED,
    PROCESSOR,
    Block,
    Clock,
    Comparison,
    Contender,
    Read,
    Table,
    Target,
    async_block,
    compare,
    sync_block,
)
from prometheus_client import CollectorRegistry

from moorage import (
    AsyncConnectorManager,
    BulkheadConfig,
    ConnectorManager,
    Credentials,
    RateLimitConfig,
    Request,
    Response,
    RetryBudget,
    Service,
    Timeouts,
)
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.adapters.logs.memory import AsyncMemoryIntegrationLogger, MemoryIntegrationLogger
from moorage.adapters.logs.sqlite import SqliteIntegrationLogger
from moorage.adapters.observers.opentelemetry import OpenTelemetryObserver
from moorage.adapters.observers.prometheus import PrometheusObserver
from moorage.adapters.observers.standard_logging import LoggingObserver
from moorage.adapters.state.memory import MemoryStorage
from moorage.adapters.state.redis import RedisStorage
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.domain.observation.integration_log import IntegrationStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from moorage.domain.observation.events import Event
    from moorage.domain.observation.integration_log import IntegrationLog
    from moorage.domain.state.commands import Command
    from moorage.ports.http import HttpClient
    from moorage.ports.observer import Observer
    from moorage.ports.state import StateStorage

_GET, _POST = Request.get("/rates"), Request.post("/rates", json={"amount": 1})
_ANSWER = Response(200, body=b'{"country":"DE"}')
_TIMEOUTS: dict[str, Any] = {
    "timeout": 20.0,
    "attempt_timeout": 10.0,
    "timeouts": Timeouts(connect=3.0, read=5.0),
}
_CREDENTIALS: dict[str, Any] = {"credentials": Credentials.bearer("token")}


class _Vendor:
    """A vendor that responds immediately."""

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Respond to the request immediately."""
        return _ANSWER


def _observer(event: Event) -> None:
    """An observer that does nothing."""


class _FailureObserver:
    """An empty observer with `failures_only`."""

    failures_only = True

    def __call__(self, event: Event) -> None:
        """Do nothing."""


def _service(url: str | None, **options: Any) -> Service:
    limits = RateLimitConfig.per_second(HUGE_RATE, burst=HUGE_BURST)
    return Service("ours", base_url=url, **{"limits": limits} | options)


def _calls(stack: ExitStack, url: str, http: HttpClient | None) -> dict[str, Callable[[], object]]:
    """Return, for each production option, a function that makes a call with that option."""
    numbers = iter(range(10**9))

    def managed(service: Service, **ports: Any) -> ConnectorManager:
        return stack.enter_context(ConnectorManager([service], http=http, **ports))

    def read(manager: ConnectorManager) -> Callable[[], object]:
        return lambda: manager.call("ours", _GET)

    def pay(manager: ConnectorManager) -> Callable[[], object]:
        return lambda: manager.call("ours", _POST, idempotency_key=f"{os.getpid()}-{next(numbers)}")

    keys: dict[str, Any] = {"idempotency_header": "Idempotency-Key", "idempotency_memory": 86_400.0}
    provider = MemoryCredentialProvider({("ours", None): Credentials.bearer("token")})
    full_manager = managed(
        _service(url, needs_credentials=True, **_TIMEOUTS, **keys),
        credentials=provider,
        observers=[_observer],
        log=MemoryIntegrationLogger(),
    )
    return {
        "moorage": read(managed(_service(url))),
        "moorage with time-outs": read(managed(_service(url, **_TIMEOUTS))),
        "moorage with credentials": read(managed(_service(url, **_CREDENTIALS))),
        "moorage with a credential provider": read(
            managed(_service(url, needs_credentials=True), credentials=provider)
        ),
        "moorage with an observer": read(managed(_service(url), observers=[_observer])),
        "moorage with an integration log": read(
            managed(_service(url), log=MemoryIntegrationLogger())
        ),
        "moorage with an idempotency key in memory": pay(managed(_service(url, **keys))),
        "moorage with all of these": pay(full_manager),
    }


class _ReadLog(MemoryIntegrationLogger):
    """A log that computes all fields of an entry when the entry is written."""

    def write(self, entry: IntegrationLog, /) -> None:
        """Compute the entry's fields as if they were read, and store the entry."""
        if entry.status is not IntegrationStatus.SUCCESS:
            raise AssertionError
        super().write(entry)


@attrs.frozen(kw_only=True)
class _Options:
    """The service settings, ports and timeout of the calls in one measurement."""

    service: dict[str, Any] = attrs.field(factory=dict)
    ports: dict[str, Any] = attrs.field(factory=dict)
    timeout: float | None = None


def _function_rows() -> dict[str, _Options]:
    two_limits = (
        RateLimitConfig.per_second(HUGE_RATE, burst=HUGE_BURST),
        RateLimitConfig.per_minute(HUGE_RATE, burst=HUGE_BURST),
    )
    observers = [_observer, lambda _: None, lambda _: None]
    protections = {
        "attempt_timeout": 10.0,
        "retry_budget": RetryBudget(),
        "bulkhead": BulkheadConfig(8),
    }
    return {
        "moorage": _Options(),
        "moorage with an attempt timeout": _Options(service={"attempt_timeout": 10.0}),
        "moorage with a timeout of the call": _Options(timeout=20.0),
        "moorage with a retry budget": _Options(service={"retry_budget": RetryBudget()}),
        "moorage with two limits": _Options(service={"limits": two_limits}),
        "moorage with a bulkhead": _Options(service={"bulkhead": BulkheadConfig(8)}),
        "moorage with an observer": _Options(ports={"observers": [_observer]}),
        "moorage with an observer of failures": _Options(ports={"observers": [_FailureObserver()]}),
        "moorage with an integration log": _Options(ports={"log": MemoryIntegrationLogger}),
        "moorage with three observers and a log": _Options(
            ports={"observers": observers, "log": MemoryIntegrationLogger}
        ),
        "moorage with three observers and a log that is read": _Options(
            ports={"observers": observers, "log": _ReadLog}
        ),
        "moorage with all of these": _Options(
            service=protections,
            ports={"observers": observers, "log": MemoryIntegrationLogger},
            timeout=20.0,
        ),
    }


def production_functions(rounds: int) -> Comparison:
    """Measure production options around an empty function."""
    numbers = iter(range(10**9))
    plain_manager = ConnectorManager([_service(None)], state=MemoryStorage(max_entries=10**7))

    def call(options: _Options) -> Callable[[], object]:
        ports = dict(options.ports)
        if "log" in ports:
            ports["log"] = ports["log"]()
        manager = ConnectorManager([_service(None, **options.service)], **ports)
        if (timeout := options.timeout) is not None:
            return lambda: manager.run("ours", call_alone, timeout=timeout)
        return lambda: manager.run("ours", call_alone)

    def with_key() -> object:
        return plain_manager.run(
            "ours", call_alone, idempotency_key=f"{os.getpid()}-{next(numbers)}"
        )

    calls = {name: call(options) for name, options in _function_rows().items()}
    calls["moorage with an idempotency key in memory"] = with_key
    calls["redress + purgatory + limits, with none of these"] = cheapest_peers()
    table = compare(
        sync_block(call_alone),
        [Contender(name, sync_block(call)) for name, call in calls.items()],
        rounds=rounds,
    )
    return Comparison("production options around a function, sync", table, more=True)


def production_observers(rounds: int) -> Comparison:
    """Measure each observer around an empty function; OpenTelemetry runs without its SDK.

    A block with the log ends when its thread has stored all entries, so its rows include the work
    of that thread. The blocks are as long as it lets entries wait while there are so many calls.
    """
    observers = _observers()
    observer_list = [observer for row in observers.values() for observer in row]
    with ExitStack() as stack:
        log = _log_file(stack)

        def block(observers: Sequence[Observer]) -> Block:
            manager = ConnectorManager([_service(None)], observers=observers)
            return sync_block(lambda: manager.run("ours", call_alone))

        def logged_block(observers: Sequence[Observer]) -> Block:
            manager = ConnectorManager([_service(None)], observers=observers, log=log)
            return _stored_block(lambda: manager.run("ours", call_alone), log.flush)

        blocks = {name: block(row) for name, row in observers.items()}
        blocks["moorage with a log in SQLite"] = logged_block([])
        blocks["moorage with these three and the log"] = logged_block(observer_list)
        blocks["stamina + pybreaker + limits, with none of these"] = sync_block(usual_peers())
        table = compare(
            sync_block(call_alone),
            [Contender(name, block) for name, block in blocks.items()],
            rounds=max(5, rounds // 3),
            block_seconds=0.1,
        )
    return Comparison("observers around a function, sync", table, more=True)


def production_observers_http(rounds: int) -> Comparison:
    """Measure three observers and the log around a real HTTP call, in processor time.

    As above, a block with the log ends when its entries are stored.
    """
    observer_list = usual_observers()
    with ExitStack() as stack:
        url = stack.enter_context(Vendor())
        log = _log_file(stack)
        bare_manager = stack.enter_context(ConnectorManager([_service(url)]))
        manager = stack.enter_context(
            ConnectorManager([_service(url)], observers=observer_list, log=log)
        )
        ask = http_client(f"{url}/rates", None)
        table = compare(
            None,
            [
                Contender("http.client", sync_block(ask)),
                Contender("moorage", sync_block(lambda: bare_manager.call("ours", _GET))),
                Contender(
                    "moorage with three observers and a log in SQLite",
                    _stored_block(lambda: manager.call("ours", _GET), log.flush),
                ),
                Contender(
                    "stamina + pybreaker + limits, with none of these", sync_block(usual_peers(ask))
                ),
            ],
            rounds=max(5, rounds // 3),
            block_seconds=0.5,
        )
    return Comparison("observers over HTTP, sync", table, Target(22.0, 15.0, more=True))


def usual_observers() -> list[Observer]:
    """Return the three usual observers in one list."""
    return [observer for row in _observers().values() for observer in row]


def _observers() -> dict[str, list[Observer]]:
    """Return the observers for each measured case: none, then each of the three alone."""
    return {
        "moorage": [],
        "moorage with standard logging": [LoggingObserver(logging.getLogger("moorage.benchmark"))],
        "moorage with OpenTelemetry's API": [OpenTelemetryObserver()],
        "moorage with Prometheus": [PrometheusObserver(CollectorRegistry())],
    }


def _log_file(stack: ExitStack) -> SqliteIntegrationLogger:
    """Return a log in a new SQLite file; the log's queue can hold the entries of a whole block."""
    folder = stack.enter_context(TemporaryDirectory())
    return stack.enter_context(
        SqliteIntegrationLogger(Path(folder) / "log.db", create=True, max_waiting=100_000)
    )


def _stored_block(call: Callable[[], object], flush: Callable[[], None]) -> Block:
    """Return a function that measures calls until their log entries are stored."""
    calls_block = sync_block(call)

    def block(calls: int, read: Read) -> float:
        duration = calls_block(calls, read)
        start = read()
        flush()
        return duration + read() - start

    return block


def _async_table(
    calls: dict[str, Callable[[], Awaitable[object]]],
    loop: asyncio.AbstractEventLoop,
    rounds: int,
) -> Table:
    """Compare asynchronous calls with an empty call, and close the event loop."""
    try:
        return compare(
            async_block(do_nothing_async, loop),
            [Contender(name, async_block(call, loop)) for name, call in calls.items()],
            rounds=rounds,
        )
    finally:
        loop.close()


def production_functions_async(rounds: int) -> Comparison:
    """Measure options around an asynchronous function that returns immediately or waits once."""
    loop = asyncio.new_event_loop()

    def call(options: _Options) -> Callable[[], Awaitable[object]]:
        ports = dict(options.ports)
        if "log" in ports:
            ports["log"] = AsyncMemoryIntegrationLogger(ports["log"]())
        manager = AsyncConnectorManager([_service(None, **options.service)], **ports)
        if (timeout := options.timeout) is not None:
            return lambda: manager.run("ours", do_nothing_async, timeout=timeout)
        return lambda: manager.run("ours", do_nothing_async)

    async def with_timeout() -> None:
        async with asyncio.timeout(10.0):
            await do_nothing_async()

    calls = {name: call(options) for name, options in _function_rows().items()}
    calls["asyncio.timeout alone"] = with_timeout
    calls["redress + purgatory + limits, with none of these"] = cheapest_async_peers()
    return Comparison(
        "production options around a function, async", _async_table(calls, loop, rounds), more=True
    )


class _AwaitedStore:
    """A memory store that managers must await, like a store over a network."""

    durable = False
    reach = "process"
    mixes_tags = True

    def __init__(self) -> None:
        self._states = MemoryStorage()
        self.post = self._states.post

    async def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
        """Run a command without suspending the task."""
        return self._states.execute(command, timeout)


def production_awaited(rounds: int) -> Comparison:
    """Measure an asynchronous function whose limit and circuit are in an asynchronous store."""
    loop = asyncio.new_event_loop()
    observers = [_observer, lambda _: None, lambda _: None]

    def call(**ports: Any) -> Callable[[], Awaitable[object]]:
        manager = AsyncConnectorManager([_service(None)], **ports)
        return lambda: manager.run("ours", do_nothing_async)

    log = AsyncMemoryIntegrationLogger(MemoryIntegrationLogger())
    calls = {
        "moorage": call(),
        "moorage with an awaited store": call(state=_AwaitedStore()),
        "moorage with an awaited store, three observers and a log": call(
            state=_AwaitedStore(), observers=observers, log=log
        ),
        "redress + purgatory + limits, with none of these": cheapest_async_peers(),
    }
    return Comparison(
        "a store that is awaited, async", _async_table(calls, loop, rounds), more=True
    )


def production_waits(rounds: int) -> Comparison:
    """Measure the default timeout around an asynchronous function that waits once."""
    loop = asyncio.new_event_loop()
    manager = AsyncConnectorManager([_service(None)])

    async def wait() -> None:
        await asyncio.sleep(0)

    async def with_timeout() -> None:
        async with asyncio.timeout(30.0):
            await wait()

    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "moorage": lambda: manager.run("ours", wait),
        "asyncio.timeout alone": with_timeout,
        "asyncio.wait_for alone": lambda: asyncio.wait_for(wait(), 30.0),
    }
    try:
        table = compare(
            async_block(wait, loop),
            [Contender(name, async_block(call, loop)) for name, call in calls.items()],
            rounds=rounds,
        )
    finally:
        loop.close()
    return Comparison("the default timeout of a function that waits", table, more=True)


def production_calls(rounds: int) -> Comparison:
    """Measure production options around a request to a vendor in the same process."""
    with ExitStack() as stack:
        calls = _calls(stack, "https://vendor.example", _Vendor())  # type: ignore[arg-type]  # only `send` is called
        table = compare(
            None, [Contender(name, sync_block(call)) for name, call in calls.items()], rounds=rounds
        )
    return Comparison("production options around a request, sync", table, more=True)


def production_keys(rounds: int) -> Comparison:
    """Measure idempotency keys in each kind of store, in the client's processor time."""
    numbers = iter(range(10**9))

    def with_key(manager: ConnectorManager) -> Callable[[], object]:
        return lambda: manager.run(
            "ours", call_alone, idempotency_key=f"{os.getpid()}-{next(numbers)}"
        )

    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        stores: dict[str, StateStorage] = {
            "memory": MemoryStorage(max_entries=10**7),
            "a SQLite file": stack.enter_context(SqliteStorage(Path(folder) / "state.db")),
        }
        if redis_costs.is_reachable():
            stores["Redis"] = stack.enter_context(RedisStorage(redis_costs.URL, timeout=10.0))
        contenders = [
            Contender(
                f"moorage with a key in {name}",
                sync_block(with_key(ConnectorManager([_service(None)], state=store))),
            )
            for name, store in stores.items()
        ]
        table = compare(None, contenders, rounds=rounds, block_seconds=0.03)
    return Comparison("an idempotency key by store, sync", table, more=True)


def production_http(rounds: int) -> Comparison:
    """Measure production options around a real HTTP call."""
    return _http(rounds, ELAPSED)


def production_http_processor(rounds: int) -> Comparison:
    """Measure production options around a real HTTP call, in the client's processor time."""
    return _http(rounds, PROCESSOR)


def _http(rounds: int, clock: Clock) -> Comparison:
    with ExitStack() as stack:
        url = stack.enter_context(Vendor())
        calls = {"http.client": http_client(f"{url}/rates", None)} | _calls(stack, url, None)
        table = compare(
            None,
            [Contender(name, sync_block(call)) for name, call in calls.items()],
            rounds=rounds,
            clock=clock,
            block_seconds=0.03,
        )
    return Comparison("production options over HTTP, sync", table)


ALL = (
    production_functions,
    production_observers,
    production_observers_http,
    production_functions_async,
    production_awaited,
    production_waits,
    production_calls,
    production_keys,
    production_http,
    production_http_processor,
)
