"""Builds a manager's core from the application's ports and the default adapters."""

from __future__ import annotations

import copy
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.forking import in_child
from moorage.domain.values.durations import count
from moorage.domain.values.frozen_values import evolve, frozen
from moorage.domain.values.functions import with_timeout
from moorage.domain.values.plain import copy_function
from moorage.runtime.flows import (
    as_async,
    gathered_sync,
    guarded_async,
    guarded_port,
    in_thread,
    incoming_as_async,
    limited_by,
    one_argument_as_async,
    settle_async,
    settle_sync,
    within_sync,
)
from moorage.services.calling.guarded_cache import GuardedCache
from moorage.services.core.core import Core
from moorage.services.core.foreign_errors import (
    audit_failure,
    cache_failure,
    credential_read_failure,
    credential_store_failure,
    http_failure,
    negotiator_failure,
    refresh_failure,
)
from moorage.services.core.waiting import Waiters
from moorage.wiring import defaults
from moorage.wiring.event_loop_warning import EventLoopWarning
from moorage.wiring.observers import LogObserver, Observers, UnobservedFailure
from moorage.wiring.ports import check_sync_or_async, check_verb
from moorage.wiring.stores import async_store_verbs, sync_store_verbs, with_stores

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.service.plan import Slots
    from moorage.wiring.ports import Ports

_CACHE: Final = (("find", 1), ("store", 4), ("delete", 1))
"""The methods of a cache, and the number of arguments of each before its timeout."""


@frozen
class WiredCore:
    """A core, together with the adapters from which it was built.

    Attributes:
        core: the ports of a manager.
        http: the HTTP client.
        send: the `send` of the HTTP client, which the fast path calls directly.
        claims: the store of idempotency keys.
        credential_verbs: makes the core's functions of a credential provider.
        waits: True if the core is asynchronous.
    """

    core: Core
    http: Any
    send: Callable[..., Any]
    claims: Any
    credential_verbs: Callable[[Any], dict[str, Any]]
    waits: bool

    def with_credentials(self, credentials: Any) -> Core:
        """Return the same core with another credential provider."""
        return evolve(self.core, **self.credential_verbs(credentials))

    def end_default_http(self) -> Any:
        """Return the default HTTP client for the caller to close, and create none from now on.

        The result is None if it was never used, or if the application passed its own.
        """
        return self.http.end() if isinstance(self.http, defaults.LazyAdapter) else None


def sync_core(ports: Ports) -> WiredCore:
    """Return a core with synchronous ports."""
    check_sync_or_async(ports, is_async=False)
    clock = defaults.default_adapter("clock") if ports.clock is None else ports.clock
    http = defaults.lazy_adapter("http") if ports.http is None else ports.http
    state = defaults.memory_storage(ports.clock) if ports.state is None else ports.state
    sleeper = defaults.default_adapter("sleeper") if ports.sleeper is None else ports.sleeper
    locks = defaults.lazy_adapter("locks") if ports.locks is None else ports.locks
    gather = defaults.lazy_adapter("gather") if ports.gather is None else ports.gather
    loop_warning = EventLoopWarning()
    client_send = _verb(http, "send", "http")
    send = loop_warning.wrap(client_send)
    negotiator = ports.negotiator or defaults.lazy_adapter("negotiator")
    core = _core(
        ports,
        clock,
        **sync_store_verbs(state),
        send=as_async(guarded_port(send, http_failure)),
        open=incoming_as_async(
            guarded_port(loop_warning.wrap(_verb(http, "open", "http")), http_failure)
        ),
        learn=getattr(http, "learn_secrets", None),
        sleep=one_argument_as_async(loop_warning.wrap(sleeper.sleep)),
        acquire=as_async(_verb(locks, "acquire", "locks")),
        slots=_slots(locks),
        release=_verb(locks, "release", "locks"),
        run_all=gathered_sync(_verb(gather, "run_all", "gather")),
        first=gathered_sync(_verb(gather, "first", "gather")),
        **_sync_credential_verbs(ports.credentials),
        negotiate=as_async(
            guarded_port(_verb(negotiator, "token", "negotiator"), negotiator_failure)
        ),
        settle=settle_sync,
        within=within_sync,
        audit=audit_verb(ports.audit, is_async=False),
    )
    core = _with_cache(core, ports, lambda verb: as_async(guarded_port(verb, cache_failure)))
    core, claims = with_stores(core, ports, state, sync_store_verbs)
    # Next to a real exchange the watch costs nothing. A client of the host may be a fast stand-in,
    # so it is watched wherever the flow sends, for example at the first call of each service.
    fast_send = send if defaults.is_ours(http) else client_send
    return WiredCore(core, http, fast_send, claims, _sync_credential_verbs, waits=False)


