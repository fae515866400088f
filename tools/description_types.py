"""Converts the types in a vendor's library to OpenAPI.

The types are of TypeScript, Python, JSON Schema, SCIM or API Blueprint, or in the pages that
Swagger's generators write.

A library's package, unpacked, has declarations with names, types and requirements, but no paths.
`tools/sdk_operations` has a file for each such vendor, in TypeScript, whose interface `Operations`
says which types its requests have:

    interface Operations {
        "POST /email": { body: Message; answer: MessageSendingResponse };
        "GET /bounces": { query: BounceFilteringParameters; answer: Bounces };
    }

Some libraries have names in camel case where the vendor has them in snake case; `SnakeCase<T>` is a
type with the vendor's names. What the declarations leave open allows each value, as does what this
module does not know.
"""

from __future__ import annotations

import itertools
import json
import re
from email import message_from_string
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tools.blueprint_types import declarations_of_blueprint
from tools.json_types import declarations_from
from tools.markdown_types import declarations_of_page
from tools.python_types import declarations_in
from tools.typescript_types import (
    Fields,
    Intersection,
    Keys,
    Listing,
    Literal,
    MappedType,
    Member,
    Name,
    Union,
    Values,
    declarations_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tools.typescript_types import Declaration, Type

Json: TypeAlias = Any
"""Any JSON value."""

OPERATIONS: Final = Path(__file__).parent / "sdk_operations"
"""The folder with the operations of libraries."""
_SCALARS: Final[Mapping[str, Json]] = {
    "Blob": {"type": "string"},
    "Buffer": {"type": "string"},
    "Date": {"type": "string"},
    "boolean": {"type": "boolean"},
    "null": {"type": "null"},
    "number": {"type": "number"},
    "object": {"type": "object"},
    "string": {"type": "string"},
}
_MISSING: Final = frozenset({"never", "undefined", "void"})
_TRANSPARENT_TYPES: Final = frozenset({"NonNullable", "Promise", "Readonly", "Required"})
_LISTS: Final = frozenset({"Array", "ReadonlyArray", "Set"})
_TYPE_NAMES: Final = {bool: "boolean", float: "number", int: "number", str: "string"}
_BUILT_IN: Final = frozenset(
    {
        *_LISTS,
        *_MISSING,
        *_TRANSPARENT_TYPES,
        *_SCALARS,
        *("Omit", "Partial", "Pick", "Record", "SnakeCase", "any", "unknown"),
    }
)
"""The names that need no declaration."""
_DIRECT: Final = 3
"""The length of the place of a named type's own field: a file, the type and the field."""
_FOLDERS_OF_OTHERS: Final = frozenset({"esm", "node_modules"})


def is_package(folder: Path) -> bool:
    """Return whether a folder is an unpacked npm or PyPI package, or a Maven project."""
    files = ("package.json", "pom.xml")
    return any((folder / file).exists() for file in files) or any(folder.glob("*.dist-info"))


def read_package(folder: Path) -> Json:
    """Return the API description of an unpacked package in a vendor's folder."""
    texts = {
        str(file.relative_to(folder)): file.read_text("utf-8")
        for suffix in (".apib", ".d.ts", ".json", ".md", ".py")
        for file in sorted(folder.rglob(f"*{suffix}"))
        if _FOLDERS_OF_OTHERS.isdisjoint(file.relative_to(folder).parts)
    }
    version, licence = _facts_of(folder)
    return {
        **describe_operations(
            texts, (OPERATIONS / f"{folder.parent.name}.d.ts").read_text("utf-8")
        ),
        "info": {"version": version, "license": {"name": licence}},
    }


def _facts_of(folder: Path) -> tuple[str, str | None]:
    """Return the version and licence in a package's metadata."""
    for file in folder.glob("*.dist-info/METADATA"):
        metadata = message_from_string(file.read_text("utf-8"))
        licence = metadata["License-Expression"] or metadata["License"] or ""
        return metadata["Version"], next(iter(licence.strip().splitlines()), None)
    if (folder / "pom.xml").exists():
        project = (folder / "pom.xml").read_text("utf-8")
        version = re.search(r"<version>([^<]+)<", project)
        licence_name = re.search(r"<license>\s*<name>([^<]+)<", project)
        return "" if version is None else version[1], licence_name and licence_name[1]
    package = json.loads((folder / "package.json").read_text("utf-8"))
    return package["version"], package.get("license")


def describe_operations(texts: Mapping[str, str], operations: str) -> Json:
    """Return a description of these operations, whose types are declared in these files.

    Args:
        texts: the files' texts by their names.
        operations: the text with the interface of the operations.
    """
    types = _Types({**texts, "operations": operations})
    paths: dict[str, dict[str, Json]] = {}
    for name, use in types.fields_of(Name("Operations", (), ("operations",))).items():
        method, _, path = name.partition(" ")
        paths.setdefault(path, {})[method.lower()] = types.operation(use)
    return {
        "looseAnswers": True,
        "servers": [{"url": ""}],
        "paths": paths,
        "components": {"schemas": types.schemas},
    }


class _Types:
    """The schemas of declared types; each is made when it is first referenced."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._declarations: dict[tuple[str, ...], Declaration] = {}
        self._places: dict[str, list[tuple[str, ...]]] = {}
        readers = {
            "apib": declarations_of_blueprint,
            "json": declarations_from,
            "md": declarations_of_page,
            "py": declarations_in,
        }
        for file, text in texts.items():
            read = readers.get(file.rpartition(".")[2], declarations_of)
            self._declarations.update(read(file, text))
        for place in self._declarations:
            self._places.setdefault(place[-1], []).append(place)
        self.schemas: dict[str, Json] = {}
        self._readers: Mapping[type, Callable[[Any, Mapping[str, Json]], Json]] = {
            Fields: self._object,
            Intersection: self._all_of,
            Keys: self._keys,
            Listing: self._listing,
            Literal: self._literal,
            MappedType: self._mapped_schema,
            Member: self._member,
            Name: self._named_schema,
            Union: self._choice,
            Values: self._values,
        }
        self._names: dict[tuple[str, ...], str] = {}
        self._pending: list[tuple[tuple[str, ...], list[Json]]] = []

    def operation(self, use: Json) -> Json:
        """Return an operation with the query, body and answer that the library's types give."""
        parts = self._resolved_schema(use).get("properties", {})
        query = self._resolved_schema(parts.get("query", {}))
        operation: dict[str, Any] = {
            "parameters": [
                {
                    "in": "query",
                    "name": name,
                    "required": name in query.get("required", ()),
                    "schema": schema,
                }
                for name, schema in query.get("properties", {}).items()
            ],
            "responses": {"2XX": _content(parts["answer"]) if "answer" in parts else {}},
        }
        if "body" in parts:
            operation["requestBody"] = _content(parts["body"])
        return operation

    def fields_of(self, owner: Type) -> Mapping[str, Json]:
        """Return the schemas of a type's fields."""
        fields: Mapping[str, Json] = self._resolved_schema(self._schema(owner, {})).get(
            "properties", {}
        )
        return fields

    def _schema(self, type_: Type, bound: Mapping[str, Json]) -> Json:
        """Return a type's schema, with type parameters replaced by these schemas."""
        read = self._readers.get(type(type_))
        return {} if read is None else read(type_, bound)

    def _literal(self, type_: Literal, _: Mapping[str, Json]) -> Json:
        return _word_type(type_.value)

    def _listing(self, type_: Listing, bound: Mapping[str, Json]) -> Json:
        return {"type": "array", "items": self._schema(type_.item, bound)}

    def _choice(self, type_: Union, bound: Mapping[str, Json]) -> Json:
        present_types = [
            part for part in type_.types if not (isinstance(part, Name) and part.name in _MISSING)
        ]
        return _union([self._schema(part, bound) for part in present_types])

    def _all_of(self, type_: Intersection, bound: Mapping[str, Json]) -> Json:
        return {"allOf": [self._schema(part, bound) for part in type_.types]}

    def _keys(self, type_: Keys, bound: Mapping[str, Json]) -> Json:
        names = list(self._resolved_schema(self._schema(type_.owner, bound)).get("properties", {}))
        return {"type": "string", "enum": names}

    def _values(self, type_: Values, _: Mapping[str, Json]) -> Json:
        place = self._place(type_.name)
        return {} if place is None else self._schema(self._declarations[place].type, {})

    def _object(self, type_: Fields, bound: Mapping[str, Json]) -> Json:
        schema: dict[str, Any] = {"type": "object"}
        if type_.fields:
            schema["properties"] = {
                field.name: self._schema(field.type, bound) for field in type_.fields
            }
            schema["required"] = [field.name for field in type_.fields if field.required]
        if type_.others is not None:
            schema["additionalProperties"] = self._schema(type_.others, bound)
        return schema

    def _member(self, type_: Member, bound: Mapping[str, Json]) -> Json:
        declared_field = self._declaration_of(type_, bound)
        if declared_field is not None and len(declared_field[0]) > _DIRECT:
            return self._reference(*declared_field)
        owner = self._resolved_schema(self._schema(type_.owner, bound))
        index = self._resolved_schema(self._schema(type_.index, bound))
        if owner.get("type") == "array":
            return owner["items"]
        fields = owner.get("properties", {})
        return _union([fields.get(name, {}) for name in index.get("enum", ())] or [{}])

    def _declaration_of(
        self, type_: Type, bound: Mapping[str, Json]
    ) -> tuple[tuple[str, ...], Type] | None:
        """Return where a type, or a field of it, is declared, and the declared type.

        Types generated from OpenAPI refer to each other by `components["schemas"]["Order"]`.
        """
        if isinstance(type_, Name):
            place = None if type_.name in bound else self._place(type_)
            if place is None:
                return None
            declared_type = self._declarations[place].type
            is_alias = isinstance(declared_type, Member)
            return self._declaration_of(declared_type, {}) if is_alias else (place, declared_type)
        if not (isinstance(type_, Member) and isinstance(type_.index, Literal)):
            return None
        owner = self._declaration_of(type_.owner, bound)
        if owner is None or not isinstance(owner[1], Fields):
            return None
        name = str(type_.index.value)
        fields = {field.name: field.type for field in owner[1].fields}
        return ((*owner[0], name), fields[name]) if name in fields else None

    def _reference(self, place: tuple[str, ...], type_: Type) -> Json:
        """Return a reference to the schema of a declared type."""
        if place not in self._names:
            self._names[place] = name = self._unused_name(place[-1])
            self.schemas[name] = {}
            self.schemas[name] = self._schema(type_, {})
        return {"$ref": f"#/components/schemas/{self._names[place]}"}

    def _mapped_schema(self, type_: MappedType, bound: Mapping[str, Json]) -> Json:
        """Return the schema of a mapped type.

        One of a type's own names maps the items of a list and the choices of a union, and leaves
        everything else but objects as it is.
        """
        keys = type_.keys
        required: list[str] = []
        if isinstance(keys, Keys):
            owner = self._resolved_schema(self._schema(keys.owner, bound))
            if "anyOf" in owner and isinstance(keys.owner, Name):
                name = keys.owner.name
                choices = [{**bound, name: part} for part in owner["anyOf"]]
                return _union([self._mapped_schema(type_, choice) for choice in choices])
            if owner.get("type") == "array":
                return {"type": "array", "items": self._schema(type_.value, bound)}
            if "properties" not in owner:
                return owner
            required = owner.get("required", [])
        names = self._resolved_schema(self._schema(keys, bound)).get("enum", ())
        return {
            "type": "object",
            "properties": {
                name: self._schema(type_.value, {**bound, type_.parameter: _word_type(name)})
                for name in names
            },
            "required": [] if type_.is_optional else required,
        }

    def _named_schema(self, use: Name, bound: Mapping[str, Json]) -> Json:
        if use.name in bound:
            return bound[use.name]
        place = self._place(use)
        if place is None:
            if use.scope == ("operations",) and use.name not in _BUILT_IN:
                raise LookupError(f"No file declares {use.name}, which the operations use.")
            return self._built_in(use, bound)
        arguments = [self._schema(part, bound) for part in use.arguments]
        if all(part.keys() == {"$ref"} for part in arguments):
            return {"$ref": f"#/components/schemas/{self._component(place, arguments)}"}
        if (place, arguments) in self._pending:
            return {}
        self._pending.append((place, arguments))
        schema = self._with_arguments(place, arguments)
        self._pending.pop()
        return schema

    def _with_arguments(self, place: tuple[str, ...], arguments: list[Json]) -> Json:
        declaration = self._declarations[place]
        parameters: dict[str, Json] = {name: {} for name in declaration.parameters}
        parameters.update(zip(declaration.parameters, arguments, strict=False))
        return self._schema(declaration.type, parameters)

    def _component(self, place: tuple[str, ...], arguments: list[Json]) -> str:
        """Return the name of the schema for a declared type with these type arguments."""
        key = (*place, *(part["$ref"].rpartition("/")[2] for part in arguments))
        if key not in self._names:
            self._names[key] = name = self._unused_name(".".join(key[1:]))
            self.schemas[name] = {}
            self.schemas[name] = self._with_arguments(place, arguments)
        return self._names[key]

    def _unused_name(self, name: str) -> str:
        """Return this name, followed by a number if it is already in use."""
        numbered_names = (f"{name}-{number}" for number in itertools.count(2))
        return next(
            item for item in itertools.chain((name,), numbered_names) if item not in self.schemas
        )

    def _place(self, use: Name) -> tuple[str, ...] | None:
        """Return where a name is declared: in a scope around its use, or in the nearest file."""
        steps = tuple(use.name.split("."))
        for count in range(len(use.scope), 0, -1):
            if (*use.scope[:count], *steps) in self._declarations:
                return (*use.scope[:count], *steps)
        places = [
            place
            for place in self._places.get(steps[-1], ())
            if place[-len(steps) :] == steps or len(place) == 2
        ]
        file = use.scope[0]
        return max(places, key=lambda place: _common_length(place[0], file), default=None)

    def _built_in(self, use: Name, bound: Mapping[str, Json]) -> Json:
        arguments = [self._schema(part, bound) for part in use.arguments]
        if use.name in _SCALARS:
            return dict(_SCALARS[use.name])
        if use.name in _TRANSPARENT_TYPES:
            return arguments[0]
        if use.name in _LISTS:
            return {"type": "array", "items": arguments[0]}
        if use.name == "Record":
            return {"type": "object", "additionalProperties": arguments[1]}
        if use.name == "SnakeCase":
            return self._snake_case(arguments[0], ())
        if use.name in {"Omit", "Partial", "Pick"}:
            return self._part(use.name, *arguments)
        return {}

    def _part(self, word: str, schema: Json, names: Json = None) -> Json:
        """Return a schema with only some of its fields, or with all of them optional."""
        whole_schema = self._resolved_schema(schema)
        words = set(self._resolved_schema(names or {}).get("enum", ()))
        properties = {
            name: part
            for name, part in whole_schema.get("properties", {}).items()
            if word == "Partial" or (name in words) == (word == "Pick")
        }
        required = [name for name in whole_schema.get("required", ()) if name in properties]
        return {
            **whole_schema,
            "properties": properties,
            "required": [] if word == "Partial" else required,
        }

    def _snake_case(self, schema: Json, owners: tuple[str, ...]) -> Json:
        """Return a schema with field names in snake case.

        Args:
            schema: the schema.
            owners: references that this schema is part of, where the result allows each value.
        """
        reference = schema.get("$ref")
        if reference in owners:
            return {}
        owners = owners if reference is None else (*owners, reference)
        result = {**self._resolved_schema(schema)}
        if "properties" in result:
            result["required"] = list(map(_snake_case, result.get("required", ())))
            result["properties"] = {
                _snake_case(name): self._snake_case(part, owners)
                for name, part in result["properties"].items()
            }
        for name in {"additionalProperties", "items"} & result.keys():
            result[name] = self._snake_case(result[name], owners)
        if "anyOf" in result:
            result["anyOf"] = [self._snake_case(part, owners) for part in result["anyOf"]]
        return result

    def _resolved_schema(self, schema: Json) -> Json:
        """Return a schema with its references resolved, and with the fields of all its parts."""
        while "$ref" in schema:
            schema = self.schemas[schema["$ref"].rpartition("/")[2]]
        if "allOf" not in schema:
            return schema
        properties: dict[str, Json] = {}
        required: list[str] = []
        for part in map(self._resolved_schema, schema["allOf"]):
            properties |= part.get("properties", {})
            required += part.get("required", ())
        return {"type": "object", "properties": properties, "required": required}


def _word_type(value: Any) -> Json:
    return {"type": _TYPE_NAMES[type(value)], "enum": [value]}


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])[A-Z]", r"_\g<0>", name).lower()


