"""Makes SQLAlchemy engines whose connections obey an attempt's time limit.

The server ends a statement shortly before the attempt does. If the server is silent, the client
ends the wait: an asynchronous attempt is cancelled, and a synchronous connection stops waiting.
"""

from __future__ import annotations

import ssl
from functools import partial
from io import BufferedReader, RawIOBase
from math import ceil
from threading import Lock, Thread, local
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool, StaticPool

from moorage.adapters.concurrency.thread_start import start_thread
from moorage.adapters.databases._sqlite_connection import OwnedConnection
from moorage.adapters.databases._url_options import check_url_options
from moorage.domain.connectors.sql_failures import SqlFault, SqlPhase, sql_error
from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from sqlalchemy import URL

    from moorage.domain.http.transport import Tls
    from moorage.domain.secrets.secret import Secret

_SYNC_DRIVERS: Final = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_ASYNC_DRIVERS: Final = {"postgresql": "psycopg", "mysql": "asyncmy", "mariadb": "asyncmy"}
_EXTRAS: Final = {"postgresql": "postgresql", "mysql": "mysql", "sqlite": "sql"}

_LEAST_OF_PSYCOPG: Final = 2
_EXTRA_SECONDS: Final = 0.02
"""Seconds that a client waits longer than the attempt, so that the server's report comes first."""


class Limits(local):
    """The deadline and the size limit of each thread's current attempt.

    Attributes:
        most_bytes: the largest number of bytes of an answer.
        until: the attempt's deadline, by the monotonic clock.
    """

    until = 0.0

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes


@without_arguments_in_errors
def make_engine(
    url: Secret,
    *,
    is_async: bool,
    password: Secret | None,
    tls: Tls | None,
    connect_timeout: float,
    options: Mapping[str, Any],
    limits: Limits,
) -> tuple[Engine, str]:
    """Return a SQLAlchemy engine, and the name of its database system, such as "postgresql"."""
    place = _url(url, password)
    backend = place.get_backend_name()
    system = {"mariadb": "mysql"}.get(backend, backend)
    is_memory = system == "sqlite" and place.database in {None, "", ":memory:"}
    if system == "sqlite" and is_async and not is_memory:
        raise ConfigurationError(
            "An SQLite file would block the event loop.",
            path="url",
            remedy="Use SqlConnector in a thread, or use sqlite:// for a database in memory.",
        )
    settings: dict[str, Any] = {
        "isolation_level": "AUTOCOMMIT",
        # The connector itself ends transactions, so a returned connection needs no ROLLBACK.
        "pool_reset_on_return": None,
        "hide_parameters": True,
    }
    if is_memory:
        settings["poolclass"] = StaticPool
        arguments: dict[str, Any] = {"check_same_thread": False, **options}
    else:
        # The connector keeps the connections itself.
        settings["poolclass"] = NullPool
        arguments = {**_arguments(system, connect_timeout, is_async=is_async), **options}
        if system == "sqlite":
            arguments["check_same_thread"] = False
    arguments |= _tls_arguments(system, tls)
    if system == "sqlite":
        arguments = {"factory": OwnedConnection, **arguments}
    else:
        drivers = _ASYNC_DRIVERS if is_async else _SYNC_DRIVERS
        place = place.set(drivername=f"{backend}+{drivers[backend]}")
    if system == "postgresql" and is_async:
        arguments = {"async_creator_fn": partial(_open_async, limits.most_bytes), **arguments}
    try:
        if system != "sqlite":
            check_url_options(place, "url")
        engine = _new_engine(place, settings, arguments, is_async=is_async and system != "sqlite")
    except ImportError as error:
        raise ConfigurationError(
            f"The {system} connector needs {error.name}, which is not installed.",
            path="url",
            remedy=install(_EXTRAS[system]),
        ) from None
    if system != "sqlite" and not is_async:
        event.listen(engine, "do_connect", partial(_connect_in_time, system, limits))
    if system == "mysql" and tls is not None and not is_async:
        event.listen(engine, "connect", _demand_tls)
    return engine, system


def _url(url: Secret, password: Secret | None) -> URL:
    try:
        place = make_url(url.reveal())
    except (ArgumentError, ValueError):
        place = None
    if place is None or place.get_backend_name() not in {*_SYNC_DRIVERS, "sqlite"}:
        raise ConfigurationError(
            "The URL does not begin with the name of a supported database.",
            path="url",
            remedy="Use postgresql://…, mariadb://…, mysql://… or sqlite:///file.db.",
        )
    if password is None:
        return place
    if place.get_backend_name() == "sqlite":
        raise ConfigurationError(
            "The connector has a password, but SQLite has no users.",
            path="password",
            remedy="Leave it out.",
        )
    return place.set(password=password.reveal())


def _new_engine(
    place: URL, settings: dict[str, Any], arguments: dict[str, Any], *, is_async: bool
) -> Engine:
    if not is_async:
        return create_engine(place, connect_args=arguments, **settings)
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - wants greenlet

    return create_async_engine(place, connect_args=arguments, **settings).sync_engine


def _arguments(system: str, connect_timeout: float, *, is_async: bool) -> dict[str, Any]:
    if system == "postgresql":
        return {"connect_timeout": max(_LEAST_OF_PSYCOPG, ceil(connect_timeout))}
    if system == "sqlite":
        return {"timeout": connect_timeout}
    return {"connect_timeout": ceil(connect_timeout) if is_async else connect_timeout}


