"""The fields of a described operation that a program uses, of OpenAPI 2 and 3.

A description may have thousands of fields, and schemas that contain themselves. Only the fields
that the program uses are visited, and no chain of fields enters a schema twice.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.domain.openapi.document import Document, Node, UnmappedOperation
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import DescriptionRefused, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Uses = Callable[[str], bool]

_MAX_DEPTH: Final = 12
"""The largest number of names in a path; no vendor's response is nested deeper."""

_MOST_SCHEMAS: Final = 100_000
"""The largest number of visits to schemas in an operation; schemas may refer to each other."""

_NULL: Final = "null"
_TYPES: Final = {
    bool: "boolean",
    float: "number",
    int: "integer",
    list: "array",
    str: "string",
    type(None): _NULL,
}
_PLACEHOLDER: Final = re.compile(r"\\\{[^}]*\\\}")
_VERSION_PREFIX: Final = r"(?:/[^/]*\d[^/]*)?"
_METHODS: Final = frozenset({"delete", "get", "head", "patch", "post", "put"})


class FieldSide(StrEnum):
    """The part of a request or a response that contains a field."""

    HEADER = "header"
    QUERY = "query"
    REQUEST = "request"
    ANSWER = "answer"


@attrs.frozen(kw_only=True)
class Field:
    """A field of a request or a response, as the API description states it.

    Attributes:
        types: JSON types of its values; empty if any type is allowed.
        words: the allowed words, if it is an enumeration; otherwise None.
        format: format of its values, such as "date-time".
        required: whether it is always there.
        used: whether the program uses it; other fields are listed only because requests need them.
    """

    types: frozenset[str] = frozenset()
    words: frozenset[str] | None = None
    format: str | None = None
    required: bool = False
    used: bool = True


Fields: TypeAlias = dict[tuple[FieldSide, str], Field]
"""Fields by the part of the exchange and the dotted path."""


@attrs.frozen
class DescribedOperation:
    """An operation of an API description, with the method and the path.

    Attributes:
        method: the method in capitals.
        template: the path, with names in braces.
        node: the operation's description.
        parameters: the operation's own parameters and its path's parameters.
    """

    method: str
    template: str
    node: Node = attrs.field(repr=False, eq=False)
    parameters: tuple[Node, ...] = attrs.field(repr=False, eq=False)

    @property
    def name(self) -> str:
        """The method and the path."""
        return f"{self.method} {self.template}"

    @property
    def shape(self) -> tuple[str, str]:
        """The method and the path, without the names in braces and the number of a version."""
        return self.method, re.sub(r"\d+", "0", re.sub(r"\{[^{}]*\}", "{}", self.template))


@attrs.frozen
class _Schema:
    """A schema whose references are resolved and whose alternatives are joined."""

    types: frozenset[str]
    words: frozenset[str] | None
    format: str | None
    properties: Mapping[str, tuple[Node, ...]]
    required: frozenset[str]
    items: tuple[Node, ...]
    others: tuple[Node, ...]
    entered: frozenset[str]


def operations(document: Document) -> Iterator[DescribedOperation]:
    """Yield the operations of a description; parts with a broken reference are left out."""
    for template, item in document.root.child("paths").children():
        path_item = _resolve(document, item)
        shared_parameters = [*path_item.child("parameters").items()]
        for method, node in path_item.children():
            if method in _METHODS and is_object(node.value):
                own_parameters = [*node.child("parameters").items()]
                parameters = [
                    _resolve(document, part) for part in (*shared_parameters, *own_parameters)
                ]
                # A parameter of the operation replaces that of its path.
                by_name = {(part.text("in"), part.text("name")): part for part in parameters}
                yield DescribedOperation(method.upper(), template, node, tuple(by_name.values()))


def matching_operation(
    described: tuple[DescribedOperation, ...], method: str, path: str, bases: frozenset[str]
) -> DescribedOperation | None:
    """Return the operation of a request; None if it is not described.

    A path matches below each base path, and also if a number in a segment differs, so that the
    description of another version of the API matches too.

    Args:
        described: the operations of the description.
        method: the request's method in capitals.
        path: the path that was requested.
        bases: the base paths of the description.
    """
    matches = [
        (not is_exact, operation.template.count("{"), -len(operation.template), operation)
        for operation in described
        if operation.method == method
        for is_exact, pattern in _patterns(operation.template, bases)
        if re.fullmatch(pattern, path)
    ]
    return min(matches, key=lambda match: match[:3])[-1] if matches else None


def _patterns(template: str, bases: frozenset[str]) -> Iterator[tuple[bool, str]]:
    pattern = _PLACEHOLDER.sub("[^/]+", re.escape(template))
    for base in {"", *bases}:
        yield True, re.escape(base) + pattern
    yield False, _VERSION_PREFIX + pattern


