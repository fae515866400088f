"""Maps a description's schemas to Python classes and type annotations.

A class is named after its schema, or after the position of the schema in the description. In
annotations the name is enclosed in « and », because modules write it in different ways. A schema
that cannot be mapped raises `UnmappedOperation`; other operations are generated.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.openapi.document import Node, UnmappedOperation, reference_of, refusal
from moorage.domain.values.json_text import is_list, is_object
from moorage.scaffold.client.layout import literal
from moorage.scaffold.client.words import TAKEN_CLASSES, attribute_name, class_name, unique

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.openapi.document import Document
    from moorage.errors import Problem

_MAX_DEPTH: Final = 60
_MOST_MEMBERS: Final = 1_000
_FORMATS: Final = {
    "date-time": "datetime",
    "date": "date",
    "uuid": "UUID",
    "byte": "bytes",
    "decimal": "Decimal",
}
_TYPES: Final = {"string": "str", "integer": "int", "number": "Decimal", "boolean": "bool"}
_NOT_MAPPED: Final = ("$dynamicRef", "$recursiveRef")
_SHAPING: Final = frozenset({"$ref", "allOf", "anyOf", "items", "oneOf", "properties", "type"})
_ANY: Final = "Any"


@attrs.frozen
class Kind:
    """The type annotation of a schema.

    Attributes:
        text: the annotation, without null.
        limits: the Python expressions of its limits.
        nullable: True if null is allowed.
    """

    text: str
    limits: tuple[str, ...] = ()
    nullable: bool = False

    @property
    def annotation(self) -> str:
        """The type annotation, with None added if the schema allows null."""
        return f"{self.text} | None" if self.nullable and self.text != _ANY else self.text

    @property
    def nested(self) -> str:
        """The annotation with its value limits, for use inside another annotation."""
        text = f"Annotated[{', '.join([self.text, *self.limits])}]" if self.limits else self.text
        return f"{text} | None" if self.nullable and self.text != _ANY else text


@attrs.frozen
class ClassField:
    """A class field: its attribute, JSON name and annotation."""

    name: str
    member: str
    kind: Kind
    required: bool


@attrs.frozen
class ObjectClass:
    """A generated class for a JSON object; `other` is the annotation of additional members."""

    name: str
    source: str
    fields: tuple[ClassField, ...]
    other: str | None


@attrs.frozen
class EnumClass:
    """A generated enumeration of strings."""

    name: str
    source: str
    values: tuple[str, ...]


@attrs.frozen
class UnionAlias:
    """A generated name for a union; `members` has the discriminator and its classes, if any."""

    name: str
    kinds: tuple[str, ...]
    member: str | None
    classes: tuple[tuple[str, str], ...]


class Schemas:
    """The classes of an API description, by the JSON pointer of their schema.

    Attributes:
        declared: the declarations by their names, in the order in which they were completed.
    """

    def __init__(self, document: Document, *, keep_unknown: bool) -> None:
        self.declared: dict[str, ObjectClass | EnumClass | UnionAlias] = {}
        self._document = document
        self._keep_unknown = keep_unknown
        self._names: dict[str, str] = {}
        self._failed: dict[str, Problem] = {}
        self._taken = set(TAKEN_CLASSES)
        self._open: list[str] = []

    def kind(self, node: Node, hint: str) -> Kind:
        """Return a schema's annotation, and declare the classes that it needs.

        Args:
            node: the schema, or a reference to one.
            hint: a name for the class of a schema that has no name.

        Raises:
            Unmapped: the schema, or a part of it, cannot be mapped.
        """
        nullable = _is_nullable(node)
        if reference_of(node) is not None:
            target = self._document.resolved(node)
            hint, node = target.pointer.rpartition("/")[2].replace("~1", "/"), target
            nullable = nullable or _is_nullable(node)
        if node.pointer in self._failed:
            raise UnmappedOperation(self._failed[node.pointer])
        if node.pointer in self._names:
            return Kind(f"«{self._names[node.pointer]}»", nullable=nullable)
        if node.pointer in self._open or len(self._open) > _MAX_DEPTH:
            raise refusal(
                node.pointer,
                "The schema refers directly to itself, or is nested too deeply.",
                "Put the reference into a property of an object, or omit the operation.",
            )
        self._open.append(node.pointer)
        try:
            kind = self._kind(node, hint)
        except UnmappedOperation as error:
            self._failed[node.pointer] = error.problem
            raise
        finally:
            self._open.pop()
        return attrs.evolve(kind, nullable=nullable or kind.nullable)

    def union(self, kinds: Iterable[Kind], hint: str) -> Kind:
        """Return the annotation for a union of several annotations."""
        texts = tuple(dict.fromkeys(kind.nested for kind in kinds))
        if len(texts) == 1 or _ANY in texts:
            return Kind(_ANY if _ANY in texts else texts[0])
        name = unique(class_name(hint), self._taken)
        self.declared[name] = UnionAlias(name, texts, None, ())
        return Kind(f"«{name}»")

    def _kind(self, node: Node, hint: str) -> Kind:
        schema = node.value
        if schema is True or schema == {}:
            return Kind(_ANY)
        if not is_object(schema) or any(name in schema for name in _NOT_MAPPED):
            raise refusal(node.pointer, "The schema is not supported.", "Omit the operation.")
        if "allOf" in schema:
            return self._merged_kind(node, hint)
        for name in ("oneOf", "anyOf"):
            if name in schema and not _only_requires(node.child(name)):
                return self._union_kind(node, node.child(name), hint)
        if "const" in schema or "enum" in schema:
            return self._choice_kind(node, hint)
        types = _types_of(node)
        if len(types) > 1:
            kinds = [self._typed_kind(node, item, f"{hint} {item}") for item in types]
            return Kind(" | ".join(dict.fromkeys(kind.nested for kind in kinds)))
        return self._typed_kind(node, types[0] if types else None, hint)

    def _typed_kind(self, node: Node, type_name: str | None, hint: str) -> Kind:
        if type_name == "object" or (type_name is None and "properties" in node.value):
            return self._object_kind(node, hint)
        if type_name == "array" or (type_name is None and "items" in node.value):
            if "items" not in node.value:
                return Kind("Sequence[Any]", _item_limits(node))
            item = self.kind(node.child("items"), f"{hint} item")
            return Kind(f"Sequence[{item.nested}]", _item_limits(node))
        if type_name is None:
            return Kind(_ANY)
        if type_name not in _TYPES:
            raise refusal(
                node.child("type").pointer,
                f"The type {str(node.value['type'])[:50]!r} is unknown.",
                "Correct the type.",
            )
        return _scalar_kind(node, type_name)

    def _object_kind(self, node: Node, hint: str) -> Kind:
        members = self._members(node)
        additional = node.child("additionalProperties")
        if not members:
            if additional.value is None or additional.value is True:
                return Kind("Mapping[str, Any]")
            if is_object(additional.value):
                return Kind(f"Mapping[str, {self.kind(additional, f'{hint} value').nested}]")
        return self._declared_object(node, hint, members, _required_of(node), additional)

    def _members(self, node: Node) -> dict[str, Node]:
        return dict(node.child("properties").children())

    def _declared_object(
        self,
        node: Node,
        hint: str,
        members: dict[str, Node],
        required: frozenset[str],
        additional: Node,
    ) -> Kind:
        name = self._named(node, hint)
        taken_names = {"other_fields"}
        fields = tuple(
            ClassField(
                unique(attribute_name(member), taken_names),
                member,
                self.kind(members[member], f"{name} {member}"),
                member in required,
            )
            for member in members
        )
        other: str | None = _ANY if self._keep_unknown else None
        if is_object(additional.value) and additional.value:
            other = self.kind(additional, f"{name} value").nested
        elif additional.value is False:
            other = None
        self.declared[name] = ObjectClass(name, node.pointer, fields, other)
        return Kind(f"«{name}»")

    def _named(self, node: Node, hint: str) -> str:
        name = unique(class_name(hint), self._taken)
        self._names[node.pointer] = name
        return name

    def _merged_kind(self, node: Node, hint: str) -> Kind:
        """Return the annotation of an object that merges several schemas (`allOf`)."""
        direct_shaping = _SHAPING - {"allOf"}
        parts = [part for part in self._all_parts(node, 0) if direct_shaping & part.value.keys()]
        shaping_names = direct_shaping & node.value.keys()
        references = [item for item in node.child("allOf").items() if is_object(item.value)]
        shaping = [item for item in references if _SHAPING & item.value.keys()]
        if len(shaping) == 1 and shaping_names <= {"type"}:
            return self.kind(shaping[0], hint)
        members: dict[str, Node] = {}
        required = frozenset[str]()
        additional = node.child("additionalProperties")
        for part in self._all_parts(node, 0):
            required |= _required_of(part)
            if additional.value is None:
                additional = part.child("additionalProperties")
            members.update(self._members(part))
        for part in parts:
            types = _types_of(part)
            if types not in ([], ["object"]) or "oneOf" in part.value or "anyOf" in part.value:
                if _only_requires(part.child("oneOf")) or _only_requires(part.child("anyOf")):
                    continue
                raise refusal(
                    part.pointer,
                    "allOf combines a schema that is not an object with fixed properties.",
                    "Describe one object, or omit the operation.",
                )
        if not members:
            return Kind("Mapping[str, Any]") if parts else Kind(_ANY)
        if additional.value is False:
            additional = Node(None, additional.pointer)
        return self._declared_object(node, hint, members, required, additional)

    def _all_parts(self, node: Node, depth: int) -> list[Node]:
        """Return the schemas that `allOf` merges; a schema comes after the schemas inside it."""
        node = self._document.resolved(node)
        if depth > _MAX_DEPTH or not is_object(node.value):
            raise refusal(node.pointer, "allOf is circular or malformed.", "Correct it.")
        inner_parts = [
            part
            for item in node.child("allOf").items()
            for part in self._all_parts(item, depth + 1)
        ]
        return [*inner_parts, node]

    def _union_kind(self, node: Node, alternatives: Node, hint: str) -> Kind:
        if "properties" in node.value:
            raise refusal(
                alternatives.pointer,
                "An object has properties of its own besides its alternatives.",
                "Move the properties into the alternatives, or omit the operation.",
            )
        items = [*alternatives.items()]
        nullable = any(_is_null(item) for item in items)
        items = [item for item in items if not _is_null(item)]
        if len(items) == 1:
            kind = self.kind(items[0], hint)
            return attrs.evolve(kind, nullable=nullable or kind.nullable)
        name = unique(class_name(hint), self._taken)
        kinds = [
            self.kind(item, item.text("title") or f"{name} {position}")
            for position, item in enumerate(items, 1)
        ]
        nullable = nullable or any(kind.nullable for kind in kinds)
        texts = tuple(dict.fromkeys(attrs.evolve(kind, nullable=False).nested for kind in kinds))
        if len(texts) <= 1 or _ANY in texts:
            return Kind(_ANY if _ANY in texts or not texts else texts[0], nullable=nullable)
        member, classes = self._discriminated(node, items, kinds)
        self._names[node.pointer] = name
        self.declared[name] = UnionAlias(name, texts, member, classes)
        return Kind(f"«{name}»", nullable=nullable)

    def _discriminated(
        self, node: Node, items: list[Node], kinds: list[Kind]
    ) -> tuple[str | None, tuple[tuple[str, str], ...]]:
        """Return a union's discriminator, and its classes by discriminator value."""
        discriminator = node.child("discriminator")
        member = discriminator.text("propertyName")
        by_pointer: dict[str, str] = {}
        for item, kind in zip(items, kinds, strict=True):
            declared = self.declared.get(kind.text[1:-1])
            if not isinstance(declared, ObjectClass):
                return None, ()
            if member is None or all(field.member != member for field in declared.fields):
                return None, ()
            by_pointer[self._document.resolved(item).pointer] = declared.name
        mapped: dict[str, str] = {}
        for value, target in discriminator.child("mapping").children():
            reference = str(target.value)
            if not reference.startswith("#"):
                reference = f"#/components/schemas/{reference}"
            if reference in by_pointer:
                mapped[value] = by_pointer[reference]
        for pointer, name in by_pointer.items():
            if name not in mapped.values():
                mapped[pointer.rpartition("/")[2]] = name
        return member, tuple(mapped.items())

    def _choice_kind(self, node: Node, hint: str) -> Kind:
        schema = node.value
        choices = [schema["const"]] if "const" in schema else schema["enum"]
        if not is_list(choices):
            raise refusal(node.child("enum").pointer, "The enum is not a list.", "Correct it.")
        values = [item for item in choices if item is not None]
        nullable = len(values) < len(choices)
        if not values:
            return Kind(_ANY, nullable=nullable)
        texts = [item for item in values if isinstance(item, str)]
        if len(texts) < len(values):
            return _other_choices(node, values, nullable=nullable)
        if len(values) > _MOST_MEMBERS:
            return Kind("str", nullable=nullable)
        if len(values) == 1:
            return Kind("str", (f"OneOf({literal(texts[0])})",), nullable)
        name = self._named(node, hint)
        self.declared[name] = EnumClass(name, node.pointer, tuple(dict.fromkeys(texts)))
        return Kind(f"«{name}»", nullable=nullable)


