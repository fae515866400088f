"""Parses the types in JSON Schemas and SCIM schemas into types as TypeScript has them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tools.typescript_types import (
    AnyType,
    Declaration,
    Field,
    Fields,
    Intersection,
    Listing,
    Literal,
    Name,
    Union,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tools.typescript_types import Type

Json: TypeAlias = Any
"""Any JSON value."""

_NAMES: Final = {
    "boolean": "boolean",
    "decimal": "number",
    "integer": "number",
    "null": "null",
    "number": "number",
    "string": "string",
}
_TEXTS: Final = frozenset({"binary", "dateTime", "reference"})


def declarations_from(file: str, text: str) -> Mapping[tuple[str, ...], Declaration]:
    """Return the types in a JSON file, by the name of the file and of the type.

    A configuration with comments declares none.
    """
    try:
        root = json.loads(text)
    except ValueError:
        return {}
    return {
        (file, *name.split(".")): Declaration("type", (), type_)
        for name, type_ in _Scope(file).declared(root)
    }


class _Scope:
    """The types that one file declares."""

    def __init__(self, file: str) -> None:
        self._file = file

    def declared(self, root: Json) -> Iterator[tuple[str, Type]]:
        """Yield the names and types in a document."""
        if isinstance(root, dict) and "$schema" in root:
            for name, schema in root.get("definitions", {}).items():
                yield name, self._schema_type(schema)
        elif isinstance(root, list):
            for schema in root:
                if isinstance(schema, dict) and "attributes" in schema:
                    yield (
                        schema["name"].replace(" ", ""),
                        self._attributes_type(schema["attributes"]),
                    )

    def _schema_type(self, schema: Json) -> Type:
        """Return a JSON Schema's type; its objects have only the described fields."""
        if "$ref" in schema:
            return self._name(schema["$ref"].rpartition("/")[2])
        types: list[Type] = [
            Union(tuple(map(self._schema_type, schema[word])))
            for word in ("anyOf", "oneOf")
            if word in schema
        ]
        types += map(self._schema_type, schema.get("allOf", ()))
        if "enum" in schema:
            types.append(Union(tuple(map(Literal, schema["enum"]))))
        elif "properties" in schema or schema.get("type") == "object":
            types.append(self._object_type(schema))
        elif schema.get("type") == "array":
            types.append(Listing(self._schema_type(schema.get("items", {}))))
        elif "type" in schema:
            types.append(self._name(_NAMES.get(schema["type"], "unknown")))
        return types[0] if len(types) == 1 else Intersection(tuple(types)) if types else AnyType()

    def _object_type(self, schema: Json) -> Type:
        additional = schema.get("additionalProperties")
        fields = [
            Field(name, self._schema_type(part), name in schema.get("required", ()))
            for name, part in schema.get("properties", {}).items()
        ]
        return Fields(
            tuple(fields), self._schema_type(additional) if isinstance(additional, dict) else None
        )

    def _attributes_type(self, attributes: Json) -> Type:
        fields = [Field(part["name"], self._type_of(part), part["required"]) for part in attributes]
        return Fields(tuple(fields), None)

    def _type_of(self, attribute: Json) -> Type:
        kind = attribute["type"]
        if kind == "complex":
            type_ = self._attributes_type(attribute["subAttributes"])
        else:
            type_ = self._name("string" if kind in _TEXTS else _NAMES[kind])
        return Listing(type_) if attribute["multiValued"] else type_

    def _name(self, name: str) -> Name:
        return Name(name, (), (self._file,))
