"""The only place that builds things: which adapter stands behind each port.

Every port that is not given has an embedded default. Adapters are imported here, late, so that a
program loads only what it uses.
"""

from __future__ import annotations

import copy
import inspect
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

import attrs

from mooring._bridge import (
    gathered_now,
    guarded,
    guarded_later,
    lift,
    lift_incoming,
    lift_one,
    quiet,
    settle_later,
    settle_now,
    within_later,
    within_now,
)
from mooring.adapters.forking import in_child
from mooring.domain.names import name_of
from mooring.errors import ConfigurationError, CredentialNotFound
from mooring.services.core import Core
from mooring.services.foreign import http_broke, no_credentials, not_refreshed, store_broke

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mooring.domain.events import Event
    from mooring.ports.observer import Observer


def _several(observers: Iterable[Observer]) -> tuple[Observer, ...]:
    try:
        return tuple(observers)
    except TypeError:
        raise ConfigurationError(
            f"a {type(observers).__name__} is not a series of observers.",
            path="observers",
            remedy="Give a list of functions of one event, such as [print].",
        ) from None


@attrs.frozen(kw_only=True)
class Ports:
    """The ports a host has given; None stands for the embedded default."""

    http: Any = None
    state: Any = None
    credentials: Any = None
    log: Any = None
    observers: tuple[Observer, ...] = attrs.field(default=(), converter=_several)
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


_AWAITED: Final = {
    "http": ("send", "open"),
    "state": ("execute",),
    "credentials": ("get", "refresh"),
    "sleeper": ("sleep",),
    "locks": ("acquire",),
    "gather": ("every", "first"),
}
"""What the asynchronous face awaits of each port. Only the first must be there from the start."""

_PLAIN: Final = {
    "state": ("post",),
    "locks": ("release",),
    "log": ("write",),
    "clock": ("nanoseconds", "utc"),
    "ids": ("new",),
    "randomness": ("fraction", "token"),
}
"""What neither face awaits."""


def check_colour(ports: Ports, *, awaited: bool) -> None:
    """Refuse a port of the other colour, by name."""
    for name, verbs in _AWAITED.items():
        port = getattr(ports, name)
        if port is not None:
            _check_verb(port, name, verbs[0])
            for verb in verbs:
                _check_awaited(port, name, verb, awaited=awaited)
    for name, verbs in _PLAIN.items():
        port = getattr(ports, name)
        if port is not None:
            for verb in verbs:
                _check_verb(port, name, verb)
                if inspect.iscoroutinefunction(getattr(port, verb)):
                    raise ConfigurationError(
                        f"{type(port).__name__}.{verb} is asynchronous, and is never awaited.",
                        path=name,
                        remedy="Make it a plain function that returns at once.",
                    )
    for observer in ports.observers:
        if not callable(observer) or inspect.iscoroutinefunction(observer):
            raise ConfigurationError(
                f"{name_of(observer)} is not an observer.",
                path="observers",
                remedy="Give plain functions of one event.",
            )


def _check_verb(port: object, name: str, verb: str) -> None:
    if not callable(getattr(port, verb, None)):
        raise ConfigurationError(
            f"{type(port).__name__} has no `{verb}`.",
            path=name,
            remedy=f"Give a port as described in mooring.ports, for {name}.",
        )


