"""Builds the core of a manager from the host's ports and the defaults."""

from __future__ import annotations

import copy
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.concurrency.forking import in_child
from moorage.domain.values.functions import timed
from moorage.runtime.bridge import (
    bounding,
    gathered_now,
    guarded,
    guarded_later,
    lift,
    lift_incoming,
    lift_one,
    settle_later,
    settle_now,
    within_now,
)
from moorage.services.calling.guarded_cache import GuardedCache
from moorage.services.core.core import Core
from moorage.services.core.foreign_errors import (
    cache_broke,
    http_broke,
    no_credentials,
    not_refreshed,
)
from moorage.services.core.waiting import Waiters
from moorage.wiring import defaults
from moorage.wiring.loops import LoopWatch
from moorage.wiring.observers import LogObserver, NotItself, Unheard
from moorage.wiring.ports import check_colour, check_verb
from moorage.wiring.stores import verbs_later, verbs_now, with_stores

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.wiring.ports import Ports

_CACHE: Final = (("look", 1), ("keep", 4), ("forget", 1))
"""The verbs of a cache, and how many arguments each has before its timeout."""


_ADAPTERS: Final = "moorage.adapters."


@attrs.frozen
class Wired:
    """A core, the HTTP client behind it and its own `send`, and where idempotency keys live.

    `ask` makes the verbs of a core of a provider of credentials; `waits` if it is awaited.
    """

    core: Core
    http: Any
    send: Callable[..., Any]
    claims: Any
    ask: Callable[[Any], dict[str, Any]]
    waits: bool

    def asking(self, credentials: Any) -> Core:
        """Return the same core with another credential provider."""
        return attrs.evolve(self.core, **self.ask(credentials))

    def own_http(self) -> Any:
        """The HTTP client that was made here, if it was ever used; a host's own is its to close."""
        return self.http.made() if isinstance(self.http, defaults.Lazily) else None


def plain_core(ports: Ports) -> Wired:
    """A core whose ports never suspend."""
    check_colour(ports, awaited=False)
    clock = defaults.embedded("clock") if ports.clock is None else ports.clock
    http = defaults.later("http") if ports.http is None else ports.http
    state = defaults.memory_storage(ports.clock) if ports.state is None else ports.state
    sleeper = defaults.embedded("sleeper") if ports.sleeper is None else ports.sleeper
    locks = defaults.later("locks") if ports.locks is None else ports.locks
    gather = defaults.later("gather") if ports.gather is None else ports.gather
    watch = LoopWatch()
    own = _verb(http, "send", "http")
    send = watch.over(own)
    core = _core(
        ports,
        clock,
        **verbs_now(state),
        send=lift(guarded(send, http_broke)),
        open=lift_incoming(guarded(watch.over(_verb(http, "open", "http")), http_broke)),
        learn=getattr(http, "learn_secrets", None),
        sleep=lift_one(watch.over(sleeper.sleep)),
        acquire=lift(_verb(locks, "acquire", "locks")),
        release=_verb(locks, "release", "locks"),
        every=gathered_now(_verb(gather, "every", "gather")),
        first=gathered_now(_verb(gather, "first", "gather")),
        **_asked_now(ports.credentials),
        settle=settle_now,
        within=within_now,
    )
    core = _with_cache(core, ports, lambda verb: lift(guarded(verb, cache_broke)))
    core, claims = with_stores(core, ports, state, verbs_now)
    # Beside a real exchange the watch costs nothing. A client of the host's may be a fast stand-in,
    # and is watched wherever the flow sends, as with the first call of each service.
    direct = send if _is_ours(http) else own
    return Wired(core, http, direct, claims, _asked_now, waits=False)


