"""What flows may reach of the outside: every port as one awaited callable, or a plain one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import attrs

from moorage.domain.events import ObserverFailed
from moorage.domain.names import name_of
from moorage.services.nonces import Nonces
from moorage.services.refreshes import UnprovenRefreshes
from moorage.services.renewal import Unrenewed

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.auth import Credentials
    from moorage.domain.events import Event
    from moorage.domain.http import Request, Response, Timeouts
    from moorage.domain.sent_values import Learner
    from moorage.domain.state import Command
    from moorage.ports.cipher import Cipher
    from moorage.ports.http import AsyncIncoming
    from moorage.ports.observer import Observer
    from moorage.services.guarded_cache import GuardedCache
    from moorage.services.renewal import Renewals

R = TypeVar("R")
Flow: TypeAlias = Coroutine[Any, Any, R]
Step: TypeAlias = Callable[[], Awaitable[R]]


@attrs.frozen(kw_only=True)
class Core:
    """The ports of one face, all of one colour as far as a flow can tell.

    `execute` and `ask` are told how many seconds of the caller's deadline are left, or None where
    there is no deadline; `waits` says whether the store may make its callers wait at all. `ask` is
    `execute` where the store never makes anyone wait, so that there is nothing to await;
    else None. With `apart`, idempotency keys live in another store than what guards the attempts,
    and no command may join them. `settle` takes what a user's function returned: the asynchronous
    face awaits an awaitable, the synchronous one refuses it. `copy` makes a value of the user's
    that nobody else holds. `cache` keeps answers. `nonces` are what servers want to see in proofs.
    `refreshes` are renewals whose credential was not accepted yet. `renewals` keep claims from
    lapsing. `learn` is told what each attempt sends as a credential, where the HTTP client writes
    down what it sends. `reporter` names the process, anew in a forked child.
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
    reporter: Callable[[], str]

    def moment(self, due: int) -> datetime:
        """What the wall clock says when the local one is at `due` nanoseconds."""
        return self.utc() + timedelta(0, 0, -((self.nanoseconds() - due) // 1000))

    def tell(self, event: Event) -> None:
        """Hand an event to every observer; one that raises breaks nothing but is reported."""
        for observer in self.observers:
            try:
                observer(event)
            except Exception as error:  # noqa: BLE001 - an observer never breaks a call
                self._report(observer, error, event)

    def _report(self, failed: Observer, error: Exception, event: Event) -> None:
        report = ObserverFailed(
            at=event.at,
            service=event.service,
            operation=event.operation,
            tenant=event.tenant,
            request_id=event.request_id,
            observer=name_of(failed),
            error=type(error).__name__,
        )
        for observer in self.observers:
            if observer is not failed:
                try:
                    observer(report)
                except Exception:  # noqa: BLE001, S112 - nobody is left to tell
                    continue
