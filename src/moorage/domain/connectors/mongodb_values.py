"""MongoDB's conditions, changes and documents, in which values cannot act as operators.

MongoDB reads a key that begins with `$` as an operator, at any depth. So a value from
outside such as `{"$ne": null}` in the place of a password would change the meaning of a condition.
Laws:

1. A mapping inside a condition, a change or a document may not have such names.
2. A program marks its own mappings of operators as `MongoOperators`; the mark applies to one
   mapping, and not to the values in it.
3. Operators that run JavaScript in the server are always refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import attrs

from moorage.errors import InvalidData

_MOST_LEVELS: Final = 100
_SCALARS: Final = frozenset({str, int, float, bool, bytes, type(None)})
"""The types of most values, for a fast check."""
_JAVASCRIPT: Final = frozenset({"$where", "$function", "$accumulator"})
_CHANGES: Final = frozenset(
    {
        "$addToSet", "$bit", "$currentDate", "$inc", "$max", "$min", "$mul", "$pop", "$pull",
        "$pullAll", "$push", "$rename", "$set", "$setOnInsert", "$unset",
    }
)  # fmt: skip
_WRITING_STAGES: Final = frozenset({"$out", "$merge"})


@attrs.frozen
class MongoOperators:
    """A mapping whose names may be operators, such as `MongoOperators({"$gt": 100})`.

    Its values are not marked: a nested mapping with operators needs a separate mark. Never mark
    untrusted data.

    Attributes:
        document: the operators, by name.
    """

    document: Mapping[str, Any] = attrs.field(repr=False)


def condition_of(where: Any) -> dict[str, Any]:
    """Return a MongoDB condition in the form that the driver needs.

    Args:
        where: the condition; an empty mapping is fulfilled by all documents.

    Raises:
        InvalidData: the condition is not a mapping, or contains an operator that is not marked.
    """
    return _mapping(where, "where")


def document_of(document: Any) -> dict[str, Any]:
    """Return a document in the form that the MongoDB driver stores.

    Raises:
        InvalidData: the document is not a mapping, or contains an operator.
    """
    if isinstance(document, MongoOperators):
        raise _unmarked_error("document")
    return _mapping(document, "document")


def change_of(change: Any) -> dict[str, Any]:
    """Return a MongoDB change for the driver, such as `{"$set": {"status": "paid"}}`.

    Raises:
        InvalidData: the change is not a mapping of operators that change documents, or contains
            another operator that is not marked.
    """
    operators = _as_mapping(change, "change")
    if not operators or not operators.keys() <= _CHANGES:
        raise InvalidData(
            "A change must contain only operators, such as $set and $inc.",
            field="change",
            remedy='Write a change such as {"$set": {"status": "paid"}}, or replace the document.',
        )
    return {name: _mapping(fields, "change") for name, fields in operators.items()}


def stages_of(stages: Any) -> list[dict[str, Any]]:
    """Return the stages of a MongoDB aggregation in the form that the driver needs.

    The name of a stage needs no mark; operators in its value do.

    Raises:
        InvalidData: the value is not a list of stages, or contains an operator that is not marked.
    """
    if not isinstance(stages, (list, tuple)):
        raise _stages_error()
    checked_stages: list[dict[str, Any]] = []
    for stage in cast("list[Any]", stages):
        operators = _as_mapping(stage, "stages")
        if len(operators) != 1 or not next(iter(operators)).startswith("$"):
            raise _stages_error()
        checked_stages.append(
            {name: _to_plain(value, "stages", _MOST_LEVELS) for name, value in operators.items()}
        )
    return checked_stages


def changes_nothing(stages: list[dict[str, Any]]) -> bool:
    """Return whether no stage of an aggregation writes to a collection."""
    return not any(_WRITING_STAGES & stage.keys() for stage in stages)


def _stages_error() -> InvalidData:
    return InvalidData(
        "An aggregation must be a list of stages with one operator each.",
        field="stages",
        remedy='Write stages such as [{"$match": {"status": "open"}}, {"$limit": 10}].',
    )


def _as_mapping(value: Any, field: str) -> Mapping[str, Any]:
    mapping: Any = value.document if isinstance(value, MongoOperators) else value
    if not isinstance(mapping, (dict, Mapping)):  # a fast check for the usual case, a dict
        raise InvalidData(
            f"A value of the type {type(mapping).__name__} is not a mapping.",
            field=field,
            remedy="Pass a mapping of names and values.",
        )
    if not all(isinstance(name, str) for name in cast("Any", mapping)):
        raise InvalidData(
            "A mapping has a key that is not a str.", field=field, remedy="Use only str keys."
        )
    return cast("Mapping[str, Any]", mapping)


def _mapping(value: Any, field: str) -> dict[str, Any]:
    _as_mapping(value, field)
    return cast("dict[str, Any]", _to_plain(value, field, _MOST_LEVELS))


def _to_plain(value: Any, field: str, levels: int) -> Any:
    if type(value) in _SCALARS or not isinstance(
        value, (dict, Mapping, MongoOperators, list, tuple)
    ):
        return value
    if not levels:
        raise InvalidData(
            "The mappings and lists are nested too deeply.",
            field=field,
            remedy=f"Use at most {_MOST_LEVELS} levels, which is MongoDB's limit.",
        )
    if isinstance(value, (dict, Mapping, MongoOperators)):
        is_marked = isinstance(value, MongoOperators)
        mapping = _as_mapping(cast("Any", value), field)
        for name in mapping:
            if name in _JAVASCRIPT:
                raise InvalidData(
                    f"The operator {name} runs JavaScript on the server.",
                    field=field,
                    remedy="Use $expr with MongoDB operators instead.",
                )
            if name.startswith("$") and not is_marked:
                raise _unmarked_error(field)
        return {name: _to_plain(item, field, levels - 1) for name, item in mapping.items()}
    items = cast("list[Any]", value)
    return [_to_plain(item, field, levels - 1) for item in items]


def _unmarked_error(field: str) -> InvalidData:
    return InvalidData(
        "A value has a key that begins with $. MongoDB would read the key as an operator.",
        field=field,
        remedy="If your program wrote the value, mark it as MongoOperators({…}). If the value"
        " came from outside, refuse it, or convert it to a text.",
    )
