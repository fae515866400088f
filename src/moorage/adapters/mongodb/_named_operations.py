"""The operations of the MongoDB connector by name, for example for the command line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from bson.errors import BSONError

from moorage.adapters.mongodb._packing import as_json, from_json
from moorage.domain.connectors.mongodb_values import MongoOperators
from moorage.domain.connectors.operation_forms import (
    OperationForm,
    check_type,
    operations_of,
    wrong_argument_error,
)
from moorage.domain.values.json_text import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.connectors.named_operation import NamedOperation

_COLLECTION: Final = "The name of the collection."
_CONDITION_TEXT: Final = (
    'The condition as a JSON object, such as {"status": "open"}; {} for all documents.'
)
_CHANGE: Final = 'The change as a JSON object, such as {"$set": {"status": "paid"}}.'
_DOCUMENT: Final = "The document as a JSON object."
_FIELDS: Final = "The names of the fields to read, as a list; all by default."
_SORT: Final = 'The fields to sort by, such as {"total": -1}.'
_UPSERT: Final = "true to insert a document if no document matches."
_REPEATABLE_TEXT: Final = "true if repeating the operation is harmless."

_ARGUMENTS: Final[dict[str, tuple[str, dict[str, str], dict[str, str]]]] = {
    "find": (
        "Reads the documents that match a condition.",
        {"where": _CONDITION_TEXT},
        {
            "fields": _FIELDS,
            "sort": _SORT,
            "limit": "The maximum number of documents.",
            "skip": "The number of documents to skip.",
        },
    ),
    "find_one": (
        "Reads the first document that matches a condition.",
        {"where": _CONDITION_TEXT},
        {"fields": _FIELDS, "sort": _SORT},
    ),
    "count": ("Counts the documents that match a condition.", {"where": _CONDITION_TEXT}, {}),
    "aggregate": (
        "Runs an aggregation, and reads its result.",
        {"stages": "The stages of the aggregation, as a list of JSON objects."},
        {"repeatable": _REPEATABLE_TEXT},
    ),
    "insert_one": ("Inserts a document, and returns its id.", {"document": _DOCUMENT}, {}),
    "insert_many": (
        "Inserts documents, and returns their ids.",
        {"documents": "The documents, as a list of JSON objects."},
        {},
    ),
    "update_one": (
        "Changes the first document that matches a condition.",
        {"where": _CONDITION_TEXT, "change": _CHANGE},
        {"upsert": _UPSERT, "repeatable": _REPEATABLE_TEXT},
    ),
    "update_many": (
        "Changes all documents that match a condition.",
        {"where": _CONDITION_TEXT, "change": _CHANGE},
        {"upsert": _UPSERT, "repeatable": _REPEATABLE_TEXT},
    ),
    "replace_one": (
        "Replaces the first document that matches a condition.",
        {"where": _CONDITION_TEXT, "document": _DOCUMENT},
        {"upsert": _UPSERT, "repeatable": _REPEATABLE_TEXT},
    ),
    "delete_one": (
        "Deletes the first document that matches a condition.",
        {"where": _CONDITION_TEXT},
        {"repeatable": _REPEATABLE_TEXT},
    ),
    "delete_many": (
        "Deletes all documents that match a condition.",
        {"where": _CONDITION_TEXT},
        {"repeatable": _REPEATABLE_TEXT},
    ),
}
"""The operations: what each does, the arguments that it needs, and those that it takes."""

_FORMS: Final = {
    name: OperationForm(
        about=about,
        required={"collection": _COLLECTION, **needed},
        optional=taken,
        render=as_json,
    )
    for name, (about, needed, taken) in _ARGUMENTS.items()
}
_TYPES: Final[dict[str, tuple[type[Any], str]]] = {
    "collection": (str, "a string"),
    "where": (dict, "a JSON object"),
    "change": (dict, "a JSON object"),
    "document": (dict, "a JSON object"),
    "documents": (list, "a list"),
    "stages": (list, "a list"),
    "fields": (list, "a list"),
    "sort": (dict, "a JSON object"),
    "limit": (int, "a number"),
    "skip": (int, "a number"),
    "upsert": (bool, "true or false"),
    "repeatable": (bool, "true or false"),
}
_CONDITIONS: Final = frozenset({"where", "change", "stages"})


class AnyMongoConnector(Protocol):
    """The methods of a connector that make operations, synchronous or asynchronous."""

    takes_operators: bool


def named_operations(connector: AnyMongoConnector) -> Mapping[str, NamedOperation]:
    """Return the operations of a connector, by name."""
    trusted = _CONDITIONS if connector.takes_operators else frozenset[str]()
    return operations_of(connector, _FORMS, partial(_converted_argument, trusted=trusted))


def _converted_argument(name: str, value: Any, *, trusted: frozenset[str]) -> Any:
    """Convert an argument to the type that the connector's method accepts."""
    check_type(name, value, _TYPES)
    kind, words = _TYPES[name]
    try:
        converted_value = from_json(value)
    except (TypeError, ValueError, ArithmeticError, BSONError):
        converted_value = None
    if not isinstance(converted_value, kind):
        raise wrong_argument_error(name, f"{words} that writes MongoDB's types as Extended JSON")
    return _trusted_value(converted_value) if name in trusted else converted_value


def _trusted_value(value: Any) -> Any:
    """Return a value in which all mappings are marked as trusted, so they may hold operators."""
    if is_object(value):
        return MongoOperators({name: _trusted_value(item) for name, item in value.items()})
    if is_list(value):
        return [_trusted_value(item) for item in value]
    return value
