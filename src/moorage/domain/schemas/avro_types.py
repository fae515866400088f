"""Avro schemas as trees of types, read from their JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.schemas.schema import CompleteSchema

_PRIMITIVES: Final = frozenset({
    "null", "boolean", "int", "long", "float", "double", "bytes", "string",
})  # fmt: skip
_NAME: Final = late_pattern(r"[A-Za-z_]\w*", 256)
_FULL_NAME: Final = late_pattern(r"\.?[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", 256)


@attrs.define(eq=False, repr=False)
class AvroType:
    """A type in an Avro schema; the type of a recursive schema contains itself.

    Attributes:
        kind: "record", "enum", "fixed", "array", "map", "union", or the name of a primitive type.
        name: the full name of a record, an enumeration or a fixed type.
        aliases: the full names of its aliases.
        fields: the fields of a record.
        items: the type of the items of an array, or of the values of a map.
        branches: the types of a union.
        symbols: the symbols of an enumeration.
        default: the default symbol of an enumeration.
        size: the size of a fixed type.
        decimal: the precision and the scale of a decimal number.
    """

    kind: str
    name: str = ""
    aliases: tuple[str, ...] = ()
    fields: tuple[AvroField, ...] = ()
    items: AvroType | None = None
    branches: tuple[AvroType, ...] = ()
    symbols: tuple[str, ...] = ()
    default: str | None = None
    size: int = 0
    decimal: tuple[int, int] | None = None

    @property
    def short_name(self) -> str:
        """The name without its namespace."""
        return self.name.rpartition(".")[2]


@attrs.frozen(eq=False, repr=False)
class AvroField:
    """A field of an Avro record.

    Attributes:
        name: the field's name.
        type: the field's type.
        has_default: whether it has a default value.
        aliases: the field's aliases.
    """

    name: str
    type: AvroType
    has_default: bool
    aliases: tuple[str, ...]


def avro_type(complete: CompleteSchema) -> AvroType:
    """Return the type that an Avro schema describes.

    Raises:
        InvalidData: the text is not an Avro schema, or uses an undefined name.
    """
    reader = _Reader({})
    try:
        for name, part in complete.parts:
            reader.type(_json(part.text), "", name)
        return reader.type(_json(complete.schema.text), "", "")
    except RecursionError:
        raise _invalid_error("", "is nested too deeply") from None


class AvroHazards(NamedTuple):
    """The dangers of reading data of an Avro schema, such as endless nesting.

    Attributes:
        is_recursive: True if a type contains itself, so that data may be nested without limit.
        has_empty_items: True if an array has items of zero bytes. A few bytes can then
            announce more items than any machine has memory for.
        empty_values: the largest number of values of zero bytes in one record. Records whose
            fields are such records may multiply it.
    """

    is_recursive: bool
    has_empty_items: bool
    empty_values: int


def hazards(root: AvroType) -> AvroHazards:
    """Return the dangers of reading data of an Avro schema, such as endless nesting.

    Raises:
        InvalidData: the types are nested too deeply.
    """
    try:
        nodes = _nodes(root, {})
        arrays = [node for node in nodes if node.kind == "array"]
        has_empty_items = any(_is_empty(part, {}) for node in arrays for part in _parts(node))
        counts: dict[int, int] = {}
        empty_value_count = max(_empty_values(node, counts) for node in nodes)
        return AvroHazards(_finds_cycle(root, set(), set()), has_empty_items, empty_value_count)
    except RecursionError:
        raise _invalid_error("", "is nested too deeply") from None


def _finds_cycle(node: AvroType, ancestor_ids: set[int], visited_ids: set[int]) -> bool:
    identity = id(node)
    if identity in ancestor_ids:
        return True
    if identity in visited_ids:
        return False
    visited_ids.add(identity)
    return any(_finds_cycle(part, ancestor_ids | {identity}, visited_ids) for part in _parts(node))


def _nodes(node: AvroType, seen: dict[int, AvroType]) -> list[AvroType]:
    if id(node) not in seen:
        seen[id(node)] = node
        for part in _parts(node):
            _nodes(part, seen)
    return list(seen.values())


def _parts(node: AvroType) -> list[AvroType]:
    items = [] if node.items is None else [node.items]
    return [*items, *node.branches, *(field.type for field in node.fields)]


def _is_empty(node: AvroType, results: dict[int, bool]) -> bool:
    if id(node) not in results:
        results[id(node)] = False
        results[id(node)] = (
            node.kind == "null"
            or (node.kind == "fixed" and node.size == 0)
            or (node.kind == "record" and all(_is_empty(f.type, results) for f in node.fields))
        )
    return results[id(node)]


def _empty_values(node: AvroType, counts: dict[int, int]) -> int:
    """Return the number of values in data of an Avro type that may take up no bytes."""
    if id(node) not in counts:
        counts[id(node)] = 0
        if node.kind == "record" and node.fields:
            counts[id(node)] = sum(_empty_values(field.type, counts) for field in node.fields)
        else:
            counts[id(node)] = int(_is_empty(node, {}))
    return counts[id(node)]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        # A schema that is only a name may be written without quotation marks.
        return text.strip()


@attrs.frozen
class _Reader:
    """Reads Avro types from JSON, and remembers the types that have a name.

    Attributes:
        named: the types by their full names.
    """

    named: dict[str, AvroType]

    def type(self, value: Any, namespace: str, path: str) -> AvroType:
        """Return the Avro type that a JSON value describes."""
        if isinstance(value, str):
            return self.reference(value, namespace, path)
        if is_list(value):
            return self.union(value, namespace, path)
        if not is_object(value):
            raise _invalid_error(path, "has a type that is not a string, a list or an object")
        type_ = value.get("type")
        kind = type_ if isinstance(type_, str) else ""
        if kind in {"record", "error", "enum", "fixed"}:
            return self.definition(value, namespace, path)
        if kind in {"array", "map"}:
            key = "items" if kind == "array" else "values"
            if key not in value:
                raise _invalid_error(path, f"lacks {key!r} of its {kind}")
            return AvroType(kind, items=self.type(value[key], namespace, f"{path}.{key}"))
        inner_type = self.type(type_, namespace, path)
        decimal = _decimal(value)
        return inner_type if decimal is None else attrs.evolve(inner_type, decimal=decimal)

    def reference(self, name: str, namespace: str, path: str) -> AvroType:
        if name in _PRIMITIVES:
            return AvroType(name)
        for full_name in (_full_name(name, namespace), name):
            if full_name in self.named:
                return self.named[full_name]
        raise _invalid_error(path, f"uses the name {name[:80]!r} before it is defined")

    def union(self, values: list[Any], namespace: str, path: str) -> AvroType:
        branches = tuple(
            self.type(value, namespace, f"{path}[{n}]") for n, value in enumerate(values)
        )
        keys = [branch.name or branch.kind for branch in branches]
        if "union" in keys or len(set(keys)) < len(keys):
            raise _invalid_error(
                path, "has a union that contains two branches of one type, or another union"
            )
        return AvroType("union", branches=branches)

    def definition(self, value: dict[str, Any], namespace: str, path: str) -> AvroType:
        name = _text(value.get("name"), _FULL_NAME, path, "name")
        namespace_value = value.get("namespace", namespace)
        full_name = _full_name(
            name, namespace_value if isinstance(namespace_value, str) else namespace
        )
        own_namespace = full_name.rpartition(".")[0]
        if full_name in self.named or full_name in _PRIMITIVES:
            raise _invalid_error(
                path, f"defines the name {full_name[:80]!r} twice, or redefines a name of Avro"
            )
        aliases = tuple(
            _full_name(alias, own_namespace) for alias in _texts(value, "aliases", _FULL_NAME, path)
        )
        kind = "record" if value["type"] == "error" else value["type"]
        node = self.named[full_name] = AvroType(kind, full_name, aliases)
        path = f"{path}.{full_name}" if path else full_name
        if kind == "record":
            node.fields = self.fields(value, own_namespace, path)
        elif kind == "enum":
            node.symbols = _texts(value, "symbols", _NAME, path)
            default = value.get("default")
            if default is not None and default not in node.symbols:
                raise _invalid_error(path, "has a default that is not one of its symbols")
            node.default = default
        else:
            size = value.get("size")
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise _invalid_error(path, "has a fixed type without a size")
            node.size = size
            node.decimal = _decimal(value)
        return node

    def fields(self, value: dict[str, Any], namespace: str, path: str) -> tuple[AvroField, ...]:
        fields = value.get("fields")
        if not is_list(fields):
            raise _invalid_error(path, "has a record without a list of fields")
        result: list[AvroField] = []
        for number, field in enumerate(fields):
            if not is_object(field):
                raise _invalid_error(f"{path}[{number}]", "has a field that is not an object")
            name = _text(field.get("name"), _NAME, f"{path}[{number}]", "name")
            place = f"{path}.{name}"
            if any(name == other_field.name for other_field in result):
                raise _invalid_error(place, "has a record with two fields of this name")
            type_ = self.type(field.get("type"), namespace, place)
            aliases = _texts(field, "aliases", _NAME, place)
            result.append(AvroField(name, type_, "default" in field, aliases))
        return tuple(result)


def _full_name(name: str, namespace: str) -> str:
    if "." in name:
        return name.lstrip(".")
    return f"{namespace}.{name}" if namespace else name


def _text(value: object, pattern: Any, path: str, what: str) -> str:
    if isinstance(value, str) and pattern.fullmatch(value):
        return value
    raise _invalid_error(path, f"has no valid {what}")


def _texts(value: dict[str, Any], key: str, pattern: Any, path: str) -> tuple[str, ...]:
    texts = value.get(key, [])
    if not is_list(texts):
        raise _invalid_error(path, f"has {key!r}, but not as a list")
    names = tuple(_text(text, pattern, path, key) for text in texts)
    if len(set(names)) < len(names):
        raise _invalid_error(path, f"contains a duplicate in its {key}")
    return names


def _decimal(value: dict[str, Any]) -> tuple[int, int] | None:
    """Return the precision and the scale of a decimal number; None for any other type."""
    precision, scale = value.get("precision"), value.get("scale", 0)
    is_decimal = value.get("logicalType") == "decimal"
    if is_decimal and isinstance(precision, int) and isinstance(scale, int):
        return precision, scale
    return None


def _invalid_error(path: str, problem: str) -> InvalidData:
    return InvalidData(
        f"The Avro schema {problem}{f', at {path[:200]!r}' if path else ''}.",
        field="schema",
        remedy="Correct the schema, or pass the schemas that it uses as its references.",
    )
