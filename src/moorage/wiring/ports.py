"""Checks the host's ports: synchronous ones for managers, asynchronous ones for async managers."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.values.names import name_of
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.ports.observer import Observer


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
    claims: Any = None
    cache: Any = None
    credentials: Any = None
    cipher: Any = None
    log: Any = None
    observers: tuple[Observer, ...] = attrs.field(default=(), converter=_several)
    clock: Any = None
    sleeper: Any = None
    ids: Any = None
    randomness: Any = None
    locks: Any = None
    gather: Any = None


_AWAITED: Final = {
    "http": ("send", "open"),
    "state": ("execute",),
    "claims": ("execute",),
    "cache": ("look", "keep", "forget"),
    "credentials": ("get", "refresh"),
    "sleeper": ("sleep",),
    "locks": ("acquire",),
    "gather": ("every", "first"),
}
"""What the asynchronous face awaits of each port. Only the first must be there from the start."""

_PLAIN: Final = {
    "state": ("post",),
    "claims": ("post",),
    "locks": ("release",),
    "cipher": ("seal", "open"),
    "log": ("write",),
    "clock": ("nanoseconds", "utc"),
    "ids": ("new",),
    "randomness": ("fraction", "token"),
}
"""What neither face awaits."""


def check_sync_or_async(ports: Ports, *, awaited: bool) -> None:
    """Refuse, by name, a synchronous port for an asynchronous manager, and the reverse."""
    for name, verbs in _AWAITED.items():
        port = getattr(ports, name)
        if port is not None:
            check_verb(port, name, verbs[0])
            for verb in verbs:
                _check_awaited(port, name, verb, awaited=awaited)
    for name, verbs in _PLAIN.items():
        port = getattr(ports, name)
        if port is not None:
            for verb in verbs:
                check_verb(port, name, verb)
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


def check_verb(port: object, name: str, verb: str) -> None:
    """Refuse a port that lacks a verb, by name."""
    if not callable(getattr(port, verb, None)):
        raise ConfigurationError(
            f"{type(port).__name__} has no `{verb}`.",
            path=name,
            remedy=f"Give a port as described in moorage.ports, for {name}.",
        )


def _check_awaited(port: object, name: str, verb: str, *, awaited: bool) -> None:
    method = getattr(port, verb, None)
    if method is not None and inspect.iscoroutinefunction(method) is not awaited:
        expected, actual = ("asynchronous", "plain") if awaited else ("plain", "asynchronous")
        other = "ConnectorManager" if awaited else "AsyncConnectorManager"
        raise ConfigurationError(
            f"{type(port).__name__}.{verb} is {actual}, and this face needs {expected} ports.",
            path=name,
            remedy=f"Give the {expected} one, or use {other}.",
        )
