"""The only place that builds things: which adapter stands behind each port.

Every port that is not given has an embedded default. Adapters are imported here, late, so that a
program loads only what it uses.
"""

from __future__ import annotations

import copy
import inspect
import os
import threading
from typing import TYPE_CHECKING, Any

import attrs

from mooring._bridge import gathered_now, lift, lift_one, settle_later, settle_now
from mooring.errors import ConfigurationError, CredentialNotFound
from mooring.services.core import Core

if TYPE_CHECKING:
    from collections.abc import Callable

    from mooring.domain.events import Event
    from mooring.ports.observer import Observer


@attrs.frozen(kw_only=True)
class Ports:
    """The ports a host has given; None stands for the embedded default."""

    http: Any = None
    state: Any = None
    credentials: Any = None
    log: Any = None
    observers: tuple[Observer, ...] = ()
    clock: Any = None
    sleeper: Any = None
    ids: Any = None
    randomness: Any = None
    locks: Any = None
    gather: Any = None


@attrs.frozen
class Wired:
    """A core, and the HTTP client behind it."""

    core: Core
    http: Any

    def own_http(self) -> Any:  # noqa: ANN401 - the adapter
        """The HTTP client that was made here, if it was ever used; a host's own is its to close."""
        return self.http.made() if isinstance(self.http, Lazily) else None


_VERBS = {
    "http": "send",
    "state": "execute",
    "credentials": "get",
    "sleeper": "sleep",
    "locks": "acquire",
    "gather": "every",
}


def check_colour(ports: Ports, *, awaited: bool) -> None:
    """Refuse a port of the other colour, by name."""
    for name, verb in _VERBS.items():
        port = getattr(ports, name)
        if port is None:
            continue
        method = getattr(port, verb, None)
        if not callable(method):
            raise ConfigurationError(
                f"{type(port).__name__} has no `{verb}`.",
                path=name,
                remedy=f"Give a port as described in mooring.ports, for {name}.",
            )
        if inspect.iscoroutinefunction(method) is not awaited:
            wanted, given = ("asynchronous", "plain") if awaited else ("plain", "asynchronous")
            other = "ConnectorManager" if awaited else "AsyncConnectorManager"
            raise ConfigurationError(
                f"{type(port).__name__}.{verb} is {given}, and this face needs {wanted} ports.",
                path=name,
                remedy=f"Give the {wanted} one, or use {other}.",
            )


def plain_core(ports: Ports) -> Wired:
    """A core whose ports never suspend."""
    check_colour(ports, awaited=False)
    clock = _clock() if ports.clock is None else ports.clock
    http = Lazily(_stdlib_http) if ports.http is None else ports.http
    state = memory_storage(ports.clock) if ports.state is None else ports.state
    credentials = NoCredentials() if ports.credentials is None else ports.credentials
    if ports.sleeper is None:
        from mooring.adapters.clock import ThreadSleeper

        sleeper: Any = ThreadSleeper()
    else:
        sleeper = ports.sleeper
    locks = Lazily(_thread_locks) if ports.locks is None else ports.locks
    gather = Lazily(_thread_gather) if ports.gather is None else ports.gather
    core = _core(
        ports,
        clock,
        execute=lift_one(state.execute),
        ask=state.execute,
        post=state.post,
        send=lift(_verb(http, "send")),
        open=lift(_verb(http, "open")),
        sleep=lift_one(sleeper.sleep),
        acquire=lift(_verb(locks, "acquire")),
        release=_verb(locks, "release"),
        every=gathered_now(_verb(gather, "every")),
        first=gathered_now(_verb(gather, "first")),
        get_credentials=lift(credentials.get),
        refresh_credentials=lift(credentials.refresh),
        settle=settle_now,
    )
    return Wired(core, http)


def awaited_core(ports: Ports) -> Wired:
    """A core whose ports are awaited."""
    check_colour(ports, awaited=True)
    clock = _clock() if ports.clock is None else ports.clock
    http = Lazily(_stdlib_http_async) if ports.http is None else ports.http
    if ports.state is None:
        # Memory never makes a task wait, so the plain store serves here as it is.
        memory = memory_storage(ports.clock)
        execute, ask, post = lift_one(memory.execute), memory.execute, memory.post
    else:
        execute, post = ports.state.execute, ports.state.post
        ask = _asked_at_once(ports.state)
    credentials = ports.credentials
    if credentials is None:
        nobody = NoCredentials()
        get, refresh = lift(nobody.get), lift(nobody.refresh)
    else:
        get, refresh = credentials.get, credentials.refresh
    sleeper = Lazily(_asyncio_sleeper) if ports.sleeper is None else ports.sleeper
    locks = Lazily(_asyncio_locks) if ports.locks is None else ports.locks
    gather = Lazily(_asyncio_gather) if ports.gather is None else ports.gather
    core = _core(
        ports,
        clock,
        execute=execute,
        ask=ask,
        post=post,
        send=_verb(http, "send"),
        open=_verb(http, "open"),
        sleep=_verb(sleeper, "sleep"),
        acquire=_verb(locks, "acquire"),
        release=_verb(locks, "release"),
        every=_verb(gather, "every"),
        first=_verb(gather, "first"),
        get_credentials=get,
        refresh_credentials=refresh,
        settle=settle_later,
    )
    return Wired(core, http)


