"""Maps a description's schemas to Python classes and type annotations.

A class is named after its schema, or after the position of the schema in the description. In
annotations the name is enclosed in « and », because modules write it in different ways. A schema
that cannot be mapped raises `UnmappedOperation`; other operations are generated.
"""

from __future__ import annotations

from contextlib import suppress
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
_LONGEST_ANNOTATION: Final = 100_000
"""An annotation contains those of its parts, so it may be far longer than the description."""

_FORMATS: Final = {
    "date-time": "datetime",
    "date": "date",
    "uuid": "UUID",
    "byte": "bytes",
    "decimal": "Decimal",
}
_TYPES: Final = {"string": "str", "integer": "int", "number": "Decimal", "boolean": "bool"}
_TYPES_OF_VALUES: Final = {
    str: ("string",),
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("integer", "number"),
    None.__class__: ("null",),
}
_UNSUPPORTED_KEYWORDS: Final = ("$dynamicRef", "$recursiveRef")
_SHAPE_KEYWORDS: Final = frozenset(
    {"$ref", "allOf", "anyOf", "items", "oneOf", "properties", "type"}
)
_ITEMS: Final = frozenset({"items", "prefixItems"})
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
    """A class field.

    Attributes:
        name: the attribute.
        member: the name in JSON.
        kind: the annotation.
        required: True if every object has it.
        read_only: True if requests omit it.
        write_only: True if answers omit it.
        is_file: True if it is a file, or a list of files, in a multipart form.
    """

    name: str
    member: str
    kind: Kind
    required: bool
    read_only: bool = False
    write_only: bool = False
    is_file: bool = False


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
        self._kinds: dict[str, Kind] = {}
        self._objects: dict[str, str] = {}
        self._open_unions: dict[str, Kind] = {}
        self._named_unions: set[str] = set()
        self._wrapped: dict[str, tuple[Node, bool]] = {}
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
        kind = self._kinds.get(node.pointer) or self._incomplete_kind(node)
        if kind is not None:
            return attrs.evolve(kind, nullable=nullable or kind.nullable)
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
        if len(kind.nested) > _LONGEST_ANNOTATION:
            raise refusal(
                node.pointer,
                "The type annotation of the schema is too long.",
                "Use fewer types in one schema, or omit the operation.",
            )
        self._kinds[node.pointer] = kind
        return attrs.evolve(kind, nullable=nullable or kind.nullable)

    def _incomplete_kind(self, node: Node) -> Kind | None:
        """Return the annotation of a schema that contains the current one; None if it has no name.

        A union can refer to itself only inside an object: the annotations in a class are evaluated
        after all names are defined, and those in a union before.
        """
        nullable = False
        for _ in self._open:
            if node.pointer in self._wrapped:
                item, item_nullable = self._wrapped[node.pointer]
                node = self._document.resolved(item)
                nullable = nullable or item_nullable or _is_nullable(node)
        if node.pointer in self._objects:
            return Kind(f"«{self._objects[node.pointer]}»", nullable=nullable)
        union = self._open_unions.get(node.pointer)
        if union is None or node.pointer not in self._open:
            return None
        inner_pointers = self._open[self._open.index(node.pointer) + 1 :]
        if not any(pointer in self._objects for pointer in inner_pointers):
            return None
        self._named_unions.add(union.text)
        return attrs.evolve(union, nullable=nullable or union.nullable)

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
        if not is_object(schema) or any(name in schema for name in _UNSUPPORTED_KEYWORDS):
            raise refusal(node.pointer, "The schema is not supported.", "Omit the operation.")
        if "allOf" in schema:
            return self._merged_kind(node, hint)
        for name in ("oneOf", "anyOf"):
            if name in schema and not _only_requires(node.child(name)):
                return self._union_kind(node, node.child(name), hint)
        if ("const" in schema or "enum" in schema) and _choices_have_type(node):
            return self._choice_kind(node, hint)
        types = _types_of(node)
        if len(types) > 1:
            kinds = [self._typed_kind(node, item, f"{hint} {item}") for item in types]
            return Kind(" | ".join(dict.fromkeys(kind.nested for kind in kinds)))
        return self._typed_kind(node, types[0] if types else None, hint)

    def _typed_kind(self, node: Node, type_name: str | None, hint: str) -> Kind:
        if type_name == "object" or (type_name is None and "properties" in node.value):
            return self._object_kind(node, hint)
        if type_name == "array" or (type_name is None and _ITEMS & node.value.keys()):
            # An array with `prefixItems` has items of different types.
            if "items" not in node.value or "prefixItems" in node.value:
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
        name = unique(class_name(hint), self._taken)
        self._objects[node.pointer] = name
        taken_names = {"other_fields"}
        fields = tuple(
            ClassField(
                unique(attribute_name(member), taken_names),
                member,
                self.kind(members[member], f"{name} {member}"),
                member in required,
                self._has_keyword(members[member], "readOnly"),
                self._has_keyword(members[member], "writeOnly"),
                self._is_file(members[member]),
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

    def _has_keyword(self, node: Node, name: str) -> bool:
        return any(part.child(name).value is True for part in (node, self._document.resolved(node)))

    def _is_file(self, node: Node) -> bool:
        schema = self._document.resolved(node)
        if schema.child("items").value is not None:
            schema = self._document.resolved(schema.child("items"))
        is_encoded = schema.child("contentEncoding").value is not None
        has_type = schema.child("contentMediaType").value is not None
        return schema.text("format") == "binary" or (has_type and not is_encoded)

    def _merged_kind(self, node: Node, hint: str) -> Kind:
        """Return the annotation of an object that merges several schemas (`allOf`)."""
        direct_shaping = _SHAPE_KEYWORDS - {"allOf"}
        all_parts = self._all_parts(node)
        parts = [part for part in all_parts if direct_shaping & part.value.keys()]
        shaping_names = direct_shaping & node.value.keys()
        references = [item for item in node.child("allOf").items() if is_object(item.value)]
        shaping_parts = [item for item in references if _SHAPE_KEYWORDS & item.value.keys()]
        if (
            len(shaping_parts) == 1
            and shaping_names <= {"type"}
            and not self._requires_more(node, shaping_parts[0])
        ):
            is_nullable = any(map(_is_nullable, (node, *references)))
            self._wrapped[node.pointer] = shaping_parts[0], is_nullable
            kind = self.kind(shaping_parts[0], hint)
            return attrs.evolve(kind, nullable=is_nullable or kind.nullable)
        members: dict[str, Node] = {}
        required = frozenset[str]()
        additional = node.child("additionalProperties")
        for part in all_parts:
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
        kind = self._declared_object(node, hint, members, required, additional)
        is_nullable = all(_is_nullable(self._document.resolved(item)) for item in references)
        return attrs.evolve(kind, nullable=is_nullable)

    def _requires_more(self, node: Node, part: Node) -> bool:
        """Return whether a schema requires members that a part of its `allOf` leaves optional."""
        inner_parts = self._all_parts(part)
        inner_names = {name for item in inner_parts for name in self._members(item)}
        inner_required = {name for item in inner_parts for name in _required_of(item)}
        required = {name for item in self._all_parts(node) for name in _required_of(item)}
        has_choices = any({"oneOf", "anyOf"} & item.value.keys() for item in inner_parts)
        return not has_choices and bool((required - inner_required) & inner_names)

    def _all_parts(self, node: Node) -> list[Node]:
        """Return the schemas that `allOf` merges, each once, and each after those inside it."""
        parts: dict[str, Node] = {}
        self._add_parts(node, parts, ())
        return [*parts.values()]

    def _add_parts(self, node: Node, parts: dict[str, Node], outer: tuple[str, ...]) -> None:
        node = self._document.resolved(node)
        is_circular = node.pointer in outer or len(outer) > _MAX_DEPTH
        if is_circular or not is_object(node.value):
            raise refusal(node.pointer, "allOf is circular or malformed.", "Correct it.")
        if node.pointer not in parts:
            for item in node.child("allOf").items():
                self._add_parts(item, parts, (*outer, node.pointer))
            parts[node.pointer] = node

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
            self._wrapped[node.pointer] = items[0], nullable or _is_nullable(node)
            kind = self.kind(items[0], hint)
            return attrs.evolve(kind, nullable=nullable or kind.nullable)
        name = unique(class_name(hint), self._taken)
        union = Kind(f"«{name}»", nullable=nullable or any(map(_is_nullable, items)))
        self._open_unions[node.pointer] = union
        kinds = [
            self.kind(item, item.text("title") or f"{name} {position}")
            for position, item in enumerate(items, 1)
        ]
        nullable = nullable or any(kind.nullable for kind in kinds)
        texts = tuple(dict.fromkeys(attrs.evolve(kind, nullable=False).nested for kind in kinds))
        if _ANY in texts or not texts:
            texts = (_ANY,)
        if len(texts) == 1 and union.text not in self._named_unions:
            return Kind(texts[0], nullable=nullable)
        member, classes = self._discriminated(node, items, kinds)
        self.declared[name] = UnionAlias(name, texts, member, classes)
        return Kind(union.text, nullable=nullable)

    def _discriminated(
        self, node: Node, items: list[Node], kinds: list[Kind]
    ) -> tuple[str | None, tuple[tuple[str, str], ...]]:
        """Return a union's discriminator, and its classes by discriminator value.

        An alternative without an entry in the mapping has the name of its schema, and the constants
        that the schema allows. One without a name and constants makes the discriminator useless.
        """
        discriminator = node.child("discriminator")
        member = discriminator.text("propertyName")
        by_pointer: dict[str, str] = {}
        constants: dict[str, tuple[str, ...]] = {}
        classes = set(self._objects.values())
        for item, kind in zip(items, kinds, strict=True):
            target = self._document.resolved(item)
            values = None if member is None else self._constants(target, member)
            if values is None or kind.text[1:-1] not in classes:
                return None, ()
            by_pointer[target.pointer] = kind.text[1:-1]
            name = target.pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
            constants[target.pointer] = values if reference_of(item) is None else (*values, name)
        class_names = self._mapping(discriminator, by_pointer)
        named_classes = {*class_names.values()}
        for pointer, name in by_pointer.items():
            if name not in named_classes:
                if not constants[pointer]:
                    return None, ()
                class_names |= {
                    value: name for value in constants[pointer] if value not in class_names
                }
        return member, tuple(class_names.items())

    def _mapping(self, discriminator: Node, by_pointer: dict[str, str]) -> dict[str, str]:
        """Return the classes in a discriminator's mapping, by its values."""
        class_names: dict[str, str] = {}
        for value, target in discriminator.child("mapping").children():
            reference = str(target.value)
            if not reference.startswith("#"):
                reference = f"#/components/schemas/{reference}"
            with suppress(UnmappedOperation):
                pointer = self._document.resolved(Node({"$ref": reference}, target.pointer)).pointer
                if pointer in by_pointer:
                    class_names[value] = by_pointer[pointer]
        return class_names

    def _constants(self, node: Node, member: str) -> tuple[str, ...] | None:
        """Return the strings to which an object's member is limited; None without the member."""
        values: tuple[str, ...] | None = None
        for part in self._all_parts(node):
            described = part.child("properties").child(member)
            if described.value is not None:
                schema = self._document.resolved(described)
                choices = schema.child("enum").value
                constant = schema.text("const")
                listed_values = [constant] if constant is not None else choices
                texts = listed_values if is_list(listed_values) else []
                values = tuple(text for text in texts if isinstance(text, str))
        return values

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
        name = unique(class_name(hint), self._taken)
        self.declared[name] = EnumClass(name, node.pointer, tuple(dict.fromkeys(texts)))
        return Kind(f"«{name}»", nullable=nullable)


def with_optional_files(declaration: ObjectClass) -> ObjectClass:
    """Return the class of a multipart form, whose files are not values of the class."""
    fields = [
        attrs.evolve(field, required=field.required and not field.is_file)
        for field in declaration.fields
    ]
    return attrs.evolve(declaration, fields=tuple(fields))


def in_directions(
    declaration: ObjectClass | EnumClass | UnionAlias, *, is_sent: bool, is_received: bool
) -> ObjectClass | EnumClass | UnionAlias:
    """Return a declaration in which a required field is optional if one direction omits it.

    Args:
        declaration: the declaration.
        is_sent: True if requests contain its values.
        is_received: True if answers contain its values.
    """
    if not isinstance(declaration, ObjectClass):
        return declaration
    fields = [
        attrs.evolve(field, required=False)
        if (field.read_only and is_sent) or (field.write_only and is_received)
        else field
        for field in declaration.fields
    ]
    return attrs.evolve(declaration, fields=tuple(fields))


def _choices_have_type(node: Node) -> bool:
    """Return whether a schema's `enum` fits its type; if not, the `enum` is probably misplaced."""
    types, choices = _types_of(node), node.child("enum").value
    if not types or not is_list(choices) or "const" in node.value:
        return True
    names = {name for item in choices for name in _TYPES_OF_VALUES.get(item.__class__, ())}
    return not names.isdisjoint(types)


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
    """Return whether each alternative of a schema only lists required members."""
    items = [*alternatives.items()]
    return bool(items) and all(
        is_object(item.value) and not (_SHAPE_KEYWORDS | {"enum", "const"}) & item.value.keys()
        for item in items
    )