def awaited_core(ports: Ports) -> Wired:
    """Return a core with asynchronous ports."""
    check_colour(ports, awaited=True)
    clock = defaults.embedded("clock") if ports.clock is None else ports.clock
    http = defaults.later("async http") if ports.http is None else ports.http
    state = defaults.memory_storage(ports.clock) if ports.state is None else ports.state
    sleeper = defaults.later("async sleeper") if ports.sleeper is None else ports.sleeper
    locks = defaults.later("async locks") if ports.locks is None else ports.locks
    gather = defaults.later("async gather") if ports.gather is None else ports.gather
    send = _verb(http, "send", "http")
    core = _core(
        ports,
        clock,
        **verbs_later(state),
        send=guarded_later(send, http_broke),
        open=guarded_later(_verb(http, "open", "http"), http_broke),
        learn=getattr(http, "learn_secrets", None),
        sleep=_verb(sleeper, "sleep", "sleeper"),
        acquire=_verb(locks, "acquire", "locks"),
        release=_verb(locks, "release", "locks"),
        every=_verb(gather, "every", "gather"),
        first=_verb(gather, "first", "gather"),
        **_asked_later(ports.credentials),
        settle=settle_later,
        within=bounding(clock.nanoseconds),
    )
    core = _with_cache(core, ports, lambda verb: guarded_later(verb, cache_broke))
    core, claims = with_stores(core, ports, state, verbs_later)
    return Wired(core, http, send, claims, _asked_later, waits=True)


def _is_ours(http: Any) -> bool:
    """Whether an HTTP client is one of moorage's own adapters, which talk to real vendors."""
    return isinstance(http, defaults.Lazily) or type(http).__module__.startswith(_ADAPTERS)


def _asked_now(credentials: Any) -> dict[str, Any]:
    """The verbs of a plain provider of credentials, which raise nothing foreign."""
    known = defaults.NoCredentials() if credentials is None else credentials
    return {
        "get_credentials": lift(guarded(known.get, no_credentials)),
        "refresh_credentials": lift(guarded(_verb(known, "refresh", "credentials"), not_refreshed)),
    }


def _asked_later(credentials: Any) -> dict[str, Any]:
    """Return an asynchronous credential provider's methods, with its foreign errors wrapped."""
    get = lift(defaults.NoCredentials().get)
    if credentials is not None:
        get = guarded_later(credentials.get, no_credentials)
    return {
        "get_credentials": get,
        "refresh_credentials": guarded_later(
            _verb(credentials, "refresh", "credentials"), not_refreshed
        ),
    }


def _core(ports: Ports, clock: Any, **verbs: Any) -> Core:
    randomness = ports.randomness
    if randomness is None:
        randomness = defaults.embedded("randomness")
    ids = defaults.later("ids") if ports.ids is None else ports.ids
    observers = list(ports.observers)
    if ports.log is not None:
        observers.append(LogObserver(ports.log.write))
    waiters = Waiters(Lock)
    in_child(waiters, Waiters.start_afresh)
    return Core(
        **verbs,
        waiters=waiters,
        copy=copy.deepcopy,
        nanoseconds=clock.nanoseconds,
        utc=clock.utc,
        new_id=_verb(ids, "new", "ids"),
        fraction=randomness.fraction,
        token=randomness.token,
        observers=tuple(map(NotItself, observers)),
        cipher=ports.cipher,
        reporter=defaults.Reporter(randomness.token),
        unheard=Unheard(),
    )


def _with_cache(core: Core, ports: Ports, guard: Callable[[Any], Any]) -> Core:
    """The core with what keeps answers: the host's, or else the memory of this process."""
    cache = ports.cache
    if cache is None:
        # Memory never makes a task wait.
        cache, guard = defaults.Lazily(lambda: defaults.memory_cache(ports.clock)), lift
    look, keep, forget = (
        guard(timed(_verb(cache, verb, "cache"), arguments)) for verb, arguments in _CACHE
    )
    return attrs.evolve(core, cache=GuardedCache(core, look, keep, forget))


def _verb(port: Any, verb: str, name: str) -> Callable[..., Any]:
    if not isinstance(port, defaults.Lazily):
        method = getattr(port, verb, None)
        return _missing(port, verb, name) if method is None else method

    bound: Any = None

    def lazy(*args: Any, **kwargs: Any) -> Any:
        nonlocal bound
        if bound is None:
            bound = getattr(port.get(), verb)
        return bound(*args, **kwargs)

    return lazy


def _missing(port: object, verb: str, name: str) -> Callable[..., Any]:
    def missing(*_: object) -> None:
        check_verb(port, name, verb)

    return missing