def _other_choices(node: Node, values: list[Any], *, nullable: bool) -> Kind:
    """Return the annotation of an enumeration that has values other than strings."""
    kinds = {bool: "bool", int: "int", str: "str"}
    if len(values) > _MOST_MEMBERS or not all(type(item) in kinds for item in values):
        types = _types_of(node)
        return Kind(_TYPES.get(types[0], _ANY) if len(types) == 1 else _ANY, nullable=nullable)
    names = dict.fromkeys(kinds[type(item)] for item in values)
    choices = [literal(item) if isinstance(item, str) else repr(item) for item in values]
    return Kind(" | ".join(names), (f"OneOf({', '.join(choices)})",), nullable)


def _scalar_kind(node: Node, type_name: str) -> Kind:
    schema, name = node.value, _TYPES[type_name]
    if type_name == "string":
        known_format = _FORMATS.get(str(schema.get("format")))
        if known_format == "Decimal":
            return Kind("Decimal", ("AS_TEXT",))
        if known_format is not None:
            return Kind(known_format)
        return Kind(
            name, _limits("Text", least=_count(node, "minLength"), most=_count(node, "maxLength"))
        )
    if type_name == "boolean":
        return Kind(name)
    bounds = {
        "least": schema.get("minimum"),
        "most": schema.get("maximum"),
        "above": schema.get("exclusiveMinimum"),
        "below": schema.get("exclusiveMaximum"),
    }
    # In version 3.0, an exclusive bound is a boolean beside the bound.
    for exclusive, inclusive in (("above", "least"), ("below", "most")):
        if bounds[exclusive] is True:
            bounds[exclusive], bounds[inclusive] = bounds[inclusive], None
    return Kind(name, _limits("Number", **{key: _number(bounds[key]) for key in bounds}))


