"""What flows may reach of the outside: every port as one awaited callable, or a plain one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import attrs

from mooring.domain.events import ObserverFailed
from mooring.domain.names import name_of

if TYPE_CHECKING:
    from datetime import datetime

    from mooring.domain.auth import Credentials
    from mooring.domain.events import Event
    from mooring.domain.http import Request, Response, Timeouts
    from mooring.domain.state import Command
    from mooring.ports.http import AsyncIncoming
    from mooring.ports.observer import Observer

R = TypeVar("R")
Flow: TypeAlias = Coroutine[Any, Any, R]
Step: TypeAlias = Callable[[], Awaitable[R]]


@attrs.frozen(kw_only=True)
class Core:
    """The ports of one face, all of one colour as far as a flow can tell.

    `ask` is `execute` where the store never makes anyone wait, so that there is nothing to await;
    else None. `settle` takes what a user's function returned: the asynchronous face awaits an
    awaitable, the synchronous one refuses it. `copy` makes a value of the user's that nobody else
    holds.
    """

    execute: Callable[[Command[Any]], Flow[Any]]
    ask: Callable[[Command[Any]], Any] | None = None
    post: Callable[[Command[Any]], None]
    send: Callable[[Request, str, Timeouts], Flow[Response]]
    open: Callable[[Request, str, Timeouts], Flow[AsyncIncoming]]
    sleep: Callable[[float], Flow[None]]
    acquire: Callable[..., Flow[bool]]
    release: Callable[[str, object], None]
    every: Callable[..., Flow[list[Any]]]
    first: Callable[..., Flow[Any]]
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
    reporter: str = "this process"

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
