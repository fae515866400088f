"""The JSON Schema of a configuration, by which editors complete and check it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.config.overlays import ENVIRONMENTS
from moorage.config.shapes import (
    Address,
    Anything,
    Either,
    Field,
    Flag,
    Function,
    Kinded,
    Many,
    Moment,
    Named,
    Number,
    OneOf,
    SecretText,
    Shape,
    Table,
    Text,
    TimeOfDay,
)
from moorage.config.tables import CONFIGURATION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Schema: TypeAlias = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_FILLED: Final[Schema] = {"type": "string", "pattern": r"^\$\{[^}]*\}$"}
"""What the environment fills in may become a number, too."""


def json_schema() -> Schema:
    """The schema of a configuration, Draft 2020-12, with the options of every installed vendor."""
    definitions: Schema = {}
    whole = _Writer(definitions, whole=True).table(CONFIGURATION)
    parts = _Writer(definitions, whole=False).table(CONFIGURATION)
    properties: Schema = whole["properties"]
    overlay = {name: one for name, one in parts["properties"].items() if name in _IN_OVERLAYS}
    definitions["environment"] = {**parts, "properties": overlay}
    return {
        "$schema": _DIALECT,
        **whole,
        "title": "moorage",
        "properties": {
            **properties,
            ENVIRONMENTS: {
                "type": "object",
                "description": "What differs in an environment, by its name.",
                "additionalProperties": {"$ref": "#/$defs/environment"},
            },
        },
        "$defs": definitions,
    }


_IN_OVERLAYS: Final = frozenset(CONFIGURATION.fields) - {"version", "$schema"}


class _Writer:
    """Writes schemas of shapes.

    Args:
        definitions: where those of tables are put that are referred to.
        whole: whether what is required has to be there; in what is laid over others it has not.
    """

    def __init__(self, definitions: Schema, *, whole: bool) -> None:
        self._definitions = definitions
        self._whole = whole
        self._prefix = "" if whole else "part-of-"

    def of(self, shape: Shape) -> Schema:
        """The schema of a shape."""
        return _WRITERS[type(shape)](self, shape)

    def named_table(self, table: Table) -> Schema:
        """A reference to the schema of a table."""
        own = f"{self._prefix}{table.name}"
        if own not in self._definitions:
            self._definitions[own] = self.table(table)
        return {"$ref": f"#/$defs/{own}"}

    def table(self, table: Table) -> Schema:
        """The schema of a table."""
        written: Schema = {
            "type": "object",
            "title": table.name,
            "description": table.about,
            "properties": {name: self.field(one) for name, one in table.fields.items()},
            "additionalProperties": False,
        }
        required = [name for name, one in table.fields.items() if one.required]
        return {**written, "required": required} if required and self._whole else written

    def field(self, field: Field) -> Schema:
        """The schema of what stands under a name."""
        written = self.of(field.shape)
        if field.nullable:
            written = {"anyOf": [written, {"type": "null"}]}
        written = {**written, "description": field.about}
        return written if field.default is None else {**written, "default": field.default}

    def kinded(self, shape: Kinded) -> Schema:
        """A reference to the schema of a table whose kind says what is in it."""
        own = f"{self._prefix}{shape.name}"
        if own not in self._definitions:
            tables = {name: self.named_table(shape.table(name)) for name in shape.names()}
            chosen: Schema = {
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
            required = {"required": ["kind"]} if self._whole else {}
            self._definitions[own] = {**chosen, **required}
        return {"$ref": f"#/$defs/{own}"}

    def named(self, shape: Named) -> Schema:
        """The schema of a table from names of one's own."""
        written: Schema = {"type": "object", "additionalProperties": self.of(shape.of)}
        if not (isinstance(shape.of, Kinded) and shape.of.named):
            return written
        # An account that is called as a vendor is one there, unless it says otherwise.
        any_kind = written["additionalProperties"]
        return {
            **written,
            "properties": {
                name: {
                    "if": {"type": "object", "required": ["kind"]},
                    "then": any_kind,
                    "else": self.named_table(shape.of.table(name)),
                }
                for name in shape.of.names()
            },
        }


def _filled(written: Schema) -> Schema:
    return {"anyOf": [written, _FILLED]}


_TEXT: Final[Schema] = {"type": "string"}

_WRITERS: Final[Mapping[type, Callable[[_Writer, Any], Schema]]] = {
    Text: lambda _, __: _TEXT,
    SecretText: lambda _, __: _TEXT,
    Address: lambda _, __: _TEXT,
    TimeOfDay: lambda _, __: _TEXT,
    Moment: lambda _, __: _TEXT,
    Function: lambda _, __: _TEXT,
    Flag: lambda _, __: _filled({"type": "boolean"}),
    Number: lambda _, shape: _filled({"type": "integer" if shape.whole else "number"}),
    OneOf: lambda _, shape: _filled({"enum": list(shape.choices)}),
    Either: lambda writer, shape: {"anyOf": [writer.of(one) for one in shape.shapes]},
    Many: lambda writer, shape: {
        "anyOf": [writer.of(shape.of), {"type": "array", "items": writer.of(shape.of)}]
    },
    Named: lambda writer, shape: writer.named(shape),
    Anything: lambda _, __: {},
    Table: lambda writer, shape: writer.named_table(shape),
    Kinded: lambda writer, shape: writer.kinded(shape),
}