def async_core(ports: Ports) -> WiredCore:
    """Return a core with asynchronous ports."""
    check_sync_or_async(ports, is_async=True)
    clock = defaults.default_adapter("clock") if ports.clock is None else ports.clock
    http = defaults.lazy_adapter("async http") if ports.http is None else ports.http
    state = defaults.memory_storage(ports.clock) if ports.state is None else ports.state
    sleeper = defaults.lazy_adapter("async sleeper") if ports.sleeper is None else ports.sleeper
    locks = defaults.lazy_adapter("async locks") if ports.locks is None else ports.locks
    gather = defaults.lazy_adapter("async gather") if ports.gather is None else ports.gather
    send = _verb(http, "send", "http")
    negotiator = ports.negotiator or defaults.lazy_adapter("async negotiator")
    core = _core(
        ports,
        clock,
        **async_store_verbs(state),
        send=guarded_async(send, http_failure),
        open=guarded_async(_verb(http, "open", "http"), http_failure),
        learn=getattr(http, "learn_secrets", None),
        sleep=_verb(sleeper, "sleep", "sleeper"),
        acquire=_verb(locks, "acquire", "locks"),
        slots=_slots(locks),
        release=_verb(locks, "release", "locks"),
        run_all=_verb(gather, "run_all", "gather"),
        first=_verb(gather, "first", "gather"),
        **_async_credential_verbs(ports.credentials),
        negotiate=guarded_async(_verb(negotiator, "token", "negotiator"), negotiator_failure),
        settle=settle_async,
        within=limited_by(clock.nanoseconds),
        run_computation=in_thread,
        audit=audit_verb(ports.audit, is_async=True),
    )
    core = _with_cache(core, ports, lambda verb: guarded_async(verb, cache_failure))
    core, claims = with_stores(core, ports, state, async_store_verbs)
    return WiredCore(core, http, send, claims, _async_credential_verbs, waits=True)


def audit_verb(audit: Any, *, is_async: bool) -> Callable[..., Any] | None:
    """Return the function that writes a manual action to the audit trail; None without a trail."""
    if audit is None:
        return None
    record = guarded_port(_verb(audit, "record", "audit"), audit_failure)
    return partial(_in_thread, record) if is_async else as_async(record)


async def _in_thread(function: Callable[..., Any], **arguments: Any) -> Any:
    """Run a synchronous function in a thread, so that the event loop is not blocked."""
    return await in_thread(partial(function, **arguments))


def _sync_credential_verbs(credentials: Any) -> dict[str, Any]:
    """Return a synchronous credential provider's methods, which convert foreign exceptions."""
    provider = defaults.NoCredentials() if credentials is None else credentials
    store_credentials = _writing_verb(provider)
    return {
        "get_credentials": as_async(guarded_port(provider.get, credential_read_failure)),
        "refresh_credentials": as_async(
            guarded_port(_verb(provider, "refresh", "credentials"), refresh_failure)
        ),
        "store_credentials": None
        if store_credentials is None
        else as_async(guarded_port(store_credentials, credential_store_failure)),
    }


def _async_credential_verbs(credentials: Any) -> dict[str, Any]:
    """Return an asynchronous credential provider's methods, which convert foreign exceptions."""
    get_credentials = as_async(defaults.NoCredentials().get)
    if credentials is not None:
        get_credentials = guarded_async(credentials.get, credential_read_failure)
    store_credentials = _writing_verb(credentials)
    return {
        "get_credentials": get_credentials,
        "refresh_credentials": guarded_async(
            _verb(credentials, "refresh", "credentials"), refresh_failure
        ),
        "store_credentials": None
        if store_credentials is None
        else guarded_async(store_credentials, credential_store_failure),
    }


