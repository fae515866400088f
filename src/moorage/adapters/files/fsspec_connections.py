"""Connections to one filesystem of fsspec; each is used by one operation at a time."""

from __future__ import annotations

import os
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.adapters.files.fsspec_errors import opening_error
from moorage.domain.connectors.foreign_files import (
    HTTP,
    WEBDAV,
    check_options,
    protocol_of,
    revealed_options,
)
from moorage.domain.resilience.interruptions import dropped_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.errors import ConnectorError

_MOST_IDLE: Final = 8


class Connection:
    """An open fsspec filesystem, and its folder that contains the files.

    Attributes:
        filesystem: the filesystem of fsspec.
        protocol: the connection's protocol, such as "sftp".
        root: path of the folder of all files, or its URL over HTTP.
    """

    def __init__(self, filesystem: Any, protocol: str, root: str) -> None:
        self.filesystem = filesystem
        self.protocol = protocol
        self.root = root

    def close(self) -> None:
        """Close the network connections of the filesystem."""
        _close_filesystem(self.filesystem)


class Connections:
    """Opens connections, and keeps idle connections open for reuse.

    Args:
        options: the settings `url`, `options` and `secrets`.
    """

    def __init__(self, options: Any) -> None:
        protocol_of(options.url)
        check_options(options.options)
        self._options = options
        self._idle: list[Connection] = []
        self._lock = ForkSafeLock()
        self._process = os.getpid()
        self._closed = False

    def take(self) -> Connection:
        """Return an idle connection, or open one."""
        with self._lock.current:
            if self._process != os.getpid():
                # Both processes would use the same socket; closing it here would end the parent's
                # connection.
                self._process, self._idle = os.getpid(), []
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            connection.filesystem.invalidate_cache()
            return connection
        failure: ConnectorError
        try:
            return self._open()
        except Exception as error:  # noqa: BLE001 - converted
            _close_half_open(error)
            failure = opening_error(error)
        raise failure

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for later operations."""
        with self._lock.current:
            if not self._closed and len(self._idle) < _MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def drop(self, connection: Connection) -> None:
        """Close a failed connection and all idle connections, which are probably broken too."""
        with self._lock.current:
            connections, self._idle = [connection, *self._idle], []
        for item in connections:
            item.close()

    def close(self) -> None:
        """Close idle connections now, and busy ones when they are given back."""
        with self._lock.current:
            self._closed = True
            connections, self._idle = self._idle, []
        for item in connections:
            item.close()

    def _open(self) -> Connection:
        fsspec: Any = import_module("fsspec")  # an optional dependency without types
        url = self._options.url
        protocol = protocol_of(url)
        kind = fsspec.get_filesystem_class(protocol)
        of_url: dict[str, Any] = {} if protocol in HTTP else kind._get_kwargs_from_urls(url)  # noqa: SLF001 - fsspec's own way to read a URL
        options = revealed_options(
            protocol, {**of_url, **self._options.options}, self._options.secrets
        )
        if protocol == "smb":
            # Without this option, the server refuses a file that another caller is reading.
            options = {"share_access": "rwd", **options}
        root = kind._strip_protocol(url)  # noqa: SLF001 - fsspec's own way to read a URL
        filesystem = kind(skip_instance_cache=True, **options)
        if protocol in WEBDAV:
            filesystem.client.join_url = partial(_quoted_url, filesystem.client.join_url)
        return Connection(filesystem, protocol, root)


def _quoted_url(join_url: Callable[..., Any], path: str, *arguments: Any, **named: Any) -> Any:
    """Return the URL of a path with "?", "#" and "%" quoted; webdav4 does not quote them."""
    return join_url(quote(path), *arguments, **named)


def _close_filesystem(filesystem: object) -> None:
    """Close the network clients of a filesystem, for which fsspec has no method."""
    client = getattr(filesystem, "client", None)
    for resource in (getattr(filesystem, "ftp", None), client, getattr(client, "http", None)):
        end = getattr(resource, "close", None)
        if end is not None:
            with dropped_errors():
                end()


def _close_half_open(error: Exception) -> None:
    """Close the connections of a filesystem object whose constructor failed.

    Only the frames of the error still refer to it. After a refused password, the thread of
    paramiko would otherwise keep the connection.
    """
    trace = error.__traceback__
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        if hasattr(owner, "invalidate_cache"):
            _close_filesystem(owner)
        trace = trace.tb_next
