"""The connector of MongoDB over pymongo, whose operations a manager performs.

`python -m tools.twins` makes this file; do not edit it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import pymongo
from bson import ObjectId
from pymongo.errors import PyMongoError

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.mongodb._bulk import bulk_of
from moorage.adapters.mongodb._client_settings import ClientSettings
from moorage.adapters.mongodb._judging import judge
from moorage.adapters.mongodb._modes_sync import Client, Scope, ready, time_limit
from moorage.adapters.mongodb._monitor import CURRENT, Monitor, Progress, obstacles_of
from moorage.adapters.mongodb._named_operations import named_operations
from moorage.adapters.mongodb.changes_sync import MongoChanges
from moorage.adapters.mongodb.operations_sync import MongoOperation, MongoTransaction
from moorage.domain.connectors.health import ConnectorHealth, ConnectorVersions
from moorage.domain.connectors.mongodb_failures import closed
from moorage.domain.connectors.mongodb_values import (
    change_of,
    changes_nothing,
    condition_of,
    document_of,
    stages_of,
)
from moorage.domain.connectors.mongodb_writes import MongoBulkResult, MongoUpdated
from moorage.domain.monitoring.health import HealthState
from moorage.domain.observation.operation_target import DatabaseTarget
from moorage.domain.secrets.frames import bare, refusing
from moorage.domain.secrets.secret import Secret
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from moorage.domain.connectors.mongodb_values import MongoOperators
    from moorage.domain.connectors.mongodb_writes import MongoStep
    from moorage.domain.connectors.named_operation import NamedOperation
    from moorage.domain.connectors.pool_statistics import PoolStatistics
    from moorage.domain.http.transport import Tls

R = TypeVar("R")

_CONNECT_TIMEOUT: Final = 5.0
_CLOSING: Final = 0.2
"""Seconds for telling the server that the sessions have ended."""
_MARGIN: Final = 0.01
_LEAST: Final = 0.001
_WAIT: Final = 1.0


class MongoConnector:
    """A connector of a database of MongoDB, for synchronous programs.

    Names of operations are those of the collection and the method, such as "orders.find".

    Args:
        url: such as mongodb://db.example/erp or mongodb+srv://cluster.example/erp. It may contain
            the password, and is never shown.
        name: the name of the connector.
        service: the service whose protections apply; by default the one of the same name.
        database: the name of the database, if it is not in the URL.
        user: the name of the user, if it is not in the URL.
        password: the password, if it is not in the URL.
        auth_source: the database in which the user is defined.
        tls: demands TLS, and says what is trusted. Certificates are paths of files, and the file of
            the client certificate contains its key.
        connections: the largest number of connections to each server.
        connect_timeout: seconds for finding a server and for opening a connection; an attempt with
            less time waits less.
        operators: whether operations by name take operators such as `$gt` in plain JSON. Leave it
            out if the JSON comes from outside.
        options: further options of pymongo, by name.
    """

    kind = "mongodb"

    @refusing
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
        self._inherited: list[Any] = []
        self._monitor = Monitor(connections)
        in_child(self, MongoConnector._start_afresh)

    def _start_afresh(self) -> None:
        # The connections belong to the parent process, which goes on using them.
        self._inherited.append(self._client)
        self._lock = Lock()
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

    def find(
        self,
        collection: str,
        where: Mapping[str, Any] | MongoOperators,
        *,
        fields: Sequence[str] | None = None,
        sort: Mapping[str, int] | None = None,
        limit: int = 0,
        skip: int = 0,
        name: str | None = None,
    ) -> MongoOperation[tuple[dict[str, Any], ...]]:
        """Return the operation that reads the documents that fulfil a condition.

        Args:
            collection: the name of the collection.
            where: the condition; an empty mapping is fulfilled by all documents.
            fields: the names of the fields to read; by default all.
            sort: the fields to sort by, each with 1 or -1.
            limit: the largest number of documents; 0 for all.
            skip: the number of documents to leave out at the beginning.
            name: the name of the operation.
        """
        condition = condition_of(where)
        order = list((sort or {}).items()) or None

        def run(database: Any, session: Any) -> tuple[dict[str, Any], ...]:
            cursor = database[collection].find(
                condition, fields, sort=order, limit=limit, skip=skip, session=session
            )
            return tuple(cursor.to_list())

        return self._operation(run, collection, "find", name, safe=True, kind=tuple)

    def find_one(
        self,
        collection: str,
        where: Mapping[str, Any] | MongoOperators,
        *,
        fields: Sequence[str] | None = None,
        sort: Mapping[str, int] | None = None,
        name: str | None = None,
    ) -> MongoOperation[dict[str, Any] | None]:
        """Return the operation that reads the first document that fulfils a condition.

        Its result is None if there is none. The arguments are those of `find`.
        """
        condition = condition_of(where)
        order = list((sort or {}).items()) or None

        def run(database: Any, session: Any) -> dict[str, Any] | None:
            document: dict[str, Any] | None = database[collection].find_one(
                condition, fields, sort=order, session=session
            )
            return document

        return self._operation(run, collection, "find_one", name, safe=True)

    def count(
        self,
        collection: str,
        where: Mapping[str, Any] | MongoOperators,
        *,
        name: str | None = None,
    ) -> MongoOperation[int]:
        """Return the operation that counts the documents that fulfil a condition."""
        condition = condition_of(where)

        def run(database: Any, session: Any) -> int:
            number: int = database[collection].count_documents(condition, session=session)
            return number

        return self._operation(run, collection, "count", name, safe=True)

    def aggregate(
        self,
        collection: str,
        stages: Sequence[Mapping[str, Any]],
        *,
        name: str | None = None,
        repeatable: bool = False,
    ) -> MongoOperation[tuple[dict[str, Any], ...]]:
        """Return the operation that reads the result of an aggregation.

        With a stage that writes, such as `$merge`, it counts as a write.

        Args:
            collection: the name of the collection.
            stages: the stages, such as `{"$match": {"status": "open"}}`.
            name: the name of the operation.
            repeatable: whether performing a writing aggregation twice does no harm.
        """
        checked = stages_of(stages)

        def run(database: Any, session: Any) -> tuple[dict[str, Any], ...]:
            cursor = database[collection].aggregate(checked, session=session)
            return tuple(cursor.to_list())

        return self._operation(
            run,
            collection,
            "aggregate",
            name,
            safe=changes_nothing(checked),
            repeatable=repeatable,
            is_whole=False,
            kind=tuple,
        )

    def insert_one(
        self, collection: str, document: Mapping[str, Any], *, name: str | None = None
    ) -> MongoOperation[Any]:
        """Return the operation that inserts a document, and returns its id.

        A document without `_id` gets one now, which all attempts have in common.
        """
        checked = _with_id(document)

        def run(database: Any, session: Any) -> Any:
            database[collection].insert_one(checked, session=session)
            return checked["_id"]

        return self._operation(run, collection, "insert_one", name)

    def insert_many(
        self, collection: str, documents: Iterable[Mapping[str, Any]], *, name: str | None = None
    ) -> MongoOperation[tuple[Any, ...]]:
        """Return the operation that inserts documents in order, and returns their ids.

        It ends at the first document that is refused; those before it remain.
        """
        checked = [_with_id(document) for document in documents]
        _require_some(checked, "documents")

        def run(database: Any, session: Any) -> tuple[Any, ...]:
            database[collection].insert_many(checked, session=session)
            return tuple(document["_id"] for document in checked)

        return self._operation(
            run, collection, "insert_many", name, is_whole=False, kind=tuple, size=len(checked)
        )

    def update_one(
        self,
        collection: str,
        where: Mapping[str, Any] | MongoOperators,
        change: Mapping[str, Any],
        *,
        upsert: bool = False,
        name: str | None = None,
        repeatable: bool = False,
    ) -> MongoOperation[MongoUpdated]:
        """Return the operation that changes the first document that fulfils a condition.

        Args:
            collection: the name of the collection.
            where: the condition.
            change: the change, such as `{"$set": {"status": "paid"}}`.
            upsert: whether a document is inserted if there is none.
            name: the name of the operation.
            repeatable: whether performing it twice does no harm, as with `$set`.
        """
        condition, checked = condition_of(where), change_of(change)

        def run(database: Any, session: Any) -> MongoUpdated:
            collected = database[collection]
            result = collected.update_one(condition, checked, upsert, session=session)
            return _updated(result)

        return self._operation(
            run, collection, "update_one", name, repeatable=repeatable, kind=MongoUpdated
        )

    def update_many(
        self,
        collection: str,
        where: Mapping[str, Any] | MongoOperators,
        change: Mapping[str, Any],
        *,
        upsert: bool = False,
        name: str | None = None,
        repeatable: bool = False,
    ) -> MongoOperation[MongoUpdated]:
        """Return the operation that changes all documents that fulfil a condition.

        The arguments are those of `update_one`.
        """
        condition, checked = condition_of(where), change_of(change)

        def run(database: Any, session: Any) -> MongoUpdated:
            collected = database[collection]
            result = collected.update_many(condition, checked, upsert, session=session)
            return _updated(result)

        return self._operation(
            run,
            collection,
            "update_many",
            name,
            repeatable=repeatable,
            is_whole=False,
            kind=MongoUpdated,
        )

    def replace_one(
        self,
        collection: str,
        where: Mapping[str, Any] | MongoOperators,
        document: Mapping[str, Any],
        *,
        upsert: bool = False,
        name: str | None = None,
        repeatable: bool = False,
    ) -> MongoOperation[MongoUpdated]:
        """Return the operation that replaces the first document that fulfils a condition.

        The other arguments are those of `update_one`.
        """
        condition, checked = condition_of(where), document_of(document)

        def run(database: Any, session: Any) -> MongoUpdated:
            collected = database[collection]
            result = collected.replace_one(condition, checked, upsert, session=session)
            return _updated(result)

        return self._operation(
            run, collection, "replace_one", name, repeatable=repeatable, kind=MongoUpdated
        )

    def delete_one(
        self,
        collection: str,
        where: Mapping[str, Any] | MongoOperators,
        *,
        name: str | None = None,
        repeatable: bool = False,
    ) -> MongoOperation[int]:
        """Return the operation that deletes the first document that fulfils a condition.

        Its result is the number of deleted documents.
        """
        condition = condition_of(where)

        def run(database: Any, session: Any) -> int:
            result = database[collection].delete_one(condition, session=session)
            number: int = result.deleted_count
            return number

        return self._operation(run, collection, "delete_one", name, repeatable=repeatable)

    def delete_many(
        self,
        collection: str,
        where: Mapping[str, Any] | MongoOperators,
        *,
        name: str | None = None,
        repeatable: bool = False,
    ) -> MongoOperation[int]:
        """Return the operation that deletes all documents that fulfil a condition.

        Its result is the number of deleted documents.
        """
        condition = condition_of(where)

        def run(database: Any, session: Any) -> int:
            result = database[collection].delete_many(condition, session=session)
            number: int = result.deleted_count
            return number

        return self._operation(
            run, collection, "delete_many", name, repeatable=repeatable, is_whole=False
        )

    def bulk_write(
        self,
        collection: str,
        steps: Iterable[MongoStep],
        *,
        name: str | None = None,
        ordered: bool = True,
        repeatable: bool = False,
    ) -> MongoOperation[MongoBulkResult]:
        """Return the operation that performs several changes of a collection in few requests.

        Args:
            collection: the name of the collection.
            steps: the changes.
            name: the name of the operation.
            ordered: whether the steps are performed in order, and none after one that is refused.
            repeatable: whether performing it twice does no harm.
        """
        checked = bulk_of(steps)
        _require_some(checked, "steps")

        def run(database: Any, session: Any) -> MongoBulkResult:
            result = database[collection].bulk_write(checked, ordered, session=session)
            return MongoBulkResult(
                inserted=result.inserted_count,
                matched=result.matched_count,
                modified=result.modified_count,
                deleted=result.deleted_count,
                upserted_ids=dict(result.upserted_ids or {}),
            )

        return self._operation(
            run,
            collection,
            "bulk_write",
            name,
            repeatable=repeatable,
            is_whole=False,
            kind=MongoBulkResult,
            size=len(checked),
        )

    def transaction(
        self,
        work: Callable[[MongoTransaction], R],
        *,
        name: str,
        repeatable: bool = False,
    ) -> MongoOperation[R]:
        """Return the operation that calls a function in a transaction, and commits it.

        The function is called again for each attempt, so it must have no effect elsewhere. An
        exception of it undoes the transaction and is raised unchanged. Transactions need a replica
        set or a sharded cluster.
        """

        def run(database: Any, _: Any) -> R:
            with database.client.start_session() as session:
                session.start_transaction()
                value = work(MongoTransaction(self, database, session))
                session.commit_transaction()
                return value

        return MongoOperation(
            self, run, self._target(), name=name, safe=False, repeatable=repeatable, is_plain=False
        )

    def watch(
        self,
        collection: str | None = None,
        *,
        stages: Sequence[Mapping[str, Any]] = (),
        after: str | None = None,
        documents: bool = False,
        wait: float = _WAIT,
        name: str | None = None,
    ) -> MongoOperation[MongoChanges]:
        """Return the operation that opens a stream of changes.

        Streams of changes need a replica set or a sharded cluster.

        Args:
            collection: the name of the collection; by default all of the database.
            stages: stages that choose changes, such as `{"$match": {"operationType": "insert"}}`.
            after: the token of the last change that is known; by default the stream begins now.
            documents: whether the changes of updates have the whole document.
            wait: the seconds that the server waits for a change before it answers without one.
            name: the name of the operation.
        """
        settings: dict[str, Any] = {"max_await_time_ms": max(1, round(wait * 1000))}
        if after is not None:
            settings["resume_after"] = {"_data": after}
        if documents:
            settings["full_document"] = "updateLookup"
        checked = stages_of(stages)

        def run(database: Any, _: Any) -> MongoChanges:
            source = database if collection is None else database[collection]
            stream = source.watch(checked, **settings)
            return MongoChanges(self, stream, wait + self._settings.connect_timeout)

        target = self._target(collection, "watch")
        return MongoOperation(
            self, run, target, name=name or str(target), safe=True, is_plain=False
        )

    def open(self, timeout: float = _CONNECT_TIMEOUT, /) -> None:
        """Ask the server for its version, so that a wrong configuration is noticed now."""
        progress = Progress(has_effect=False, is_whole=True)
        self._version = self.attempt(_version_of, timeout, progress, for_writing=False)

    def health(self, timeout: float = _CONNECT_TIMEOUT, /) -> ConnectorHealth:
        """Return the health of the server, as a value."""
        begun = monotonic()
        moment = datetime.now(UTC)
        try:
            self.open(timeout)
        except ConnectorError as error:
            return ConnectorHealth(
                connector=self.name,
                at=moment,
                state=HealthState.UNAVAILABLE,
                text=error.message,
                remedy=error.remedy,
            )
        return ConnectorHealth(
            connector=self.name,
            at=moment,
            state=HealthState.HEALTHY,
            seconds=monotonic() - begun,
        )

    def close(self) -> None:
        """Close the idle connections; those in use are closed at the end of their operations."""
        self._is_closed = True
        if self._client is not None:
            with suppress(PyMongoError), pymongo.timeout(_CLOSING):
                self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def attempt(
        self,
        run: Callable[[Any, Any], R],
        timeout: float,
        progress: Progress,
        *,
        for_writing: bool,
    ) -> R:
        """Make one attempt, and convert exceptions of pymongo to errors of moorage."""
        self._scope.check()
        if self._is_closed:
            raise closed()
        with self._lock:
            if self._client is None:
                self._client = self._settings.client(Client, self._monitor)
        limit = max(_LEAST, timeout - min(_MARGIN, timeout / 10))
        end = monotonic() + limit
        client, monitor = self._client, self._monitor
        monitor.attempts[progress] = None
        token = CURRENT.set(progress)
        try:
            with time_limit(limit):
                search = min(limit, self._settings.connect_timeout)
                ready(client, monitor, search, for_writing=for_writing)
                with pymongo.timeout(max(_LEAST, end - monotonic())):
                    return run(client[self._database_name], None)
        except Exception as error:  # noqa: BLE001 - judged, and raised again
            failure = self.judged(error, progress)
        finally:
            CURRENT.reset(token)
            monitor.attempts.pop(progress, None)
        # Raised outside the handler, so that it does not carry the driver's frames.
        try:
            raise failure
        finally:
            del failure

    def judged(self, error: Exception, progress: Progress) -> Exception:
        """Return the error of moorage for an exception; an unknown exception is returned itself."""
        failure = judge(error, progress, obstacles_of(self._client))
        return error if failure is None else bare(failure)

    def _operation(
        self,
        run: Callable[[Any, Any], R],
        collection: str,
        method: str,
        name: str | None,
        *,
        safe: bool = False,
        repeatable: bool = False,
        is_whole: bool = True,
        kind: type[Any] | None = None,
        size: int | None = None,
    ) -> MongoOperation[R]:
        return MongoOperation(
            self,
            run,
            self._target(collection, method, size),
            name=name or f"{collection}.{method}",
            safe=safe,
            repeatable=repeatable,
            is_whole=is_whole,
            kind=kind,
        )

    def _target(
        self, collection: str | None = None, method: str | None = None, size: int | None = None
    ) -> DatabaseTarget:
        host, port = self._place
        summary = " ".join(word for word in (method, collection) if word)
        return DatabaseTarget(
            system="mongodb",
            namespace=self._database_name,
            host=host,
            port=port,
            summary=summary or None,
            operation=method,
            collection=collection,
            batch_size=size,
        )


def _version_of(database: Any, _: Any) -> str:
    facts = database.command("buildInfo")
    return f"MongoDB {facts['version']}"


def _updated(result: Any) -> MongoUpdated:
    return MongoUpdated(
        matched=result.matched_count,
        modified=result.modified_count,
        upserted_id=result.upserted_id,
    )


def _with_id(document: Mapping[str, Any]) -> dict[str, Any]:
    checked = document_of(document)
    return checked if "_id" in checked else {"_id": ObjectId(), **checked}


def _require_some(items: Sequence[Any], field: str) -> None:
    if not items:
        raise InvalidData(
            f"There are no {field}.", field=field, remedy="Leave the operation out, or give some."
        )
