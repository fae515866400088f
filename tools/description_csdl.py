"""Parses OData's XML descriptions, such as Microsoft Graph's, into OpenAPI.

Paths are those of users and groups, with up to two navigation properties and a function or action
behind them. The query's options that OData gives to each read are known, and so are the
annotations that each value may have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

Json: TypeAlias = Any
"""Any JSON value."""

_NAMESPACE: Final = "{http://docs.oasis-open.org/odata/ns/edm}"
_SETS: Final = ("groups", "users")
_DEPTH: Final = 2
_EDM_TYPES: Final = {
    "Boolean": "boolean",
    "Decimal": "number",
    "Double": "number",
    "Int16": "integer",
    "Int32": "integer",
    "Int64": "integer",
    "Single": "number",
}
_TEXT: Final = {"type": "string"}
_LINK: Final = {"type": "object", "properties": {"@odata.id": _TEXT}, "required": ["@odata.id"]}
_OPTIONS: Final = (
    "$count",
    "$deltatoken",
    "$expand",
    "$filter",
    "$orderby",
    "$search",
    "$select",
    "$skip",
    "$skiptoken",
    "$top",
)
_ANNOTATIONS: Final = {
    "@odata.context": _TEXT,
    "@odata.etag": _TEXT,
    "@odata.type": _TEXT,
    "@removed": {"type": "object"},
}


def read_csdl(text: str) -> Json:
    """Return an OData description as OpenAPI."""
    return _Csdl(ET.fromstring(text)).description()  # noqa: S314 - a file of whoever runs the tool


def _children(element: Element, name: str) -> Iterator[Element]:
    return element.iterfind(f"{_NAMESPACE}{name}")


class _Csdl:
    """The types, functions and actions of an OData description."""

    def __init__(self, root: Element) -> None:
        self._types: dict[str, Element] = {}
        self._bound: dict[str, list[Element]] = {}
        self._sets: dict[str, str] = {}
        self._aliases: dict[str, str] = {}
        for schema in root.iter(f"{_NAMESPACE}Schema"):
            self._add(schema)
        self._bases = {
            self._name(item.attrib["BaseType"])
            for item in self._types.values()
            if "BaseType" in item.attrib
        }

    def _add(self, schema: Element) -> None:
        namespace = schema.attrib["Namespace"]
        self._aliases[schema.attrib.get("Alias", namespace)] = namespace
        for kind in ("ComplexType", "EntityType", "EnumType"):
            for item in _children(schema, kind):
                self._types[f"{namespace}.{item.attrib['Name']}"] = item
        for kind in ("Action", "Function"):
            for item in _children(schema, kind):
                parameter = next(_children(item, "Parameter"), None)
                if parameter is not None and item.attrib.get("IsBound") == "true":
                    self._bound.setdefault(self._type(parameter), []).append(item)
        for container in _children(schema, "EntityContainer"):
            for item in _children(container, "EntitySet"):
                self._sets[item.attrib["Name"]] = item.attrib["EntityType"]

    def description(self) -> Json:
        """Return the description as OpenAPI."""
        paths: dict[str, Json] = {}
        for name in _SETS:
            if name in self._sets:
                self._add_resource(paths, f"/{name}", f"Collection({self._sets[name]})", _DEPTH)
        return {
            "info": {"version": "1.0"},
            "servers": [{"url": "https://graph.microsoft.com/v1.0"}],
            "paths": paths,
            "components": {"schemas": {name: self._schema(name) for name in self._types}},
        }

    def _add_resource(self, paths: dict[str, Json], path: str, type_: str, depth: int) -> None:
        name = type_.removeprefix("Collection(").removesuffix(")")
        value = self._reference(name)
        self._add_bound(paths, path, type_)
        paths[f"{path}/$ref"] = {
            method: _operation(body=_LINK) for method in ("delete", "post", "put")
        }
        if type_ != name:
            paths[path] = {
                "get": _operation(self._result(type_), query=_OPTIONS),
                "post": _operation(value, body=value),
            }
            path = f"{path}/{{{name}-id}}"
            self._add_bound(paths, path, name)
            paths[f"{path}/$ref"] = {"delete": _operation()}
        paths[path] = {
            "get": _operation(value, query=_OPTIONS),
            "patch": _operation(value, body=value),
            "delete": _operation(),
        }
        if depth:
            for item in self._members(name, "NavigationProperty"):
                self._add_resource(
                    paths, f"{path}/{item.attrib['Name']}", self._type(item), depth - 1
                )

    def _add_bound(self, paths: dict[str, Json], path: str, type_: str) -> None:
        for item in self._bound.get(type_, ()):
            is_action = item.tag.endswith("Action")
            _, *parameters = _children(item, "Parameter")
            result = next(_children(item, "ReturnType"), None)
            fields = {part.attrib["Name"]: self._value(part) for part in parameters}
            operation = _operation(
                None if result is None else self._result(self._type(result)),
                body={"type": "object", "properties": fields} if is_action else None,
                query=() if is_action else _OPTIONS,
            )
            method = "post" if is_action else "get"
            paths[f"{path}/{item.attrib['Name']}"] = {method: operation}

    def _result(self, type_: str) -> Json:
        if not type_.startswith("Collection("):
            return self._single_type(type_)
        items = self._single_type(type_.removeprefix("Collection(").removesuffix(")"))
        properties = {
            "@odata.context": _TEXT,
            "@odata.count": {"type": "integer"},
            "@odata.deltaLink": _TEXT,
            "@odata.nextLink": _TEXT,
            "value": {"type": "array", "items": items},
        }
        return {"type": "object", "properties": properties, "required": ["value"]}

    def _schema(self, name: str) -> Json:
        item = self._types[name]
        if item.tag.endswith("EnumType"):
            words = [member.attrib["Name"] for member in _children(item, "Member")]
            return _TEXT if item.attrib.get("IsFlags") == "true" else {**_TEXT, "enum": words}
        is_open = name in self._bases or item.attrib.get("OpenType") == "true"
        properties = {
            member.attrib["Name"]: self._value(member) for member in self._members(name, "Property")
        }
        return {
            "type": "object",
            "properties": {**_ANNOTATIONS, **properties},
            **({"additionalProperties": True} if is_open else {}),
        }

    def _members(self, name: str, kind: str) -> Iterator[Element]:
        item = self._types[name]
        if "BaseType" in item.attrib:
            yield from self._members(self._name(item.attrib["BaseType"]), kind)
        yield from _children(item, kind)

    def _value(self, member: Element) -> Json:
        type_ = self._type(member)
        name = type_.removeprefix("Collection(").removesuffix(")")
        schema = self._single_type(name)
        if name != type_:
            return {"type": "array", "items": schema}
        return (
            schema
            if member.attrib.get("Nullable") == "false"
            else {
                "allOf": [schema],
                "nullable": True,
            }
        )

    def _single_type(self, name: str) -> Json:
        if name.startswith("Edm."):
            return {"type": _EDM_TYPES.get(name.removeprefix("Edm."), "string")}
        return self._reference(name)

    def _reference(self, name: str) -> Json:
        return {"$ref": f"#/components/schemas/{name}"}

    def _type(self, element: Element) -> str:
        type_ = element.attrib["Type"]
        name = type_.removeprefix("Collection(").removesuffix(")")
        return type_.replace(name, self._name(name))

    def _name(self, name: str) -> str:
        """Return the full name of a type, with an alias of its namespace replaced."""
        namespace, _, word = name.rpartition(".")
        return f"{self._aliases.get(namespace, namespace)}.{word}"


def _operation(result: Json = None, *, body: Json = None, query: tuple[str, ...] = ()) -> Json:
    response = {"content": {"application/json": {"schema": result}}} if result else {}
    request = {"requestBody": {"content": {"application/json": {"schema": body}}}} if body else {}
    return {
        "parameters": [{"in": "query", "name": name, "schema": _TEXT} for name in query],
        "responses": {"2XX": response},
        **request,
    }