def _tls_arguments(system: str, tls: Tls | None) -> dict[str, Any]:
    if tls is None:
        return {}
    if system == "sqlite":
        raise ConfigurationError(
            "The connector has `tls`, but SQLite has no network connection.",
            path="tls",
            remedy="Leave `tls` out.",
        )
    files = (tls.authorities, tls.certificate, tls.key)
    if any(file is not None and not isinstance(file, str) for file in files):
        raise ConfigurationError(
            "The database driver reads certificates and keys only from files.",
            path="tls",
            remedy="Pass the paths of PEM files instead of their content.",
        )
    if system == "postgresql":
        arguments = {
            "sslmode": "verify-full" if tls.unverified is None else "require",
            "sslrootcert": (tls.authorities or "system") if tls.unverified is None else None,
            "sslcert": tls.certificate,
            "sslkey": tls.key,
            "sslpassword": None if tls.password is None else tls.password.reveal(),
            "ssl_min_protocol_version": f"TLSv{tls.minimum.value}",
        }
        return {name: value for name, value in arguments.items() if value is not None}
    authorities = tls.authorities if isinstance(tls.authorities, str) else None
    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = (
        ssl.TLSVersion.TLSv1_3 if tls.minimum.value == "1.3" else ssl.TLSVersion.TLSv1_2
    )
    if tls.unverified is not None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if isinstance(tls.certificate, str):
        key = tls.key if isinstance(tls.key, str) else None
        password = None if tls.password is None else tls.password.reveal_bytes()
        context.load_cert_chain(tls.certificate, key, password)
    return {"ssl": context}


class _ConnectingThread(Thread):
    """Opens a connection in a thread; if the caller stops waiting, the connection is closed.

    No driver bounds all steps of a connection, such as the look-up of the host.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        super().__init__(name="moorage-sql-connect", daemon=True)
        self._connect = connect
        self._lock = Lock()
        self._is_late = False
        self._connection: Any = None
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            connection = self._connect()
        except Exception as error:  # noqa: BLE001 - raised by its caller
            self._error = error
            return
        with self._lock:
            if not self._is_late:
                self._connection = connection
                return
        connection.close()

    def within(self, seconds: float) -> Any:
        """Return the connection; raise an error if it does not open within these seconds."""
        start_thread(self)
        self.join(max(0.0, seconds))
        with self._lock:
            self._is_late = True
            if self._connection is not None:
                return self._connection
        raise self._error or TimeoutError


async def _open_async(most_bytes: int, *arguments: Any, **options: Any) -> Any:
    from moorage.adapters.sql._psycopg import (  # noqa: PLC0415 - imports psycopg
        PunctualAsyncConnection,
    )

    connection = await PunctualAsyncConnection.connect(*arguments, **options)
    connection.most_bytes = most_bytes
    return connection


def _connect_in_time(
    system: str, limits: Limits, dialect: Any, _: object, arguments: Any, options: Any
) -> Any:
    connect = partial(dialect.loaded_dbapi.connect, *arguments, **options)
    if system == "postgresql":
        from moorage.adapters.sql._psycopg import (  # noqa: PLC0415 - imports psycopg
            PunctualConnection,
        )

        connect = partial(PunctualConnection.connect, *arguments, **options)
    until = limits.until
    connection = _ConnectingThread(connect).within(until - monotonic()) if until else connect()
    if system == "mysql":
        read_punctually(connection)
    set_end(system, connection, until)
    if system == "postgresql":
        connection.most_bytes = limits.most_bytes
    return connection


def _demand_tls(connection: Any, _: object) -> None:
    # Older releases of PyMySQL continue without TLS if the server does not offer it.
    if not connection._secure:  # noqa: SLF001 - PyMySQL has no other way
        connection.close()
        raise sql_error(SqlFault("mysql", "2026"), SqlPhase.CONNECTING)


def forget_unread_rows(driver: Any) -> None:
    """Make a MySQL driver close a connection without first reading all remaining rows."""
    result = driver._result  # noqa: SLF001 - the drivers have no other way
    if result is not None:
        result.unbuffered_active = False
        driver._result = None  # noqa: SLF001 - the drivers have no other way


def set_end(system: str, connection: Any, until: float) -> None:
    """Set the time at which the database driver stops waiting."""
    if system == "postgresql":
        connection.until = until and until + _EXTRA_SECONDS
    else:
        end = until and until + _EXTRA_SECONDS
        seconds = max(0.001, end - monotonic()) if until else None
        connection._read_timeout = connection._write_timeout = seconds  # noqa: SLF001 - PyMySQL has no other way
        reader = connection._rfile  # noqa: SLF001 - PyMySQL has no other way
        if reader is not None:
            reader.raw.until = end


class _PunctualSocket(RawIOBase):
    """The bytes that a socket receives until a deadline.

    PyMySQL limits the wait for each part of an answer only, so a server that sends one byte after
    another could hold a caller for as long as it likes.

    Attributes:
        until: the deadline, by the monotonic clock; 0 if there is none.
    """

    until = 0.0

    def __init__(self, connection: Any) -> None:
        super().__init__()
        self._socket: socket.socket = connection._sock  # noqa: SLF001 - PyMySQL has no other way

    def readable(self) -> bool:
        """Return True, because this object is only read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Receive bytes into a buffer, and return their number.

        Raises:
            TimeoutError: the deadline has passed.
        """
        if self.until:
            seconds = self.until - monotonic()
            if seconds <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(seconds)
        return self._socket.recv_into(buffer)


def read_punctually(connection: Any) -> None:
    """Bound all reads of a new connection of PyMySQL by its deadline."""
    connection._rfile.close()  # noqa: SLF001 - PyMySQL has no other way
    connection._rfile = BufferedReader(_PunctualSocket(connection))  # noqa: SLF001 - PyMySQL has no other way
