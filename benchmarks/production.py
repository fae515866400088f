"""The cost of what production has switched on: one option at a time, and all of them together.

The reference is a call with a limit, a circuit and retries. In memory the vendor is an object that
answers at once, so that a row is the processor time of the option alone. Over the network every row
stands beside `http.client` of the standard library, called directly.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import over_redis
from in_process import AHEAD, PLENTY, nothing
from measure import ELAPSED, PROCESSOR, Clock, Comparison, Contender, compare, sync_block
from over_clients import http_client
from over_http import Vendor

from moorage import (
    ConnectorManager,
    Credentials,
    RateLimitConfig,
    Request,
    Response,
    Service,
    Timeouts,
)
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.adapters.logs.memory import MemoryIntegrationLogger
from moorage.adapters.state.memory import MemoryStorage
from moorage.adapters.state.redis import RedisStorage
from moorage.adapters.state.sqlite import SqliteStorage

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.observation.events import Event
    from moorage.ports.http import HttpClient
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
    """Answers at once."""

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Answer."""
        return _ANSWER


def _observer(event: Event) -> None:
    """An observer that does nothing."""


def _service(url: str | None, **options: Any) -> Service:
    limits = RateLimitConfig.per_second(PLENTY, burst=AHEAD)
    return Service("ours", base_url=url, limits=limits, **options)


def _calls(stack: ExitStack, url: str, http: HttpClient | None) -> dict[str, Callable[[], object]]:
    """A call for each option that production has on."""
    numbers = iter(range(10**9))

    def managed(service: Service, **ports: Any) -> ConnectorManager:
        return stack.enter_context(ConnectorManager([service], http=http, **ports))

    def read(manager: ConnectorManager) -> Callable[[], object]:
        return lambda: manager.call("ours", _GET)

    def pay(manager: ConnectorManager) -> Callable[[], object]:
        return lambda: manager.call("ours", _POST, idempotency_key=f"{os.getpid()}-{next(numbers)}")

    keys: dict[str, Any] = {"idempotency_header": "Idempotency-Key", "idempotency_memory": 86_400.0}
    provider = MemoryCredentialProvider({("ours", None): Credentials.bearer("token")})
    everything = managed(
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
        "moorage with all of these": pay(everything),
    }


def production_functions(rounds: int) -> Comparison:
    """Options around a function that does nothing."""
    numbers = iter(range(10**9))
    plain = ConnectorManager([_service(None)])
    bounded = ConnectorManager([_service(None, timeout=20.0, attempt_timeout=10.0)])
    observed = ConnectorManager([_service(None)], observers=[_observer])
    logged = ConnectorManager([_service(None)], log=MemoryIntegrationLogger())

    def with_key() -> object:
        return plain.run("ours", nothing, idempotency_key=f"{os.getpid()}-{next(numbers)}")

    calls: dict[str, Callable[[], object]] = {
        "moorage": lambda: plain.run("ours", nothing),
        "moorage with time-outs": lambda: bounded.run("ours", nothing),
        "moorage with an observer": lambda: observed.run("ours", nothing),
        "moorage with an integration log": lambda: logged.run("ours", nothing),
        "moorage with an idempotency key in memory": with_key,
    }
    table = compare(
        None, [Contender(name, sync_block(call)) for name, call in calls.items()], rounds=rounds
    )
    return Comparison("production options around a function, sync", table, more=True)


def production_calls(rounds: int) -> Comparison:
    """Options around a request to a vendor in the same process."""
    with ExitStack() as stack:
        calls = _calls(stack, "https://vendor.example", _Vendor())  # type: ignore[arg-type]  # it only sends
        table = compare(
            None, [Contender(name, sync_block(call)) for name, call in calls.items()], rounds=rounds
        )
    return Comparison("production options around a request, sync", table, more=True)


def production_keys(rounds: int) -> Comparison:
    """Idempotency keys by store: the work of the calling process alone."""
    numbers = iter(range(10**9))

    def with_key(manager: ConnectorManager) -> Callable[[], object]:
        return lambda: manager.run(
            "ours", nothing, idempotency_key=f"{os.getpid()}-{next(numbers)}"
        )

    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        stores: dict[str, StateStorage] = {
            "memory": MemoryStorage(),
            "a SQLite file": stack.enter_context(SqliteStorage(Path(folder) / "state.db")),
        }
        if over_redis.is_there():
            stores["Redis"] = stack.enter_context(RedisStorage(over_redis.URL, timeout=10.0))
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
    """Options around a real exchange."""
    return _http(rounds, ELAPSED)


def production_http_processor(rounds: int) -> Comparison:
    """Options around a real exchange: the work of the calling process alone."""
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
    production_calls,
    production_keys,
    production_http,
    production_http_processor,
)