def _item_limits(node: Node) -> tuple[str, ...]:
    return _limits("Items", least=_count(node, "minItems"), most=_count(node, "maxItems"))


def _limits(name: str, **values: str | None) -> tuple[str, ...]:
    arguments = [f"{key}={value}" for key, value in values.items() if value is not None]
    return (f"{name}({', '.join(arguments)})",) if arguments else ()


def _count(node: Node, name: str) -> str | None:
    number = node.child(name).value
    return str(number) if type(number) is int and number > 0 else None


def _number(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    number = Decimal(repr(value))
    return literal(str(number)) if number.is_finite() else None


def _types_of(node: Node) -> list[str]:
    """Return the types that a schema allows, leaving out null."""
    types = node.child("type").value
    names = types if is_list(types) else [types]
    return [str(name) for name in names if name is not None and name != "null"]


def _required_of(node: Node) -> frozenset[str]:
    return frozenset(str(item.value) for item in node.child("required").items())


def _is_nullable(node: Node) -> bool:
    types = node.child("type").value
    return node.child("nullable").value is True or bool(is_list(types) and "null" in types)


def _is_null(node: Node) -> bool:
    return bool(node.child("type").value == "null" or node.child("enum").value == [None])


def _only_requires(alternatives: Node) -> bool:
    """Return whether the alternatives of a schema do nothing but list required members."""
    items = [*alternatives.items()]
    return bool(items) and all(
        is_object(item.value) and not (_SHAPING | {"enum", "const"}) & item.value.keys()
        for item in items
    )
