"""Converts results of operations to text for stores, and to plain JSON."""

from __future__ import annotations

import json
from typing import Any, Final

import attrs
from bson import json_util
from bson.binary import UuidRepresentation
from bson.json_util import JSONMode, JSONOptions

from moorage.domain.connectors.mongodb_writes import MongoBulkResult, MongoUpdated
from moorage.domain.values.json_text import is_list, is_object

_EXACT_OPTIONS: Final = JSONOptions(
    json_mode=JSONMode.CANONICAL, tz_aware=True, uuid_representation=UuidRepresentation.STANDARD
)
_READABLE_OPTIONS: Final = JSONOptions(
    json_mode=JSONMode.RELAXED, tz_aware=True, uuid_representation=UuidRepresentation.STANDARD
)
_NUMBERED_FIELD: Final = "upserted_ids"
VALUES: Final = frozenset(
    {"$oid", "$date", "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$uuid"}
)
"""The names of Extended JSON for values that plain JSON does not have."""


def packed(result: Any) -> str:
    """Convert a result to a string; `unpacked` is the reverse."""
    return json_util.dumps(_plain_result(result), json_options=_EXACT_OPTIONS)


def unpacked(text: str, kind: type[Any] | None) -> Any:
    """Convert a string made by `packed` back to the result.

    Args:
        text: the string.
        kind: the class of the result, or `tuple` for several; None for any other result.
    """
    value: Any = json_util.loads(text, json_options=_EXACT_OPTIONS)
    if kind is None or value is None:
        return value
    if kind is tuple:
        return tuple(value)
    if _NUMBERED_FIELD in value:
        value[_NUMBERED_FIELD] = {
            int(number): item for number, item in value[_NUMBERED_FIELD].items()
        }
    return kind(**value)


def as_json(result: Any) -> Any:
    """Return a result as JSON, with MongoDB's types written as Extended JSON."""
    return json.loads(json_util.dumps(_plain_result(result), json_options=_READABLE_OPTIONS))


def from_json(value: Any) -> Any:
    """Convert JSON to a Python value; Extended JSON becomes MongoDB's own types.

    Raises:
        ValueError: a value of Extended JSON is wrong.
    """
    if is_object(value):
        names = set(value)
        if len(names) == 1 and names <= VALUES:
            return json_util.object_hook(value, _EXACT_OPTIONS)
        return {name: from_json(item) for name, item in value.items()}
    if is_list(value):
        return [from_json(item) for item in value]
    return value


def _plain_result(result: Any) -> Any:
    if isinstance(result, (MongoBulkResult, MongoUpdated)):
        fields = attrs.asdict(result, recurse=False)
        numbered_items = fields.get(_NUMBERED_FIELD)
        if numbered_items is not None:
            fields[_NUMBERED_FIELD] = {str(number): item for number, item in numbered_items.items()}
        return fields
    return result