def _content(schema: Json) -> Json:
    return {"content": {"*/*": {"schema": schema}}}


def _common_length(first: str, second: str) -> int:
    """Return the length of two names' common prefix."""
    count = 0
    while first[count : count + 1] == second[count : count + 1] != "":
        count += 1
    return count


def _union(schemas: list[Json]) -> Json:
    """Return the schema of a value that fits one of these schemas."""
    if {} in schemas:
        return {}
    is_nullable = {"type": "null"} in schemas
    words = [word for part in schemas for word in part.get("enum", ())]
    whole_types = {part["type"] for part in schemas if part.keys() == {"type"}} - {"null"}
    result: list[Json] = [{"type": name} for name in sorted(whole_types)]
    for name in sorted({_TYPE_NAMES[type(word)] for word in words} - whole_types):
        enum = [word for word in words if _TYPE_NAMES[type(word)] == name]
        result.append({"type": name, "enum": enum})
    result += [part for part in schemas if "enum" not in part and part.keys() != {"type"}]
    if len(result) != 1:
        return {"anyOf": [*result, *([{"type": "null"}] if is_nullable else ())]}
    if not is_nullable:
        return result[0]
    (schema,) = result
    return (
        {**schema, "nullable": True} if "type" in schema else {"anyOf": [schema, {"type": "null"}]}
    )
