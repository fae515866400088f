"""The steps of MongoDB bulk writes, and the results of changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@attrs.frozen(kw_only=True)
class MongoUpdated:
    """The result of a MongoDB update or replacement.

    Attributes:
        matched: the number of documents that fulfil the condition.
        modified: the number of documents that are different now.
        upserted_id: the id of the document that was inserted because none fulfilled the condition.
    """

    matched: int
    modified: int
    upserted_id: Any = None


@attrs.frozen(kw_only=True)
class MongoBulkResult:
    """The result of a MongoDB bulk write.

    Attributes:
        inserted: the number of documents that were inserted.
        matched: the number of documents that fulfil the conditions of updates and replacements.
        modified: the number of documents that are different now.
        deleted: the number of documents that were deleted.
        upserted_ids: the ids of documents that were inserted because there were none, by the number
            of the step, beginning with 0.
    """

    inserted: int
    matched: int
    modified: int
    deleted: int
    upserted_ids: dict[int, Any] = attrs.field(factory=dict[int, Any])


@attrs.frozen
class MongoInsert:
    """A step of a bulk write that inserts a document."""

    document: Mapping[str, Any] = attrs.field(repr=False)


@attrs.frozen
class MongoUpdate:
    """A step of a bulk write that changes the first or all documents that meet a condition.

    Attributes:
        where: the condition.
        change: the change, such as `{"$set": {"status": "paid"}}`.
        upsert: whether a document is inserted if none meets the condition.
        many: whether all documents are changed, and not only the first.
    """

    where: Any = attrs.field(repr=False)
    change: Mapping[str, Any] = attrs.field(repr=False)
    upsert: bool = attrs.field(default=False, kw_only=True)
    many: bool = attrs.field(default=False, kw_only=True)


@attrs.frozen
class MongoReplace:
    """A step of a bulk write that replaces the first document that meets a condition.

    Attributes:
        where: the condition.
        document: the new document.
        upsert: whether the document is inserted if none meets the condition.
    """

    where: Any = attrs.field(repr=False)
    document: Mapping[str, Any] = attrs.field(repr=False)
    upsert: bool = attrs.field(default=False, kw_only=True)


@attrs.frozen
class MongoDelete:
    """A step of a bulk write that deletes the first or all documents that meet a condition.

    Attributes:
        where: the condition.
        many: whether all documents are deleted, and not only the first.
    """

    where: Any = attrs.field(repr=False)
    many: bool = attrs.field(default=False, kw_only=True)


MongoStep: TypeAlias = MongoInsert | MongoUpdate | MongoReplace | MongoDelete
"""A single write within a bulk write."""


@attrs.frozen(kw_only=True)
class MongoChange:
    """A change in a collection or database, as MongoDB's change stream reports it.

    Attributes:
        kind: the kind of the change, such as "insert", "update", "replace", "delete" or "drop".
        token: the text with which another stream goes on after this change.
        collection: the collection; None if the change concerns all of the database.
        id: the id of the document; None if the change concerns no document.
        document: the document, if the server sent it: for an insert and a replacement always, for
            an update if the stream asked for it.
        fields: the fields that an update has set, with their new values.
        removed: the names of the fields that an update has removed.
        truncated: the new lengths of arrays whose last elements an update has removed, by the names
            of their fields.
        at: the time of the change by the server's clock, if the server tells it.
    """

    kind: str
    token: str
    collection: str | None = None
    id: Any = None
    document: dict[str, Any] | None = attrs.field(default=None, repr=False)
    fields: dict[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    removed: tuple[str, ...] = ()
    truncated: dict[str, int] = attrs.field(factory=dict[str, int])
    at: datetime | None = None
