"""The operations of the MongoDB connector on the documents of a collection.

`python -m tools.twins` makes this file; do not edit it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from bson import ObjectId

from moorage.adapters.mongodb._bulk import bulk_of
from moorage.adapters.mongodb.operations_sync import MongoOperation
from moorage.adapters.mongodb.streams_sync import MongoDocuments
from moorage.domain.connectors.mongodb_values import (
    change_of,
    changes_nothing,
    condition_of,
    document_of,
    stages_of,
)
from moorage.domain.connectors.mongodb_writes import MongoBulkResult, MongoUpdated
from moorage.domain.observation.operation_target import DatabaseTarget
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from moorage.adapters.mongodb.connector_sync import MongoConnector
    from moorage.domain.connectors.mongodb_values import MongoOperators
    from moorage.domain.connectors.mongodb_writes import MongoStep

R = TypeVar("R")

_BATCH: Final = 1000


class MongoCollections(Uncopyable):
    """The operations of a connector on the documents of a collection."""

    _database_name: str
    _place: tuple[str | None, int | None]

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
        """Return the operation that reads the documents that match a condition.

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

    def stream(
        self,
        collection: str,
        where: Mapping[str, Any] | MongoOperators,
        *,
        fields: Sequence[str] | None = None,
        sort: Mapping[str, int] | None = None,
        limit: int = 0,
        skip: int = 0,
        batch: int = _BATCH,
        name: str | None = None,
    ) -> MongoOperation[MongoDocuments]:
        """Return the operation that opens a stream of documents, for a `with` block.

        At most `batch` documents are in memory. The protections apply to the opening, which reads
        the first batch; each further batch may take as long as the opening might. The server works
        on the whole stream no longer than that. The other arguments are those of `find`.
        """
        condition = condition_of(where)
        order = list((sort or {}).items()) or None
        if batch < 1:
            raise InvalidData(
                "A batch needs at least one document.", field="batch", remedy="Give 1 or more."
            )

        def run(database: Any, _: Any) -> MongoDocuments:
            cursor = database[collection].find(
                condition, fields, sort=order, limit=limit, skip=skip, batch_size=batch
            )
            connector = cast("MongoConnector", self)
            return MongoDocuments.opened(connector, cursor, batch)

        return self._operation(run, collection, "stream", name, safe=True, is_plain=False)

    def find_one(
        self,
        collection: str,
        where: Mapping[str, Any] | MongoOperators,
        *,
        fields: Sequence[str] | None = None,
        sort: Mapping[str, int] | None = None,
        name: str | None = None,
    ) -> MongoOperation[dict[str, Any] | None]:
        """Return the operation that reads the first document that matches a condition.

        Its result is None if no document fulfils the condition. The arguments are those of `find`.
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
        """Return the operation that counts the documents that match a condition."""
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
            repeatable: whether performing a writing aggregation twice is safe.
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

        A document without `_id` gets one now, so that all attempts insert the same id.
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
        """Return the operation that changes the first document that matches a condition.

        Args:
            collection: the name of the collection.
            where: the condition.
            change: the change, such as `{"$set": {"status": "paid"}}`.
            upsert: whether a document is inserted if none fulfils the condition.
            name: the name of the operation.
            repeatable: whether performing it twice is safe, as with `$set`.
        """
        condition, checked = condition_of(where), change_of(change)

        def run(database: Any, session: Any) -> MongoUpdated:
            mongo_collection = database[collection]
            result = mongo_collection.update_one(condition, checked, upsert, session=session)
            return _update_result(result)

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
        """Return the operation that changes all documents that match a condition.

        The arguments are those of `update_one`.
        """
        condition, checked = condition_of(where), change_of(change)

        def run(database: Any, session: Any) -> MongoUpdated:
            mongo_collection = database[collection]
            result = mongo_collection.update_many(condition, checked, upsert, session=session)
            return _update_result(result)

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
        """Return the operation that replaces the first document that matches a condition.

        The other arguments are those of `update_one`.
        """
        condition, checked = condition_of(where), document_of(document)

        def run(database: Any, session: Any) -> MongoUpdated:
            mongo_collection = database[collection]
            result = mongo_collection.replace_one(condition, checked, upsert, session=session)
            return _update_result(result)

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
        """Return the operation that deletes the first document that matches a condition.

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
        """Return the operation that deletes all documents that match a condition.

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
        """Return the operation that makes several changes to a collection in few requests.

        Args:
            collection: the name of the collection.
            steps: the changes.
            name: the name of the operation.
            ordered: whether the steps are performed in order, and none after one that is refused.
            repeatable: whether performing it twice is safe.
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
        is_plain: bool = True,
        kind: type[Any] | None = None,
        size: int | None = None,
    ) -> MongoOperation[R]:
        return MongoOperation(
            cast("MongoConnector", self),
            run,
            self._target(collection, method, size),
            name=name or f"{collection}.{method}",
            safe=safe,
            repeatable=repeatable,
            is_whole=is_whole,
            is_plain=is_plain,
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


def _update_result(result: Any) -> MongoUpdated:
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
            f"There are no {field}.",
            field=field,
            remedy=f"Pass at least one of the {field}, or do not call the operation.",
        )
