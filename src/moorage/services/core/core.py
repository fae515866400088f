"""The ports that flows use, each as an awaitable or a plain callable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import attrs

from moorage.domain.observation.events import ObserverFailed
from moorage.domain.service.plan import AFTERWARDS
from moorage.domain.values.names import name_of
from moorage.services.core.nonces import Nonces
from moorage.services.core.refreshes import UnprovenRefreshes
from moorage.services.core.renewal import Unrenewed
from moorage.services.core.waiting import Waiters

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.auth.methods import Credentials
    from moorage.domain.auth.sent_values import Learner
    from moorage.domain.http.requests import Request, Response, Timeouts
    from moorage.domain.observation.events import Event
    from moorage.domain.state.commands import Command
    from moorage.ports.cipher import Cipher
    from moorage.ports.http import AsyncIncoming
    from moorage.ports.observer import Observer
    from moorage.services.calling.guarded_cache import GuardedCache
    from moorage.services.core.renewal import Renewals

R = TypeVar("R")
Flow: TypeAlias = Coroutine[Any, Any, R]
Step: TypeAlias = Callable[[], Awaitable[R]]


def seconds_left(core: Core, until: int) -> float:
    """Seconds that a store may take until `until`, which is in nanoseconds of the local clock.

    A record that must be written gets a moment even if no time is left.
    """
    return max(AFTERWARDS, (until - core.nanoseconds()) / 1e9)


def _no_one(_: ObserverFailed) -> None:
    """Ignore a failed observer, since no other is left to be notified."""


@attrs.frozen(kw_only=True)
class Core:
    """The ports of one manager, synchronous or asynchronous; flows cannot tell the difference.

    `execute` and `ask` receive the seconds left until the caller's deadline, or None without one;
    `waits` tells if the store may make its callers wait at all. `ask` is `execute` if the store
    never makes anyone wait, so that there is nothing to await; else None. With `apart`,
    idempotency keys live in another store than circuits and limits, and no command may combine
    them. `settle` receives the result of a user's function: the async manager awaits an awaitable,
    the sync one refuses it. `copy` makes an independent copy of a user's value. `cache` stores
    answers. `nonces` are the values that servers require in proofs of possession. `refreshes` are
    renewals whose credential was not accepted yet. `renewals` keep claims from expiring. `waiters`
    are the callers of this process that wait for a limit. `learn` receives the credential of each
    attempt, if the HTTP client logs what it sends. `unheard` is notified of a failed observer if
    no other observer was. `reporter` names the process, anew in a forked child.
    """

    execute: Callable[[Command[Any], float | None], Flow[Any]]
    apart: bool = False
    waits: bool = False
    ask: Callable[[Command[Any], float | None], Any] | None = None
    post: Callable[[Command[Any]], None]
    send: Callable[[Request, str, Timeouts], Flow[Response]]
    open: Callable[[Request, str, Timeouts], Flow[AsyncIncoming]]
    learn: Learner | None = None
    sleep: Callable[[float], Flow[None]]
    acquire: Callable[..., Flow[bool]]
    release: Callable[[str, object], None]
    every: Callable[..., Flow[list[Any]]]
    first: Callable[..., Flow[Any]]
    cache: GuardedCache = None  # type: ignore[assignment]  # the core of every manager has one
    get_credentials: Callable[[str, str | None], Flow[Credentials]]
    refresh_credentials: Callable[[str, str | None, Credentials], Flow[Credentials]]
    settle: Callable[[Any], Flow[Any]]
    within: Callable[[Awaitable[Any], float], Flow[Any]]
    copy: Callable[[Any], Any]
    nanoseconds: Callable[[], int]
    utc: Callable[[], datetime]
    new_id: Callable[[], str]
    fraction: Callable[[], float]
    token: Callable[[], int]
    observers: Sequence[Observer] = ()
    cipher: Cipher | None = None
    nonces: Nonces = attrs.field(factory=Nonces)
    refreshes: UnprovenRefreshes = attrs.field(factory=UnprovenRefreshes)
    renewals: Renewals | Unrenewed = attrs.field(factory=Unrenewed)
    waiters: Waiters = attrs.field(factory=Waiters)
    reporter: Callable[[], str]
    unheard: Callable[[ObserverFailed], None] = _no_one

    def moment(self, due: int) -> datetime:
        """The wall-clock time at which the local clock is at `due` nanoseconds."""
        return self.utc() + timedelta(0, 0, -((self.nanoseconds() - due) // 1000))

    def tell(self, event: Event) -> None:
        """Pass an event to every observer; one that raises is reported, and changes nothing."""
        for observer in self.observers:
            try:
                observer(event)
            except Exception as error:  # noqa: BLE001 - an observer never breaks a call
                self._report(observer, error, event)

    def _report(self, failed: Observer, error: Exception, event: Event) -> None:
        failure = ObserverFailed(
            at=event.at,
            service=event.service,
            operation=event.operation,
            tenant=event.tenant,
            request_id=event.request_id,
            observer=name_of(failed),
            error=type(error).__name__,
        )
        heard = False
        for observer in self.observers:
            if observer is not failed:
                try:
                    observer(failure)
                except Exception:  # noqa: BLE001, S112 - it is an observer that fails, too
                    continue
                heard = True
        if not heard:
            self.unheard(failure)
