"""The transport of files on fsspec filesystems; each operation runs in its own thread.

fsspec has no deadline for an operation. The thread makes a deadline possible: when the time is
over, the connection of the operation is closed, and the caller goes on.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from moorage.adapters.files.fsspec_connections import Connections
from moorage.adapters.files.fsspec_errors import filesystem_error
from moorage.adapters.files.fsspec_folder import FsspecFolder
from moorage.errors import AttemptTimeout, ConnectorError, InvalidData, VendorRejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.files.fsspec_connections import Connection


class FsspecTransport:
    """Files below a folder of a filesystem of fsspec.

    Args:
        options: the settings `url`, `options` and `secrets`.
    """

    def __init__(self, options: Any) -> None:
        self._connections = Connections(options)

    def within(self, seconds: float) -> _TimeLimited:
        """Return this transport with a time limit for each operation, in seconds."""
        return _TimeLimited(self._connections, seconds)

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return partial(_wait, self._connections, None, verb)

    def close(self) -> None:
        """Close the idle connections."""
        self._connections.close()


class AsyncFsspecTransport:
    """The asynchronous `FsspecTransport`; cancelling an operation closes its connection.

    Args:
        options: the settings `url`, `options` and `secrets`.
    """

    def __init__(self, options: Any) -> None:
        self._connections = Connections(options)

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        async def in_thread(*arguments: Any) -> Any:
            job = _Job(self._connections, verb, arguments)
            try:
                return await asyncio.wrap_future(job.future)
            except asyncio.CancelledError:
                job.abandon()
                raise

        return in_thread

    async def aclose(self) -> None:
        """Close the idle connections."""
        self._connections.close()


class _TimeLimited:
    """The operations of a transport with a time limit for each."""

    def __init__(self, connections: Connections, seconds: float) -> None:
        self._connections = connections
        self._seconds = seconds

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return partial(_wait, self._connections, self._seconds, verb)


class _Job:
    """One file operation that runs in a thread.

    Attributes:
        future: result or error of the operation.
    """

    def __init__(self, connections: Connections, verb: str, arguments: tuple[Any, ...]) -> None:
        self.future: Future[Any] = Future()
        self.future.set_running_or_notify_cancel()
        self._connections = connections
        self._connection: Connection | None = None
        self._folder: FsspecFolder | None = None
        self._lock = Lock()
        self._is_over = False
        Thread(target=self._run, args=(verb, arguments), daemon=True, name="moorage-fsspec").start()

    @property
    def changed(self) -> bool:
        """True if the operation may have changed a visible file already."""
        return self._folder is not None and self._folder.changed

    def abandon(self) -> None:
        """Close the connection of an unfinished operation, so that its thread ends soon."""
        with self._lock:
            self._is_over = True
            connection, self._connection = self._connection, None
        if connection is not None:
            self._connections.drop(connection)

    def _run(self, verb: str, arguments: tuple[Any, ...]) -> None:
        try:
            connection = self._connections.take()
            self._begin(connection)
            self._folder = FsspecFolder(connection)
            result = getattr(self._folder, verb)(*arguments)
        except Exception as error:  # noqa: BLE001 - converted, and raised by who waits
            failure = filesystem_error(error, changed=self.changed)
            self._end(is_usable=isinstance(failure, (VendorRejected, InvalidData)))
            self.future.set_exception(failure)
        else:
            self._end(is_usable=True)
            self.future.set_result(result)

    def _begin(self, connection: Connection) -> None:
        with self._lock:
            if not self._is_over:
                self._connection = connection
                return
        self._connections.drop(connection)
        raise ConnectionAbortedError

    def _end(self, *, is_usable: bool) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is None:
            return
        if is_usable:
            self._connections.give_back(connection)
        else:
            self._connections.drop(connection)


def _wait(connections: Connections, seconds: float | None, verb: str, *arguments: Any) -> Any:
    """Run a file operation, and wait a limited time for its result."""
    job = _Job(connections, verb, arguments)
    failure: ConnectorError
    try:
        return job.future.result(seconds)
    except FutureTimeoutError:
        job.abandon()
        failure = AttemptTimeout(
            "The filesystem did not finish in time.", may_have_been_processed=job.changed
        )
    except BaseException:
        job.abandon()
        raise
    raise failure