def _check_awaited(port: object, name: str, verb: str, *, awaited: bool) -> None:
    method = getattr(port, verb, None)
    if method is not None and inspect.iscoroutinefunction(method) is not awaited:
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
    execute, post = state.execute, state.post
    if not _is_memory(state):
        execute, post = guarded(execute, store_broke), quiet(post)
    credentials = NoCredentials() if ports.credentials is None else ports.credentials
    sleeper = _thread_sleeper() if ports.sleeper is None else ports.sleeper
    locks = Lazily(_thread_locks) if ports.locks is None else ports.locks
    gather = Lazily(_thread_gather) if ports.gather is None else ports.gather
    core = _core(
        ports,
        clock,
        execute=lift_one(execute),
        ask=execute,
        post=post,
        send=lift(guarded(_verb(http, "send", "http"), http_broke)),
        open=lift_incoming(guarded(_verb(http, "open", "http"), http_broke)),
        sleep=lift_one(sleeper.sleep),
        acquire=lift(_verb(locks, "acquire", "locks")),
        release=_verb(locks, "release", "locks"),
        every=gathered_now(_verb(gather, "every", "gather")),
        first=gathered_now(_verb(gather, "first", "gather")),
        get_credentials=lift(guarded(credentials.get, no_credentials)),
        refresh_credentials=lift(
            guarded(_verb(credentials, "refresh", "credentials"), not_refreshed)
        ),
        settle=settle_now,
        within=within_now,
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
        execute, ask, post = ports.state.execute, None, ports.state.post
        if _is_memory(ports.state):
            ask = ports.state.shared.execute
        else:
            execute, post = guarded_later(execute, store_broke), quiet(post)
    credentials = ports.credentials
    get = lift(NoCredentials().get)
    if credentials is not None:
        get = guarded_later(credentials.get, no_credentials)
    refresh = guarded_later(_verb(credentials, "refresh", "credentials"), not_refreshed)
    sleeper = Lazily(_asyncio_sleeper) if ports.sleeper is None else ports.sleeper
    locks = Lazily(_asyncio_locks) if ports.locks is None else ports.locks
    gather = Lazily(_asyncio_gather) if ports.gather is None else ports.gather
    core = _core(
        ports,
        clock,
        execute=execute,
        ask=ask,
        post=post,
        send=guarded_later(_verb(http, "send", "http"), http_broke),
        open=guarded_later(_verb(http, "open", "http"), http_broke),
        sleep=_verb(sleeper, "sleep", "sleeper"),
        acquire=_verb(locks, "acquire", "locks"),
        release=_verb(locks, "release", "locks"),
        every=_verb(gather, "every", "gather"),
        first=_verb(gather, "first", "gather"),
        get_credentials=get,
        refresh_credentials=refresh,
        settle=settle_later,
        within=within_later,
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
    if ports.log is not None:
        observers.append(LogObserver(ports.log.write))
    return Core(
        **verbs,
        copy=copy.deepcopy,
        nanoseconds=clock.nanoseconds,
        utc=clock.utc,
        new_id=_verb(ids, "new", "ids"),
        fraction=randomness.fraction,
        token=randomness.token,
        observers=tuple(map(NotItself, observers)),
        reporter=f"{os.getpid()}-{randomness.token()}",
    )


def _is_memory(state: object) -> bool:
    """Whether this is our own store in memory, which raises nothing foreign and never waits."""
    memory = sys.modules.get("mooring.adapters.memory")
    return memory is not None and isinstance(
        state, (memory.MemoryStorage, memory.AsyncMemoryStorage)
    )


class Lazily:
    """An adapter that is made when it is first used."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None
        self._unlocked()
        # Another thread may be making it, and would never be done in the child.
        in_child(self, Lazily._unlocked)

    def _unlocked(self) -> None:
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


def _verb(port: Any, verb: str, name: str) -> Callable[..., Any]:  # noqa: ANN401 - any port
    if not isinstance(port, Lazily):
        method = getattr(port, verb, None)
        return _missing(port, verb, name) if method is None else method

    def lazy(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the port's
        return getattr(port.get(), verb)(*args, **kwargs)

    return lazy


def _missing(port: object, verb: str, name: str) -> Callable[..., Any]:
    def missing(*_: object) -> None:
        _check_verb(port, name, verb)

    return missing


class NotItself:
    """An observer that is not told of the calls which it makes itself, while it is being told.

    Else one that calls the manager it observes would never come to an end.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._inside = threading.local()
        self.__qualname__ = name_of(observer)

    def __call__(self, event: Event) -> None:
        """Tell, unless this thread is telling it something already."""
        inside = self._inside
        if getattr(inside, "telling", False):
            return
        inside.telling = True
        try:
            self._observer(event)
        finally:
            inside.telling = False


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

    def get(self, service: str, _: str | None, /) -> Any:  # noqa: ANN401 - never returns
        """There is none."""
        raise CredentialNotFound(
            f"no credential provider was given, and {service!r} needs credentials.",
            remedy="Give the manager `credentials=`, or the service its own.",
        )


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


def _thread_sleeper() -> Any:  # noqa: ANN401 - imported late
    from mooring.adapters.clock import ThreadSleeper

    return ThreadSleeper()


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