def base_paths(document: Document) -> frozenset[str]:
    """Return the base paths of a description, without a slash at the end."""
    root = document.root
    urls = [server.text("url") or "" for server in root.child("servers").items()]
    paths = [re.sub(r"^[a-zA-Z][\w+.-]*://[^/]*", "", url) for url in urls]
    return frozenset(path.rstrip("/") for path in (*paths, root.text("basePath") or ""))


def fields_of(document: Document, operation: DescribedOperation, uses: Uses) -> Fields:
    """Return the fields of an operation that a program uses, and those that requests require.

    Args:
        document: the description.
        operation: the operation.
        uses: returns whether the program uses a name.

    Raises:
        DescriptionRefused: the schemas are too deep, or refer to each other too often.
    """
    try:
        return _fields_of(document, operation, uses)
    except RecursionError:
        raise _excess_error(operation) from None


def _fields_of(document: Document, operation: DescribedOperation, uses: Uses) -> Fields:
    fields: Fields = {}
    reader = _Reader(document, operation, uses, fields)
    for parameter in operation.parameters:
        _read_parameter(reader, parameter)
    body = _resolve(document, operation.node.child("requestBody"))
    for schema in _schemas(body):
        reader.read(FieldSide.REQUEST, (schema,))
    responses = dict(operation.node.child("responses").children())
    statuses = [status for status in responses if status[:1] == "2"]
    for status in statuses or [name for name in responses if name == "default"]:
        described_answer = _resolve(document, responses[status])
        for schema in (*_schemas(described_answer), described_answer.child("schema")):
            reader.read(FieldSide.ANSWER, (schema,))
    return fields


def _read_parameter(reader: _Reader, parameter: Node) -> None:
    name, place = parameter.text("name") or "", parameter.text("in")
    if place == "body":
        reader.read(FieldSide.REQUEST, (parameter.child("schema"),))
        return
    sides = {"query": FieldSide.QUERY, "header": FieldSide.HEADER, "formData": FieldSide.REQUEST}
    side = sides.get(place or "")
    if side is not None:
        schema = parameter.child("schema")
        schemas = (schema if is_object(schema.value) else parameter,)
        is_required = parameter.child("required").value is True
        reader.read_field(side, name, name, schemas, required=is_required)


def _schemas(content_of: Node) -> Iterator[Node]:
    for _, media_type in content_of.child("content").children():
        yield media_type.child("schema")


class _Reader:
    """Collects the used fields of schemas."""

    def __init__(
        self, document: Document, operation: DescribedOperation, uses: Uses, fields: Fields
    ) -> None:
        self._document = document
        self._operation = operation
        self._visits = 0
        self._uses = uses
        self._fields = fields

    def read(
        self,
        side: FieldSide,
        schemas: tuple[Node, ...],
        path: str = "",
        entered_pointers: frozenset[str] = frozenset(),
        depth: int = 0,
    ) -> None:
        """Add the fields below a schema, or below any of several alternative schemas."""
        schema = self._joined(schemas, entered_pointers)
        if depth >= _MAX_DEPTH or schema is None:
            return
        if schema.items:
            self.read(side, schema.items, f"{path}[]", schema.entered, depth + 1)
        if schema.others:
            self.read(side, schema.others, f"{path}.*".lstrip("."), schema.entered, depth + 1)
        for name, parts in schema.properties.items():
            self.read_field(
                side,
                name,
                f"{path}.{name}".lstrip("."),
                parts,
                required=name in schema.required,
                entered_pointers=schema.entered,
                depth=depth,
            )

    def read_field(
        self,
        side: FieldSide,
        name: str,
        path: str,
        schemas: tuple[Node, ...],
        *,
        required: bool,
        entered_pointers: frozenset[str] = frozenset(),
        depth: int = 0,
    ) -> None:
        """Add a used field with all fields inside it; or add a field that requests require."""
        is_used = self._uses(name)
        if not is_used and (side is FieldSide.ANSWER or not required):
            return
        schema = self._joined(schemas, entered_pointers)
        if schema is None:
            return
        if self._belongs_to_other_side(schemas, side):
            return
        field = Field(
            types=schema.types,
            words=schema.words,
            format=schema.format,
            required=required,
            used=is_used,
        )
        earlier_field = self._fields.get((side, path))
        self._fields[side, path] = (
            field if earlier_field is None else _join_fields(earlier_field, field)
        )
        if is_used:
            self.read(side, schemas, path, entered_pointers, depth + 1)

    def _belongs_to_other_side(self, schemas: tuple[Node, ...], side: FieldSide) -> bool:
        keyword = "writeOnly" if side is FieldSide.ANSWER else "readOnly"
        return any(_resolve(self._document, part).child(keyword).value is True for part in schemas)

    def _joined(
        self, schemas: tuple[Node, ...], entered_pointers: frozenset[str]
    ) -> _Schema | None:
        """Return alternative schemas merged into one; None if all of them were visited before."""
        parts = [
            part
            for schema in schemas
            if (part := self._schema(schema, entered_pointers)) is not None
        ]
        if not parts:
            return None
        joined_schema = parts[0]
        for part in parts[1:]:
            joined_schema = _union_schema(joined_schema, part)
        return joined_schema

    def _schema(self, node: Node, entered_pointers: frozenset[str]) -> _Schema | None:
        self._visits += 1
        if self._visits > _MOST_SCHEMAS:
            raise _excess_error(self._operation)
        schema_node = _resolve(self._document, node)
        if not is_object(schema_node.value) or schema_node.pointer in entered_pointers:
            return None
        entered_pointers |= {schema_node.pointer}
        full_schema = _own_schema(schema_node, entered_pointers)
        for part in schema_node.child("allOf").items():
            schema = self._schema(part, entered_pointers)
            full_schema = full_schema if schema is None else _all_of(full_schema, schema)
        for keyword in ("anyOf", "oneOf"):
            choice = self._joined(tuple(schema_node.child(keyword).items()), entered_pointers)
            full_schema = full_schema if choice is None else _all_of(full_schema, choice)
        if full_schema.types and _is_nullable(schema_node):
            return attrs.evolve(full_schema, types=full_schema.types | {_NULL})
        return full_schema


