"""The steps of a bulk write, for pymongo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne

from moorage.domain.connectors.mongodb_values import change_of, condition_of, document_of
from moorage.domain.connectors.mongodb_writes import (
    MongoDelete,
    MongoInsert,
    MongoReplace,
    MongoStep,
    MongoUpdate,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def bulk_of(steps: Iterable[MongoStep]) -> list[Any]:
    """Convert the steps of a bulk write to pymongo's classes.

    Raises:
        InvalidData: a condition, change or document contains an operator that is not marked.
    """
    return [_step_of(step) for step in steps]


def _step_of(step: MongoStep) -> Any:
    match step:
        case MongoInsert():
            return InsertOne(document_of(step.document))
        case MongoUpdate():
            update = UpdateMany if step.many else UpdateOne
            return update(condition_of(step.where), change_of(step.change), upsert=step.upsert)
        case MongoReplace():
            document = document_of(step.document)
            return ReplaceOne(condition_of(step.where), document, upsert=step.upsert)
        case MongoDelete():
            delete = DeleteMany if step.many else DeleteOne
            return delete(condition_of(step.where))
        case _:
            assert_never(step)
