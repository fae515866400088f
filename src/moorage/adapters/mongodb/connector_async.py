"""The connector of MongoDB over pymongo. A manager performs its operations.

`python -m tools.twins` makes the synchronous module from this one.
"""

from __future__ import annotations

from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast

import pymongo
from pymongo.errors import PyMongoError

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.links.health import health_of
from moorage.adapters.mongodb._client_settings import ClientSettings
from moorage.adapters.mongodb._error_conversion import error_of_pymongo
from moorage.adapters.mongodb._modes_async import Client, Scope, cancellable, ready, time_limit
from moorage.adapters.mongodb._monitor import CURRENT, Monitor, Progress, obstacles_of
from moorage.adapters.mongodb._named_operations import named_operations
from moorage.adapters.mongodb.changes_async import AsyncMongoChanges
from moorage.adapters.mongodb.documents_async import AsyncMongoCollections
from moorage.adapters.mongodb.operations_async import AsyncMongoOperation, AsyncMongoTransaction
from moorage.domain.connectors.health import ConnectorVersions
from moorage.domain.connectors.mongodb_failures import closed_error
from moorage.domain.connectors.mongodb_values import (
    stages_of,
)
from moorage.domain.secrets.frames import without_arguments_in_errors, without_frames
from moorage.domain.secrets.secret import Secret
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from moorage.domain.connectors.health import ConnectorHealth
    from moorage.domain.connectors.named_operation import NamedOperation
    from moorage.domain.connectors.pool_statistics import PoolStatistics
    from moorage.domain.http.transport import Tls

R = TypeVar("R")

_CONNECT_TIMEOUT: Final = 5.0
_CLOSING_SECONDS: Final = 0.2
"""Seconds for telling the server that the sessions have ended."""
_ATTEMPT_MARGIN: Final = 0.01
_SHORTEST_TIMEOUT: Final = 0.001
_CHANGE_WAIT: Final = 1.0