def _writing_verb(provider: Any) -> Callable[..., Any] | None:
    """Return the `rotate` method of a credential provider; None if it cannot store credentials."""
    return None if getattr(provider, "read_only", False) else getattr(provider, "rotate", None)


def _core(ports: Ports, clock: Any, **verbs: Any) -> Core:
    randomness = ports.randomness
    if randomness is None:
        randomness = defaults.default_adapter("randomness")
    ids = defaults.lazy_adapter("ids") if ports.ids is None else ports.ids
    all_observers = list(ports.observers)
    log_observer = None
    if ports.log is not None:
        log_observer = LogObserver(ports.log)
        all_observers.append(log_observer)
    observers = Observers(all_observers, UnobservedFailure())
    if log_observer is not None:
        log_observer.notify = observers.notify
    waiters = Waiters(Lock)
    in_child(waiters, Waiters.restart_after_fork)
    tenant_records = None
    if ports.records_per_tenant is not None:
        from moorage.services.core.tenant_records import TenantRecords

        tenant_records = TenantRecords(count(ports.records_per_tenant, "records_per_tenant"))
        in_child(tenant_records, TenantRecords.restart_after_fork)
    return Core(
        **verbs,
        waiters=waiters,
        tenant_records=tenant_records,
        copy=copy_function(copy.deepcopy),
        nanoseconds=clock.nanoseconds,
        utc=clock.utc,
        **({"wall": clock.wall} if ports.clock is None else {}),
        new_id=_verb(ids, "new", "ids"),
        late_id=_verb(ids, "at", "ids") if ports.ids is None else None,
        fraction=randomness.fraction,
        token=randomness.token,
        observers=bool(observers),
        notify=observers.notify,
        notify_observers=observers.notify_observers,
        notify_success=observers.notify_success,
        listeners=observers.listeners,
        traced=observers.traced if observers.traces else None,
        trace_headers=observers.trace_headers if observers.traces else None,
        watch_pools=observers.watch_pools,
        watch_pipeline=observers.watch_pipeline,
        observes_attempt_starts=observers.observes_attempt_starts,
        observes_starts=observers.observes_starts,
        observes_attempts=observers.observes_attempts,
        observes_ends=observers.observes_ends,
        stores_content=log_observer is not None,
        cipher=ports.cipher,
        reporter=defaults.Reporter(randomness.token),
    )


def _with_cache(core: Core, ports: Ports, guard: Callable[[Any], Any]) -> Core:
    """Return the core with a cache: the application's, or one in the memory of this process."""
    cache, find_now = ports.cache, None
    if cache is None:
        # A store in memory never makes a task wait.
        cache, guard = (
            defaults.LazyAdapter(
                "moorage's MemoryCache", lambda: defaults.memory_cache(ports.clock)
            ),
            as_async,
        )
        find_now = _verb(cache, "find", "cache")
    find_answers, store, delete = (
        guard(with_timeout(_verb(cache, verb, "cache"), arguments)) for verb, arguments in _CACHE
    )
    guarded_cache = GuardedCache(core, find_answers, store, delete, find_now)
    in_child(guarded_cache, GuardedCache.restart_after_fork)
    return evolve(core, cache=guarded_cache)


def _slots(locks: Any) -> Callable[[], Slots] | None:
    """Return a function that finds the locks' methods to take and free a slot without waiting.

    It is None if they may have to wait.
    """

    def slots() -> Slots:
        adapter = locks.get() if isinstance(locks, defaults.LazyAdapter) else locks
        return adapter.enter, adapter.release

    is_at_once = isinstance(locks, defaults.LazyAdapter) or getattr(locks, "enter", None)
    return slots if is_at_once else None


def _verb(port: Any, verb: str, name: str) -> Callable[..., Any]:
    if not isinstance(port, defaults.LazyAdapter):
        method = getattr(port, verb, None)
        return _verb_that_fails(port, verb, name) if method is None else method

    bound_method: Any = None

    def lazy_call(*args: Any, **kwargs: Any) -> Any:
        nonlocal bound_method
        if bound_method is None:
            bound_method = getattr(port.get(), verb)
        return bound_method(*args, **kwargs)

    return lazy_call


def _verb_that_fails(port: object, verb: str, name: str) -> Callable[..., Any]:
    def refuse_verb(*_: object) -> None:
        check_verb(port, name, verb)

    return refuse_verb
