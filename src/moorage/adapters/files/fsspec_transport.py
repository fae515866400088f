"""The transport of files on fsspec filesystems; each operation runs in a thread.

fsspec has no deadline for an operation. The thread makes a deadline possible: when the time is
over, the connection of the operation is closed, and the caller goes on. Threads are reused; a
library that hangs keeps the thread of its operation, and no later operation waits for it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.reused_threads import ReusedThreads
from moorage.adapters.files.fsspec_connections import Connections
from moorage.adapters.files.fsspec_errors import filesystem_error
from moorage.adapters.files.fsspec_folder import FsspecFolder
from moorage.errors import AttemptTimeout, InvalidData, VendorRejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.files.fsspec_connections import Connection

_NO_LIMIT: Final = -1.0
"""The timeout of a lock that is acquired without a time limit."""


class FsspecTransport:
    """Files below a folder of a filesystem of fsspec.

    Args:
        options: the settings `url`, `options` and `secrets`.
    """

    def __init__(self, options: Any) -> None:
        self._filesystem = _Filesystem(options)

    def within(self, seconds: float) -> _TimeLimited:
        """Return this transport with a time limit for each operation, in seconds."""
        return _TimeLimited(self._filesystem, max(0.0, seconds))

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return partial(_wait, self._filesystem, _NO_LIMIT, verb)

    def close(self) -> None:
        """Close the idle connections, and end the idle threads."""
        self._filesystem.close()


class AsyncFsspecTransport:
    """The asynchronous `FsspecTransport`; cancelling an operation closes its connection.

    Args:
        options: the settings `url`, `options` and `secrets`.
    """

    def __init__(self, options: Any) -> None:
        self._filesystem = _Filesystem(options)

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        async def in_thread(*arguments: Any) -> Any:
            loop = asyncio.get_running_loop()
            end_future = loop.create_future()
            job = _Job(
                self._filesystem.connections,
                verb,
                arguments,
                partial(_report_end, loop, end_future),
            )
            self._filesystem.threads.run(job)
            try:
                await end_future
            except asyncio.CancelledError:
                job.abandon()
                raise
            return job.result()

        return in_thread

    async def aclose(self) -> None:
        """Close the idle connections, and end the idle threads."""
        self._filesystem.close()


class _TimeLimited:
    """The operations of a transport, each with a time limit."""

    def __init__(self, filesystem: _Filesystem, seconds: float) -> None:
        self._filesystem = filesystem
        self._seconds = seconds

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return partial(_wait, self._filesystem, self._seconds, verb)


class _Filesystem:
    """The connections to a filesystem, and the threads that use them.

    Attributes:
        connections: the connections.
        threads: the threads.
    """

    def __init__(self, options: Any) -> None:
        self.connections = Connections(options)
        self.threads = ReusedThreads("moorage-fsspec")

    def close(self) -> None:
        """Close the idle connections, and end the idle threads."""
        self.connections.close()
        self.threads.close()


class _Job:
    """One file operation that runs in a thread.

    Args:
        connections: the connections to the filesystem.
        verb: the name of the operation.
        arguments: its arguments.
        report_end: reports the end of the operation to its caller, from the thread.

    Attributes:
        changed: whether the operation may have changed a visible file. An operation that was
            abandoned before changes none.
    """

    __slots__ = (
        "_arguments",
        "_connection",
        "_connections",
        "_failure",
        "_is_over",
        "_lock",
        "_report_end",
        "_result",
        "_verb",
        "changed",
    )

    def __init__(
        self,
        connections: Connections,
        verb: str,
        arguments: tuple[Any, ...],
        report_end: Callable[[], object],
    ) -> None:
        self._report_end = report_end
        self._verb = verb
        self._arguments = arguments
        self._result: Any = None
        self._failure: BaseException | None = None
        self._connections = connections
        self._connection: Connection | None = None
        self._lock = Lock()
        self._is_over = False
        self.changed = False

    def abandon(self) -> None:
        """Close the connection of an unfinished operation, so that its thread ends soon."""
        with self._lock:
            self._is_over = True
            connection, self._connection = self._connection, None
        if connection is not None:
            self._connections.drop(connection)

    def result(self) -> Any:
        """Return the result of the ended operation, or raise its error."""
        failure, self._failure = self._failure, None
        try:
            if failure is None:
                return self._result
            raise failure
        finally:
            # Otherwise the traceback would refer to this frame, and the frame to the error.
            del failure

    def run(self) -> None:
        """Perform the operation; a thread calls this."""
        try:
            connection = self._connections.take()
            self._begin(connection)
            folder = FsspecFolder(connection, self._begin_change)
            self._result = getattr(folder, self._verb)(*self._arguments)
        except Exception as error:  # noqa: BLE001 - converted, and raised in the caller
            self._failure = filesystem_error(error, changed=self.changed)
            self._end(is_usable=isinstance(self._failure, (VendorRejected, InvalidData)))
        except BaseException as error:  # noqa: BLE001 - raised in the caller
            self._failure = error
            self._end(is_usable=False)
        else:
            self._end(is_usable=True)

    def finish(self) -> None:
        """Report the end of the operation to its caller; a thread calls this."""
        self._report_end()

    def _begin(self, connection: Connection) -> None:
        with self._lock:
            if not self._is_over:
                self._connection = connection
                return
        self._connections.drop(connection)
        raise ConnectionAbortedError

    def _begin_change(self) -> None:
        with self._lock:
            if self._is_over:
                # Not every filesystem notices that its connection was closed.
                raise ConnectionAbortedError
            self.changed = True

    def _end(self, *, is_usable: bool) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is None:
            return
        if is_usable:
            self._connections.give_back(connection)
        else:
            self._connections.drop(connection)


def _report_end(loop: asyncio.AbstractEventLoop, end_future: asyncio.Future[None]) -> None:
    """Report the end of an operation to the event loop, from another thread."""
    with suppress(RuntimeError):  # the loop may be closed already
        loop.call_soon_threadsafe(_set_ended, end_future)


def _set_ended(end_future: asyncio.Future[None]) -> None:
    if not end_future.done():
        end_future.set_result(None)


def _wait(filesystem: _Filesystem, seconds: float, verb: str, *arguments: Any) -> Any:
    """Run a file operation, and wait a limited time for its result."""
    end_lock = Lock()
    end_lock.acquire()
    job = _Job(filesystem.connections, verb, arguments, end_lock.release)
    filesystem.threads.run(job)
    try:
        is_ended = end_lock.acquire(timeout=seconds)
    except BaseException:
        job.abandon()
        raise
    if is_ended:
        return job.result()
    job.abandon()
    raise AttemptTimeout(
        "The filesystem did not finish in time.", may_have_been_processed=job.changed
    )