class AsyncMongoConnector(AsyncMongoCollections):
    """A connector of a MongoDB database, for asynchronous programs.

    Names of operations are those of the collection and the method, such as "orders.find".

    Args:
        url: the address, such as mongodb://db.example/erp or mongodb+srv://cluster.example/erp. It
            may contain the password, and is never shown.
        name: the name of the connector.
        service: the service whose protections apply; by default the service of the same name.
        database: the name of the database, if it is not in the URL.
        user: the name of the user, if it is not in the URL.
        password: the password, if it is not in the URL.
        auth_source: the database in which the user is defined.
        tls: requires TLS, and names the trusted authorities. Certificates are paths of files, and
            the file of the client certificate contains its key.
        connections: the largest number of connections to each server.
        connect_timeout: seconds for finding a server and for opening a connection; an attempt with
            less time waits less.
        operators: whether operations by name accept operators such as `$gt` in plain JSON. Leave it
            out if the JSON comes from an untrusted source.
        options: further options of pymongo, by name.
    """

    kind = "mongodb"

    @without_arguments_in_errors
    def __init__(
        self,
        url: Secret | str,
        *,
        name: str = "mongodb",
        service: str | None = None,
        database: str | None = None,
        user: str | None = None,
        password: Secret | str | None = None,
        auth_source: str | None = None,
        tls: Tls | None = None,
        connections: int = 10,
        connect_timeout: float = _CONNECT_TIMEOUT,
        operators: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.service = name if service is None else service
        if connections < 1:
            raise InvalidData(
                "A pool needs at least one connection.",
                field="connections",
                remedy="Give 1 or more.",
            )
        self.takes_operators = operators
        self._settings = ClientSettings(
            url=url if isinstance(url, Secret) else Secret(url),
            database=database,
            user=user,
            password=Secret(password) if isinstance(password, str) else password,
            auth_source=auth_source,
            tls=tls,
            connections=connections,
            connect_timeout=connect_timeout,
            options=options or {},
        )
        self._database_name = self._settings.check()
        self._place = self._settings.place()
        self._lock = Lock()
        self._scope = Scope()
        self._is_closed = False
        self._version: str | None = None
        self._client: Any = None
        self._database: Any = None
        self._inherited: list[Any] = []
        self._monitor = Monitor(connections)
        in_child(self, AsyncMongoConnector._restart_after_fork)

    def _restart_after_fork(self) -> None:
        # The connections belong to the parent process, which still uses them.
        self._inherited += [self._client, self._database]
        self._lock = Lock()
        self._scope = Scope()
        self._monitor = Monitor(self._settings.connections)
        self._client = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def versions(self) -> ConnectorVersions:
        """The versions of pymongo, and of the server after `open` or `health`."""
        return ConnectorVersions(library=f"pymongo {pymongo.version}", server=self._version)

    @property
    def operations(self) -> Mapping[str, NamedOperation]:
        """The operations that can be performed by name, with plain JSON."""
        return named_operations(self)

    def statistics(self) -> PoolStatistics:
        """Return the statistics of the connection pools, without connecting."""
        return self._monitor.statistics()

    def transaction(
        self,
        work: Callable[[AsyncMongoTransaction], Awaitable[R]],
        *,
        name: str,
        repeatable: bool = False,
    ) -> AsyncMongoOperation[R]:
        """Return the operation that calls a function in a transaction, and commits the transaction.

        The function is called again for each attempt, so it must have no effect elsewhere. If the
        function raises an exception, the transaction is undone, and the exception is raised
        unchanged. Transactions need a replica set or a sharded cluster.
        """

        async def run(database: Any, _: Any) -> R:
            async with database.client.start_session() as session:
                await session.start_transaction()
                value = await work(AsyncMongoTransaction(self, database, session))
                cast("Progress", CURRENT.get()).begins_commit()
                await session.commit_transaction()
                return value

        return AsyncMongoOperation(
            self, run, self._target(), name=name, safe=False, repeatable=repeatable, is_plain=False
        )

    def watch(
        self,
        collection: str | None = None,
        *,
        stages: Sequence[Mapping[str, Any]] = (),
        after: str | None = None,
        documents: bool = False,
        wait: float = _CHANGE_WAIT,
        name: str | None = None,
    ) -> AsyncMongoOperation[AsyncMongoChanges]:
        """Return the operation that opens a stream of changes.

        Streams of changes need a replica set or a sharded cluster.

        Args:
            collection: the name of the collection; by default all collections of the database.
            stages: stages that choose changes, such as `{"$match": {"operationType": "insert"}}`.
            after: the token of the last known change; by default the stream begins now.
            documents: whether the change event of an update contains the whole document.
            wait: the seconds that the server waits for a change before it answers without one.
            name: the name of the operation.
        """
        settings: dict[str, Any] = {"max_await_time_ms": max(1, round(wait * 1000))}
        if after is not None:
            settings["resume_after"] = {"_data": after}
        if documents:
            settings["full_document"] = "updateLookup"
        checked = stages_of(stages)

        async def run(database: Any, _: Any) -> AsyncMongoChanges:
            source = database if collection is None else database[collection]
            stream = await source.watch(checked, **settings)
            return AsyncMongoChanges(self, stream, wait + self._settings.connect_timeout)

        target = self._target(collection, "watch")
        return AsyncMongoOperation(
            self, run, target, name=name or str(target), safe=True, is_plain=False
        )

    async def open(self, timeout: float = _CONNECT_TIMEOUT, /) -> None:
        """Ask the server for its version, so that configuration errors appear early."""
        progress = Progress(has_effect=False, is_whole=True)
        self._version = await self.attempt(_version_of, timeout, progress, for_writing=False)

    async def health(self, timeout: float = _CONNECT_TIMEOUT, /) -> ConnectorHealth:
        """Return the health of the server; a failure is part of the result, not raised."""
        started_at = monotonic()
        try:
            await self.open(timeout)
        except ConnectorError as error:
            return health_of(self.name, "The server", monotonic() - started_at, error=error)
        return health_of(self.name, "The server", monotonic() - started_at)

    async def close(self) -> None:
        """Close idle connections now, and busy ones at the end of their operations."""
        with self._lock:
            self._is_closed = True
            client = self._client
        if client is not None:
            with suppress(PyMongoError), pymongo.timeout(_CLOSING_SECONDS):
                await client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def attempt(
        self,
        run: Callable[[Any, Any], Awaitable[R]],
        timeout: float,
        progress: Progress,
        *,
        for_writing: bool,
    ) -> R:
        """Make one attempt at an operation, and convert exceptions of pymongo to moorage's."""
        self._scope.check()
        with self._lock:
            if self._is_closed:
                raise closed_error()
            if self._client is None:
                self._client = self._settings.client(Client, self._monitor)
                self._database = self._client[self._database_name]
        limit = max(_SHORTEST_TIMEOUT, timeout - min(_ATTEMPT_MARGIN, timeout / 10))
        end = monotonic() + limit
        progress.seconds = timeout
        client, database, monitor = self._client, self._database, self._monitor
        monitor.attempts[progress] = None
        token = CURRENT.set(progress)
        try:
            async with time_limit(limit):
                search = min(limit, self._settings.connect_timeout)
                await ready(client, monitor, search, for_writing=for_writing)
                with pymongo.timeout(max(_SHORTEST_TIMEOUT, end - monotonic())):
                    return await cancellable(run(database, None))
        except Exception as error:  # noqa: BLE001 - judged, and raised again
            failure = self.translated(error, progress)
        finally:
            CURRENT.reset(token)
            monitor.attempts.pop(progress, None)
        # Raised outside the handler, so that it does not carry the driver's frames.
        try:
            raise failure
        finally:
            del failure

    def translated(self, error: Exception, progress: Progress) -> Exception:
        """Convert an exception to an error of moorage; return an unknown one unchanged."""
        failure = error_of_pymongo(error, progress, obstacles_of(self._client))
        return error if failure is None else without_frames(failure)


async def _version_of(database: Any, _: Any) -> str:
    facts = await database.command("buildInfo")
    return f"MongoDB {facts['version']}"
