"""A link that many callers of an asynchronous program use concurrently.

`python -m tools.twins` makes `shared_sync.py` of this file.

It is for protocols whose connections carry many concurrent requests, such as those of message
brokers. Its laws:

1. One link is open at a time. While it is being opened, other callers wait, each until its own time
   limit; if the opening fails, it fails for all callers that waited.
2. A link that broke is replaced by the next caller, and closed by the last one who uses it.
3. A caller that is cancelled leaves the link to the others.
4. A forked child begins without a link, and never touches the link of its parent.
"""

from __future__ import annotations

from copy import copy
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.links._turns_async import Gate, Scope
from moorage.domain.connectors import link_pool
from moorage.domain.connectors.pool_statistics import PoolStatistics
from moorage.domain.resilience.interruptions import dropped_errors
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import AttemptTimeout, ConnectorError
from moorage.ports.link import AsyncDrainingLink

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType


L = TypeVar("L", bound=AsyncDrainingLink)

_CLOSING_SECONDS: Final = 2.0
"""Seconds that the broker may take to end a connection in good order."""


class _Record(Generic[L]):
    """An open link, and the number of callers that use it."""

    __slots__ = ("is_retired", "link", "users")

    def __init__(self, link: L) -> None:
        self.link = link
        self.users = 0
        self.is_retired = False


class AsyncSharedLink(Uncopyable, Generic[L]):
    """A link to one foreign system that all callers share.

    Args:
        connect: opens a link within a number of seconds, or raises an error of moorage.
        now: the time in seconds, of a clock that never steps back.
    """

    def __init__(
        self, connect: Callable[[float], Awaitable[L]], *, now: Callable[[], float] = monotonic
    ) -> None:
        self._connect = connect
        self._now = now
        self._record: _Record[L] | None = None
        self._section = RLock()
        self._gate = Gate()
        self._scope = Scope()
        self._inherited: list[_Record[L] | None] = []
        self._failure: ConnectorError | None = None
        self._failures = 0
        self._created = 0
        self._reused = 0
        self._waiting = 0
        self._is_closed = False
        in_child(self, lambda shared: shared.restart_after_fork())

    def link(self, operation: str, timeout: float) -> AsyncSharedLoan[L]:
        """Return a context manager that lends the link during its block.

        Args:
            operation: the name of the operation that needs it.
            timeout: the seconds in which the link must be open.

        Raises:
            LocalFailure: the link was closed.
            ConnectorError: the link could not be opened.
        """
        return AsyncSharedLoan(self, operation, timeout)

    async def open(self, timeout: float) -> None:
        """Open the link, unless it is open."""
        async with self.link("open", timeout):
            pass

    def statistics(self) -> PoolStatistics:
        """Return the statistics of the link, without waiting."""
        record = self._record
        users = 0 if record is None else record.users
        return PoolStatistics(
            created=self._created,
            reused=self._reused,
            idle=int(record is not None and not users),
            active=int(users > 0),
            waiting=self._waiting,
            maximum=1,
        )

    async def close(self) -> None:
        """Stop lending the link; it is closed when no caller uses it."""
        self._is_closed = True
        record = self._record
        if record is None:
            return
        if not record.users:
            with dropped_errors():  # the connection is lost in any case
                await record.link.leave(_CLOSING_SECONDS)
        self._retire(record)

    async def _lend(self, loan: AsyncSharedLoan[L]) -> _Record[L]:
        """Return the open link for a loan, and count one more user."""
        self._scope.enter(self._forget)
        record = self._use_open_link()
        if record is not None:
            self._reused += 1
            return record
        until = self._now() + loan.timeout
        failures = self._failures
        self._waiting += 1
        try:
            is_free = await self._gate.enter(loan.timeout)
        finally:
            self._waiting -= 1
        if not is_free:
            raise AttemptTimeout(
                "Another caller is still opening the connection.",
                may_have_been_processed=False,
                remedy="Check that the server is running, or raise the timeout of the call.",
            )
        try:
            record = self._use_open_link()
            if record is not None:
                self._reused += 1
                return record
            if self._failure is not None and self._failures != failures:
                raise copy(self._failure)
            return await self._open_new_link(until - self._now())
        finally:
            self._gate.leave()

    def _end(self, record: _Record[L]) -> None:
        """End a loan; the last user closes a link that was replaced or closed."""
        with self._section:
            record.users -= 1
            is_over = record.is_retired and not record.users
        if is_over:
            _close(record)

    def _use_open_link(self) -> _Record[L] | None:
        """Return the open link and count one more user; None if no link is open."""
        if self._is_closed:
            raise link_pool.closed_error()
        with self._section:
            record = self._record
            if record is None or not record.link.is_connected():
                return None
            record.users += 1
            return record

    async def _open_new_link(self, seconds: float) -> _Record[L]:
        """Open a link in place of a broken one."""
        if self._record is not None:
            self._retire(self._record)
        try:
            link = await self._connect(max(0.0, seconds))
        except ConnectorError as error:
            self._failure = copy(error)
            self._failures += 1
            raise
        record = _Record(link)
        record.users = 1
        self._created += 1
        self._record = record
        if self._is_closed:
            self._retire(record)
        return record

    def _retire(self, record: _Record[L]) -> None:
        with self._section:
            if self._record is record:
                self._record = None
            record.is_retired = True
            is_over = not record.users
        if is_over:
            _close(record)

    def _forget(self) -> None:  # only event loops end
        """Discard the link of a closed event loop, so that the next caller opens a new one."""
        record, self._record = self._record, None
        self._gate = Gate()
        if record is not None:
            record.is_retired = True
            _close(record)

    def restart_after_fork(self) -> None:
        """Discard the parent's link in a forked child, so that the child opens its own."""
        # Closing the link, or its garbage collection, could end the parent's connection.
        self._inherited.append(self._record)
        self._record = None
        self._section = RLock()
        self._gate = Gate()
        self._waiting = 0


class AsyncSharedLoan(Generic[L]):
    """A context manager that lends the shared link.

    Attributes:
        operation: the name of the operation that uses the link.
        timeout: the seconds in which the link must be open.
    """

    __slots__ = ("_record", "_shared", "operation", "timeout")

    _record: _Record[L]

    def __init__(self, shared: AsyncSharedLink[L], operation: str, timeout: float) -> None:
        self._shared = shared
        self.operation = operation
        self.timeout = timeout

    async def __aenter__(self) -> L:
        self._record = await self._shared._lend(self)  # noqa: SLF001 - a loan belongs to its link
        return self._record.link

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._shared._end(self._record)  # noqa: SLF001 - a loan belongs to its link


def _close(record: _Record[L]) -> None:
    with dropped_errors():  # the connection is lost in any case
        record.link.close()