def _excess_error(operation: DescribedOperation) -> DescriptionRefused:
    problem = Problem(
        operation.node.pointer,
        "The schemas of the operation are nested too deeply, or refer to each other in too"
        " many ways.",
        "Compare the operation manually, and remove it from both descriptions.",
    )
    return DescriptionRefused.of([problem])


def _own_schema(node: Node, entered_pointers: frozenset[str]) -> _Schema:
    value = node.value
    kinds = value.get("type")
    types = frozenset(map(str, kinds if is_list(kinds) else () if kinds is None else (kinds,)))
    words = value.get("enum")
    if "const" in value:
        words = [value["const"]]
    items, other_values = node.child("items"), node.child("additionalProperties")
    return _Schema(
        types or _implied_types(node, words),
        frozenset(str(word) for word in words if word is not None) if is_list(words) else None,
        node.text("format"),
        {name: (part,) for name, part in node.child("properties").children()},
        frozenset(map(str, value["required"])) if is_list(value.get("required")) else frozenset(),
        (items,) if is_object(items.value) else (),
        (other_values,) if is_object(other_values.value) else (),
        entered_pointers,
    )


def _is_nullable(node: Node) -> bool:
    return any(node.child(name).value is True for name in ("nullable", "x-nullable"))


def _implied_types(node: Node, words: Any) -> frozenset[str]:
    """Return the types of a schema that names none; empty if any type is allowed."""
    if is_list(words):
        return frozenset(_TYPES.get(word.__class__, "object") for word in words)
    if node.child("properties").value is not None:
        return frozenset({"object"})
    return frozenset() if node.child("items").value is None else frozenset({"array"})


def _all_of(first: _Schema, second: _Schema) -> _Schema:
    """Return a schema of the values that match both schemas."""
    words = first.words if second.words is None else second.words
    if first.words is not None and second.words is not None:
        words = first.words & second.words
    return _Schema(
        first.types or second.types,
        words,
        first.format or second.format,
        _joined_properties(first, second),
        first.required | second.required,
        first.items + second.items,
        first.others + second.others,
        first.entered | second.entered,
    )


def _union_schema(first: _Schema, second: _Schema) -> _Schema:
    """Return a schema of the values that match either schema."""
    both_have_words = first.words is not None and second.words is not None
    return _Schema(
        first.types | second.types if first.types and second.types else frozenset[str](),
        (first.words or frozenset()) | (second.words or frozenset()) if both_have_words else None,
        first.format if first.format == second.format else None,
        _joined_properties(first, second),
        first.required & second.required,
        first.items + second.items,
        first.others + second.others,
        first.entered | second.entered,
    )


def _joined_properties(first: _Schema, second: _Schema) -> dict[str, tuple[Node, ...]]:
    return {
        name: first.properties.get(name, ()) + second.properties.get(name, ())
        for name in {**first.properties, **second.properties}
    }


def _join_fields(first: Field, second: Field) -> Field:
    """Merge two descriptions of one field, such as those of responses with different statuses."""
    both_have_words = first.words is not None and second.words is not None
    return Field(
        types=first.types | second.types if first.types and second.types else frozenset[str](),
        words=(first.words or frozenset()) | (second.words or frozenset())
        if both_have_words
        else None,
        format=first.format if first.format == second.format else None,
        required=first.required and second.required,
        used=first.used,
    )


def _resolve(document: Document, node: Node) -> Node:
    """Return the node that a reference leads to; an empty node if the reference is broken."""
    try:
        return document.resolved(node)
    except UnmappedOperation:
        return Node(None, node.pointer)
