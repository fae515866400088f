"""The documents of a JSON Schema: the schema itself, and the documents that it references."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from moorage.domain.values.frozen_values import frozen
from moorage.domain.values.json_text import is_list, is_object, refuse_constant
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.schemas.schema import CompleteSchema

_MOST_REFERENCES: Final = 100
"""The maximum number of references that are followed to one part."""

_NOT_RULES: Final = frozenset({
    "$comment", "$defs", "$schema", "default", "definitions", "description", "examples", "title",
})  # fmt: skip
"""Keywords that may be next to a reference, because they are not rules."""


@frozen
class JsonDocuments:
    """The documents of a JSON Schema.

    Attributes:
        root: the schema itself.
        others: the documents that it references, by their names.
    """

    root: Any
    others: Mapping[str, Any]

    @classmethod
    def of(cls, complete: CompleteSchema) -> JsonDocuments:
        """Return the documents of a schema.

        Raises:
            InvalidData: one of the documents is not JSON, or not a schema.
        """
        other_documents = {name: json_schema(part.text) for name, part in complete.parts}
        return cls(json_schema(complete.schema.text), other_documents)

    def follow_references(self, part: Any) -> tuple[Any, str | None]:
        """Follow references to the final schema part; also return a broken reference, if any.

        The second value is None if all references were followed.
        """
        for _ in range(_MOST_REFERENCES):
            if not is_object(part) or "$ref" not in part:
                return part, self._base_id(part)
            reference = part["$ref"]
            if not isinstance(reference, str) or part.keys() - {"$ref"} - _NOT_RULES:
                return part, str(reference)
            target = self._target(reference)
            if target is None:
                return part, reference
            part = target
        return part, str(part["$ref"])

    def _base_id(self, part: Any) -> str | None:
        """Return the `$id` of a part, which changes the meaning of its references, or None."""
        if not is_object(part) or part is self.root or "$id" not in part:
            return None
        return None if part in self.others.values() else str(part["$id"])

    def _target(self, reference: str) -> Any:
        document, _, fragment = reference.partition("#")
        part = self.others.get(document) if document else self.root
        # References inside another document would start there.
        if document and (fragment or "$ref" in json.dumps(part)):
            return None
        if not fragment:
            return part
        if not fragment.startswith("/"):
            return None
        for step in unquote(fragment)[1:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if is_object(part) and name in part:
                part = part[name]
            elif is_list(part) and name.isdecimal() and int(name) < len(part):
                part = part[int(name)]
            else:
                return None
        return part if is_object(part) or isinstance(part, bool) else None


def json_schema(text: str) -> Any:
    """Return the JSON of a schema's text.

    Raises:
        InvalidData: the JSON is neither an object nor true or false.
    """
    try:
        value = json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        value = None
    if is_object(value) or isinstance(value, bool):
        return value
    raise InvalidData(
        "The JSON Schema is not valid JSON, or is not an object or a boolean.",
        field="schema",
        remedy="Pass the schema as its registry shows it.",
    )
