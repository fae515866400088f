"""Parses the types in Python source: classes with annotated fields, enumerations, aliases.

They have the form of TypeScript's types, under TypeScript's names, such as `string` and `Record`.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

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

_NAMES: Final = {
    "AnyHttpUrl": "string",
    "AnyUrl": "string",
    "AwareDatetime": "string",
    "EmailStr": "string",
    "UUID": "string",
    "bool": "boolean",
    "bytes": "string",
    "date": "string",
    "datetime": "string",
    "dict": "object",
    "float": "number",
    "int": "number",
    "object": "object",
    "str": "string",
}
_LISTS: Final = frozenset({"List", "Sequence", "Set", "list", "set"})
_TABLES: Final = frozenset({"Dict", "Mapping", "dict"})
_TABLES_OF_FIELDS: Final = frozenset({"attribute_map", "swagger_types"})
_NO_BASES: Final = frozenset({"ABC", "BaseModel", "Enum", "object", "str"})


def declarations_in(file: str, text: str) -> Mapping[tuple[str, ...], Declaration]:
    """Return the types in a Python module, by the name of the file and of the type."""
    module = ast.parse(text)
    scope = _Scope(file, "pydantic" in text)
    return {(file, name): part for name, part in scope.declarations(module)}


class _Scope:
    """The types that a Python module declares.

    Args:
        file: the module's file.
        has_requirements: whether fields without a default are required; classes whose fields are
            only annotations do not say it.
    """

    def __init__(self, file: str, has_requirements: bool) -> None:  # noqa: FBT001 - private
        self._file = file
        self._has_requirements = has_requirements

    def declarations(self, module: ast.Module) -> Iterator[tuple[str, Declaration]]:
        """Yield the names and types in a module."""
        for node in module.body:
            if isinstance(node, ast.ClassDef):
                yield node.name, Declaration("class", (), self._class(node))
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp | ast.Subscript):
                for target in node.targets:
                    yield ast.unparse(target), Declaration("type", (), self.type(node.value))

    def _class(self, node: ast.ClassDef) -> Type:
        roots = [base for base in node.bases if isinstance(base, ast.Subscript)]
        if roots:
            return self.type(roots[0].slice)
        bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
        if "Enum" in bases:
            values = [ast.unparse(part.value) for part in node.body if isinstance(part, ast.Assign)]
            return Union(tuple(Literal(ast.literal_eval(value)) for value in values))
        fields = Fields((*self._fields(node), *self._listed_fields(node)), None)
        names = [Name(base, (), (self._file,)) for base in bases if base not in _NO_BASES]
        return Intersection((*names, fields)) if names else fields

    def _fields(self, node: ast.ClassDef) -> Iterator[Field]:
        is_camel_case = any(
            isinstance(part, ast.Assign) and "alias_generator=to_camel" in ast.unparse(part)
            for part in node.body
        )
        for part in node.body:
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                required = self._has_requirements and not _has_default(part.value)
                attribute = part.target.id
                if not attribute.startswith("_"):
                    first, *other_words = attribute.split("_")
                    camel_name = "".join((first, *map(str.capitalize, other_words)))
                    name = _alias(part) or (camel_name if is_camel_case else attribute)
                    yield Field(name, self.type(part.annotation), required)

    def _listed_fields(self, node: ast.ClassDef) -> Iterator[Field]:
        """Yield the fields in the lists that Swagger's generator writes, with types and names."""
        tables: dict[str, dict[str, str]] = {
            name: ast.literal_eval(part.value)
            for part in node.body
            if isinstance(part, ast.Assign)
            for name in map(ast.unparse, part.targets)
            if name in _TABLES_OF_FIELDS
        }
        types = tables.get("swagger_types", {})
        for attribute, name in tables.get("attribute_map", {}).items():
            expression = ast.parse(types[attribute], mode="eval").body
            yield Field(name, self.type(expression), required=False)

    def type(self, node: ast.expr) -> Type:
        """Return the type of an annotation."""
        if isinstance(node, ast.Constant):
            return self._constant(node.value)
        if isinstance(node, ast.BinOp):
            return Union((self.type(node.left), self.type(node.right)))
        if isinstance(node, ast.Attribute):
            return self._name(node.attr)
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Subscript):
            return self._generic_type(node)
        return AnyType()

    def _constant(self, value: object) -> Type:
        if isinstance(value, str) and value.isidentifier():
            return self._name(value)
        return self._name("null") if value is None else AnyType()

    def _name(self, name: str) -> Type:
        if name in _LISTS:
            return Listing(AnyType())
        return Name(_NAMES.get(name, name), (), (self._file,))

    def _generic_type(self, node: ast.Subscript) -> Type:
        owner = node.value
        name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name == "Literal":
            return Union(tuple(Literal(ast.literal_eval(part)) for part in parts))
        if name == "Annotated":
            return self.type(parts[0])
        types = tuple(map(self.type, parts))
        if name == "Optional":
            return Union((*types, self._name("null")))
        if name == "Union":
            return Union(types)
        if name in _LISTS:
            return Listing(types[0])
        if name in _TABLES:
            return Name("Record", types, (self._file,))
        return AnyType()


def _has_default(value: ast.expr | None) -> bool:
    """Return whether the value that a class gives a field is a default."""
    if isinstance(value, ast.Call):
        words = {keyword.arg for keyword in value.keywords}
        return bool(value.args) or not words.isdisjoint({"default", "default_factory"})
    return value is not None


def _alias(field: ast.AnnAssign) -> str | None:
    """Return a field's JSON name, if it differs.

    Classes generated from an XML Schema have the name in their metadata.
    """
    for node in ast.walk(field):
        if isinstance(node, ast.keyword) and node.arg in {"alias", "serialization_alias"}:
            return str(ast.literal_eval(node.value))
        if isinstance(node, ast.keyword) and node.arg == "metadata":
            name = _literal_entries(node.value).get("name")
            return None if name is None else str(name)
    return None


def _literal_entries(node: ast.expr) -> dict[str, object]:
    """Return the entries of a dictionary in source code whose values are literals."""
    if not isinstance(node, ast.Dict):
        return {}
    return {
        str(ast.literal_eval(key)): value.value
        for key, value in zip(node.keys, node.values, strict=True)
        if key is not None and isinstance(value, ast.Constant)
    }
