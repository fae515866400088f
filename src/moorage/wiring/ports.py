"""Checks that an application's ports fit its manager: both synchronous or both asynchronous."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.frozen_values import field, fields_of, frozen
from moorage.domain.values.names import name_of
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypedDict as OptionTable

    from moorage.ports.audit import AuditTrail
    from moorage.ports.cache import AsyncResponseCache, ResponseCache
    from moorage.ports.chance import Ids, Randomness
    from moorage.ports.cipher import Cipher
    from moorage.ports.clock import AsyncSleeper, Clock, Sleeper
    from moorage.ports.credentials import AsyncCredentialProvider, CredentialProvider
    from moorage.ports.gather import AsyncGather, Gather
    from moorage.ports.http import AsyncHttpClient, HttpClient
    from moorage.ports.integration_log import AsyncIntegrationLogger, IntegrationLogger
    from moorage.ports.locks import AsyncLocks, Locks
    from moorage.ports.negotiator import AsyncNegotiator, Negotiator
    from moorage.ports.observer import Observer
    from moorage.ports.state import AsyncStateStorage, StateStorage
else:

    class OptionTable:
        """Stands in for `TypedDict` at run time, because a real one would be slow to import."""

        def __init_subclass__(cls, *, total: bool = True) -> None:
            """Accept the keyword argument `total`, as `TypedDict` does."""


class _PortOptions(OptionTable, total=False):
    """The ports that synchronous and asynchronous managers share; None selects the default."""

    cipher: Cipher | None
    audit: AuditTrail | None
    observers: Iterable[Observer]
    clock: Clock | None
    ids: Ids | None
    randomness: Randomness | None
    records_per_tenant: int | None


class PortOptions(_PortOptions, total=False):
    """The ports of a synchronous manager, as keyword arguments."""

    http: HttpClient | None
    state: StateStorage | None
    claims: StateStorage | None
    cache: ResponseCache | None
    credentials: CredentialProvider | None
    negotiator: Negotiator | None
    log: IntegrationLogger | None
    sleeper: Sleeper | None
    locks: Locks | None
    gather: Gather | None


class AsyncPortOptions(_PortOptions, total=False):
    """The ports of an asynchronous manager, as keyword arguments."""

    http: AsyncHttpClient | None
    state: AsyncStateStorage | None
    claims: AsyncStateStorage | None
    cache: AsyncResponseCache | None
    credentials: AsyncCredentialProvider | None
    negotiator: AsyncNegotiator | None
    log: AsyncIntegrationLogger | None
    sleeper: AsyncSleeper | None
    locks: AsyncLocks | None
    gather: AsyncGather | None


def _observer_list(observers: Iterable[Observer]) -> tuple[Observer, ...]:
    try:
        return tuple(observers)
    except TypeError:
        raise ConfigurationError(
            f"The value is {with_article(type(observers).__name__)}, not a list of observers.",
            path="observers",
            remedy="Pass a list of functions that take one event, such as [print].",
        ) from None


@frozen(kw_only=True)
class Ports:
    """The implementations of ports that the application passed; None means the default."""

    http: Any = None
    state: Any = None
    claims: Any = None
    cache: Any = None
    credentials: Any = None
    negotiator: Any = None
    cipher: Any = None
    log: Any = None
    audit: Any = None
    observers: tuple[Observer, ...] = field(default=(), converter=_observer_list)
    clock: Any = None
    sleeper: Any = None
    ids: Any = None
    randomness: Any = None
    locks: Any = None
    gather: Any = None
    records_per_tenant: int | None = None


PORT_DEFAULTS: Final[dict[str, Any]] = {field.name: field.default for field in fields_of(Ports)}
"""The default of each port, in the order in which they are documented."""

_AWAITED_METHODS: Final = {
    "http": ("send", "open"),
    "state": ("execute",),
    "claims": ("execute",),
    "cache": ("find", "store", "delete"),
    "credentials": ("get", "refresh"),
    "negotiator": ("token",),
    "sleeper": ("sleep",),
    "locks": ("acquire",),
    "gather": ("run_all", "first"),
}
"""The methods that an asynchronous manager awaits. Only the first must exist from the start."""

_TOKEN_METHODS: Final = ("get", "has", "refresh", "rotate")
"""The methods that an object passed as `tokens`, a store of OAuth tokens, must have."""

_PLAIN_METHODS: Final = {
    "state": ("post",),
    "claims": ("post",),
    "locks": ("release",),
    "cipher": ("seal", "open"),
    "log": ("write",),
    "audit": ("record",),
    "clock": ("nanoseconds", "utc"),
    "ids": ("new",),
    "randomness": ("fraction", "token"),
}
"""The methods that no manager awaits."""


_PLAIN_TYPES: Final = frozenset({bool, int, float, str, bytes, list, tuple, dict, set, frozenset})
"""The types of values that implement no port, although some have a method of the same name."""


def check_tokens(tokens: object, *, is_async: bool) -> None:
    """Refuse a store of OAuth tokens that is no credential provider, or one of the other mode."""
    if tokens is not None:
        for verb in _TOKEN_METHODS:
            check_verb(tokens, "tokens", verb)
            _check_async(tokens, "tokens", verb, is_async=is_async)


def check_sync_or_async(ports: Ports, *, is_async: bool) -> None:
    """Refuse a port of the other mode: synchronous in an async manager, or the reverse."""
    for name, verbs in _AWAITED_METHODS.items():
        port = getattr(ports, name)
        if port is not None:
            check_verb(port, name, verbs[0])
            for verb in verbs:
                _check_async(port, name, verb, is_async=is_async)
    for name, verbs in _PLAIN_METHODS.items():
        port = getattr(ports, name)
        if port is not None:
            for verb in verbs:
                check_verb(port, name, verb)
                if inspect.iscoroutinefunction(getattr(port, verb)):
                    raise ConfigurationError(
                        f"{type(port).__name__}.{verb} is asynchronous, but moorage never"
                        " awaits it.",
                        path=name,
                        remedy="Use a synchronous function that returns at once.",
                    )
    for observer in ports.observers:
        if not callable(observer) or inspect.iscoroutinefunction(observer):
            raise ConfigurationError(
                f"{name_of(observer)} is not an observer.",
                path="observers",
                remedy="Pass synchronous functions that take one event.",
            )


def check_object(port: object, name: str) -> None:
    """Raise an error if a port is a number, a text or a collection."""
    if type(port) in _PLAIN_TYPES:
        raise ConfigurationError(
            f"{name} cannot be {with_article(type(port).__name__)}.",
            path=name,
            remedy=_remedy(name),
        )


def _remedy(name: str) -> str:
    return f"Pass an object with the methods that moorage.ports describes for {name}."


def check_verb(port: object, name: str, verb: str) -> None:
    """Raise an error if a port lacks a required method, or is a class and not an object."""
    check_object(port, name)
    if isinstance(port, type) and inspect.isfunction(inspect.getattr_static(port, verb, None)):
        raise ConfigurationError(
            f"{port.__name__} is a class.",
            path=name,
            remedy=f"Pass an object of the class, such as {port.__name__}(...).",
        )
    if not callable(getattr(port, verb, None)):
        raise ConfigurationError(
            f"{type(port).__name__} has no `{verb}`.",
            path=name,
            remedy=_remedy(name),
        )


def _check_async(port: object, name: str, verb: str, *, is_async: bool) -> None:
    method = getattr(port, verb, None)
    if method is not None and inspect.iscoroutinefunction(method) is not is_async:
        expected_kind, actual_kind = ("asynchronous", "synchronous")
        manager, other_manager = ("AsyncConnectorManager", "ConnectorManager")
        if not is_async:
            expected_kind, actual_kind, manager, other_manager = (
                actual_kind,
                expected_kind,
                other_manager,
                manager,
            )
        raise ConfigurationError(
            f"{type(port).__name__}.{verb} is {actual_kind},"
            f" but {manager} needs {expected_kind} ports.",
            path=name,
            remedy=f"Pass the {expected_kind} one, or use {other_manager}.",
        )