def _core(ports: Ports, clock: Any, **verbs: Any) -> Core:  # noqa: ANN401 - as Core says
    if ports.randomness is None:
        from mooring.adapters.chance import SystemRandomness

        randomness: Any = SystemRandomness()
    else:
        randomness = ports.randomness
    ids = Lazily(_ulids) if ports.ids is None else ports.ids
    observers = list(ports.observers)
    for observer in observers:
        if not callable(observer) or inspect.iscoroutinefunction(observer):
            raise ConfigurationError(
                f"{observer!r} is not an observer.",
                path="observers",
                remedy="Give plain functions of one event.",
            )
    if ports.log is not None:
        observers.append(LogObserver(ports.log.write))
    return Core(
        **verbs,
        copy=copy.deepcopy,
        nanoseconds=clock.nanoseconds,
        utc=clock.utc,
        new_id=_verb(ids, "new"),
        fraction=randomness.fraction,
        token=randomness.token,
        observers=tuple(observers),
        reporter=f"{os.getpid()}-{randomness.token()}",
    )


def _asked_at_once(state: Any) -> Any:  # noqa: ANN401 - a store
    """The plain `execute` of an asynchronous store that never makes a task wait, if it has one."""
    shared = getattr(state, "shared", None)
    return getattr(shared, "execute", None)


class Lazily:
    """An adapter that is made when it is first used."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None
        self._lock = threading.Lock()

    def get(self) -> Any:  # noqa: ANN401 - the adapter
        """The adapter."""
        if self._made is None:
            with self._lock:
                if self._made is None:
                    self._made = self._make()
        return self._made

    def made(self) -> Any:  # noqa: ANN401 - the adapter
        """The adapter if it was ever used, else None."""
        return self._made


def _verb(port: Any, name: str) -> Callable[..., Any]:  # noqa: ANN401 - any port
    if not isinstance(port, Lazily):
        return getattr(port, name)  # type: ignore[no-any-return]  # checked by its colour

    def verb(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the port's
        return getattr(port.get(), name)(*args, **kwargs)

    return verb


class LogObserver:
    """Writes an entry of the integration log for every call that finished."""

    def __init__(self, write: Callable[[Any], None]) -> None:
        from mooring.domain.integration_log import entry_of

        self._entry_of = entry_of
        self._write = write

    def __call__(self, event: Event) -> None:
        """Write, if a call finished."""
        entry = self._entry_of(event)
        if entry is not None:
            self._write(entry)


class NoCredentials:
    """The credential provider of a host that has given none."""

    def get(self, service: str, tenant: str | None, /) -> Any:  # noqa: ANN401 - never returns
        """There is none."""
        raise CredentialNotFound(
            f"no credential provider was given, and {service!r} needs credentials.",
            remedy="Give the manager `credentials=`, or the service its own.",
        )

    def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:  # noqa: ANN401
        """There is none."""
        return self.get(service, tenant)


def both_colours(storage: Any, clock: Any) -> tuple[Any, Any]:  # noqa: ANN401 - stores
    """A store for each colour; None where the one given serves only the other.

    Memory never makes a task wait, so the store in memory serves both at once.
    """
    from mooring.adapters.memory import AsyncMemoryStorage, MemoryStorage

    if storage is None:
        storage = MemoryStorage(clock)
    if isinstance(storage, AsyncMemoryStorage):
        storage = storage.shared
    if isinstance(storage, MemoryStorage):
        return storage, AsyncMemoryStorage(storage)
    awaited = inspect.iscoroutinefunction(getattr(storage, "execute", None))
    return (None, storage) if awaited else (storage, None)


def memory_storage(clock: Any = None) -> Any:  # noqa: ANN401 - MemoryStorage, imported late
    """The embedded store."""
    from mooring.adapters.memory import MemoryStorage

    return MemoryStorage(clock)


def _clock() -> Any:  # noqa: ANN401 - imported late
    from mooring.adapters.clock import SystemClock

    return SystemClock()


def _stdlib_http() -> Any:  # noqa: ANN401 - imported late
    from mooring.adapters.stdlib_http import StdlibHttpClient

    return StdlibHttpClient()


def _stdlib_http_async() -> Any:  # noqa: ANN401 - imported late
    from mooring.adapters.stdlib_http_async import AsyncStdlibHttpClient

    return AsyncStdlibHttpClient()


def _thread_locks() -> Any:  # noqa: ANN401 - imported late
    from mooring.adapters.locks import ThreadLocks

    return ThreadLocks()


def _asyncio_locks() -> Any:  # noqa: ANN401 - imported late
    from mooring.adapters.locks_async import AsyncioLocks

    return AsyncioLocks()


def _thread_gather() -> Any:  # noqa: ANN401 - imported late
    from mooring.adapters.gather import ThreadGather

    return ThreadGather()


def _asyncio_gather() -> Any:  # noqa: ANN401 - imported late
    from mooring.adapters.gather_async import AsyncioGather

    return AsyncioGather()


def _asyncio_sleeper() -> Any:  # noqa: ANN401 - imported late
    from mooring.adapters.clock_async import AsyncioSleeper

    return AsyncioSleeper()


def _ulids() -> Any:  # noqa: ANN401 - imported late
    from mooring.adapters.chance import UlidIds

    return UlidIds()
