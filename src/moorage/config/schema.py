"""Writes the JSON Schema of a configuration, by which editors complete and check it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.config.overlays import ENVIRONMENTS
from moorage.config.shapes import (
    Address,
    AnyOf,
    AnyValue,
    DateTimeShape,
    Field,
    Flag,
    Function,
    ListOf,
    NamedTable,
    Number,
    OneOf,
    SecretText,
    Shape,
    Table,
    TableByKind,
    Text,
    TimeOfDay,
)
from moorage.config.tables import CONFIGURATION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Schema: TypeAlias = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE_REFERENCE: Final[Schema] = {"type": "string", "pattern": r"^\$\{[^}]*\}$"}
"""A reference to an environment variable, whose value may become a number or a flag."""


def json_schema() -> Schema:
    """Return the JSON Schema (Draft 2020-12) of a configuration with all installed vendors."""
    definitions: Schema = {}
    whole_schema = _Writer(definitions, whole=True).table(CONFIGURATION)
    parts = _Writer(definitions, whole=False).table(CONFIGURATION)
    properties: Schema = whole_schema["properties"]
    overlay = {
        name: schema for name, schema in parts["properties"].items() if name in _OVERLAY_FIELDS
    }
    definitions["environment"] = {**parts, "properties": overlay}
    return {
        "$schema": _DIALECT,
        **whole_schema,
        "title": "moorage",
        "properties": {
            **properties,
            ENVIRONMENTS: {
                "type": "object",
                "description": "The settings that differ in an environment, by its name.",
                "additionalProperties": {"$ref": "#/$defs/environment"},
            },
        },
        "$defs": definitions,
    }


_OVERLAY_FIELDS: Final = frozenset(CONFIGURATION.fields) - {"version", "$schema"}


class _Writer:
    """Converts descriptions of settings to JSON Schemas.

    Args:
        definitions: collects the schemas of tables that other schemas refer to.
        whole: True if required settings must be present; False for an overlay.
    """

    def __init__(self, definitions: Schema, *, whole: bool) -> None:
        self._definitions = definitions
        self._whole = whole
        self._prefix = "" if whole else "part-of-"

    def of(self, shape: Shape) -> Schema:
        """Return the JSON Schema for the description of a setting."""
        return _WRITERS[type(shape)](self, shape)

    def named_table(self, table: Table) -> Schema:
        """Return a reference to the JSON Schema of a table."""
        definition = f"{self._prefix}{table.name}"
        if definition not in self._definitions:
            self._definitions[definition] = self.table(table)
        return {"$ref": f"#/$defs/{definition}"}

    def table(self, table: Table) -> Schema:
        """Return the JSON Schema of a table."""
        schema: Schema = {
            "type": "object",
            "title": table.name,
            "description": table.about,
            "properties": {name: self.field(field) for name, field in table.fields.items()},
            "additionalProperties": False,
        }
        required_names = [name for name, field in table.fields.items() if field.required]
        return {**schema, "required": required_names} if required_names and self._whole else schema

    def field(self, field: Field) -> Schema:
        """Return the JSON Schema of a field of a table."""
        schema = self.of(field.shape)
        if field.nullable:
            schema = {"anyOf": [schema, {"type": "null"}]}
        schema = {**schema, "description": field.about}
        return schema if field.default is None else {**schema, "default": field.default}

    def kinded(self, shape: TableByKind) -> Schema:
        """Return a reference to the schema of a table whose fields depend on its kind."""
        definition = f"{self._prefix}{shape.name}".replace(" ", "_")
        if definition not in self._definitions:
            tables = {name: self.named_table(shape.table(name)) for name in shape.names()}
            schema: Schema = {
                "type": "object",
                "properties": {"kind": {"enum": list(tables)}},
                "allOf": [
                    {
                        "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
                        "then": table,
                    }
                    for name, table in tables.items()
                ],
            }
            if shape.other is not None:
                has_kind = {"type": "object", "required": ["kind"]}
                schema = {"if": has_kind, "then": schema, "else": self.of(shape.other)}
            elif self._whole:
                schema = {**schema, "required": ["kind"]}
            self._definitions[definition] = schema
        return {"$ref": f"#/$defs/{definition}"}

    def list_of(self, shape: ListOf) -> Schema:
        """Return the schema of a list; a single value may be allowed in its place."""
        entry = self.of(shape.of)
        whole_list: Schema = {"type": "array", "items": entry}
        return {"anyOf": [entry, whole_list]} if shape.single else whole_list

    def named(self, shape: NamedTable) -> Schema:
        """Return the schema of a table whose names users choose."""
        schema: Schema = {"type": "object", "additionalProperties": self.of(shape.of)}
        if not (isinstance(shape.of, TableByKind) and shape.of.named):
            return schema
        # An account that has the name of a vendor is at that vendor, unless its `kind` names
        # another.
        any_kind = schema["additionalProperties"]
        return {
            **schema,
            "properties": {
                name: {
                    "if": {"type": "object", "required": ["kind"]},
                    "then": any_kind,
                    "else": self.named_table(shape.of.table(name)),
                }
                for name in shape.of.names()
            },
        }


def _filled_schema(written: Schema) -> Schema:
    return {"anyOf": [written, _VARIABLE_REFERENCE]}


_TEXT: Final[Schema] = {"type": "string"}

_WRITERS: Final[Mapping[type, Callable[[_Writer, Any], Schema]]] = {
    Text: lambda _, __: _TEXT,
    SecretText: lambda _, __: _TEXT,
    Address: lambda _, __: _TEXT,
    TimeOfDay: lambda _, __: _TEXT,
    DateTimeShape: lambda _, __: _TEXT,
    Function: lambda _, __: _TEXT,
    Flag: lambda _, __: _filled_schema({"type": "boolean"}),
    Number: lambda _, shape: _filled_schema({"type": "integer" if shape.whole else "number"}),
    OneOf: lambda _, shape: _filled_schema({"enum": list(shape.choices)}),
    AnyOf: lambda writer, shape: {"anyOf": [writer.of(choice) for choice in shape.shapes]},
    ListOf: lambda writer, shape: writer.list_of(shape),
    NamedTable: lambda writer, shape: writer.named(shape),
    AnyValue: lambda _, __: {},
    Table: lambda writer, shape: writer.named_table(shape),
    TableByKind: lambda writer, shape: writer.kinded(shape),
}
