"""Converts Google's discovery documents, Amazon's models and other descriptions to OpenAPI.

Both formats have what OpenAPI has under other names, so that each rule here is a renaming:

- a discovery document's methods are in nested resources, its schemas are named without a path, and
  a field is required for the methods that its annotations list;
- a service model's members say whether they are in the path, query, headers or body.

A path of Amazon's that has a query, such as `/{Key+}?uploads`, stays so: it describes only requests
with these names and values, as in Azure's OpenAPI files. What follows `#` is a label that keeps
paths apart whose operations differ in their headers alone. Buckets are part of the host.

Amazon's older services have one path, and a form that names the operation; here it is in the path's
query. Their lists and tables are numbered in the form's names: `Attributes.entry.1.Name`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Json: TypeAlias = Any
"""Any JSON value."""

_BASES: Final = {"Vies on-the-Web Endpoint": "/taxation_customs/vies/rest-api"}
"""The base paths of descriptions that do not state them."""
_KEPT: Final = ("additionalProperties", "enum", "format", "items", "properties", "readOnly", "type")
_AMAZON_TYPES: Final = {
    "blob": "string",
    "boolean": "boolean",
    "double": "number",
    "float": "number",
    "integer": "integer",
    "list": "array",
    "long": "integer",
    "map": "object",
    "string": "string",
    "structure": "object",
}
_LOCATIONS: Final = {"header": "header", "querystring": "query"}
_REQUEST_TYPES: Final = ("application/json", "multipart/related")
_MEDIA_TYPES: Final = {
    "query": "application/xml",
    "rest-json": "application/json",
    "rest-xml": "application/xml",
}


def as_openapi(root: Json) -> Json:
    """Convert a description to OpenAPI; an OpenAPI description stays almost unchanged."""
    if root.get("kind") == "discovery#restDescription":
        return _discovery_as_openapi(root)
    if "operations" in root and "shapes" in root:
        is_query = root["metadata"]["protocol"] == "query"
        return (_QueryModel if is_query else _ServiceModel)(root).description()
    if "x-ms-paths" in root:
        paths = dict(root["paths"])
        for label, item in root["x-ms-paths"].items():
            for method, operation in item.items():
                if method != "parameters":
                    parts = [*item.get("parameters", ()), *operation.get("parameters", ())]
                    template = _azure_template(root, label, parts)
                    paths.setdefault(template, {})[method] = {**operation, "parameters": parts}
        return {**root, "paths": paths}
    base = _BASES.get(root.get("info", {}).get("title"))
    return {**root, "basePath": base} if base else root


def _azure_template(root: Json, label: str, parameters: list[Json]) -> str:
    """Return an operation's path, with its required query, and its label.

    The label's own query has words that no request has.
    """
    resolved_parts = [
        root["parameters"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
        for part in parameters
    ]
    fields = [
        f"{part['name']}={part['enum'][0]}" if "enum" in part else part["name"]
        for part in resolved_parts
        if part["in"] == "query" and part.get("required")
    ]
    path, _, words = label.partition("?")
    return f"{path}{'?' * bool(fields)}{'&'.join(fields)}#{words}"


def _discovery_as_openapi(root: Json) -> Json:
    paths: dict[str, Json] = {}
    for method in _methods(root):
        operation = _method(root, method)
        path = f"/{method.get('flatPath', method['path'])}"
        paths.setdefault(path, {})[method["httpMethod"].lower()] = operation
        for upload in method.get("mediaUpload", {}).get("protocols", {}).values():
            whole_path = f"/{upload['path'].removeprefix('/')}"
            paths.setdefault(whole_path, {})[method["httpMethod"].lower()] = _upload(operation)
    base = f"{root['rootUrl']}{root['servicePath']}".rstrip("/")
    return {
        "info": {"version": f"{root['version']}, revision {root['revision']}"},
        "servers": [{"url": base}, {"url": root["rootUrl"].rstrip("/")}],
        "paths": paths,
        "components": {
            "schemas": {name: _schema(part) for name, part in root["schemas"].items()},
        },
    }


def _methods(node: Json) -> Iterator[Json]:
    yield from node.get("methods", {}).values()
    for resource in node.get("resources", {}).values():
        yield from _methods(resource)


def _method(root: Json, method: Json) -> Json:
    parameters = [
        {
            "in": part["location"],
            "name": name,
            "required": part.get("required", False),
            "schema": _schema(part),
        }
        for name, part in {**root["parameters"], **method.get("parameters", {})}.items()
    ]
    operation: dict[str, Any] = {"parameters": parameters, "responses": {"2XX": {}}}
    if "response" in method:
        response = _reference(method["response"]["$ref"])
        content: dict[str, Json] = {"application/json": {"schema": response}}
        if method.get("supportsMediaDownload"):
            content["*/*"] = {"schema": {}}
        operation["responses"]["2XX"] = {"content": content}
    if "request" in method:
        name = method["request"]["$ref"]
        required = [
            field
            for field, part in root["schemas"][name].get("properties", {}).items()
            if method["id"] in part.get("annotations", {}).get("required", ())
        ]
        schema = {"allOf": [_reference(name), {"required": required}]}
        operation["requestBody"] = {
            "content": {kind: {"schema": schema} for kind in _REQUEST_TYPES}
        }
    return operation


def _upload(operation: Json) -> Json:
    parameter = {"in": "query", "name": "uploadType", "required": True, "schema": {}}
    return {**operation, "parameters": [*operation["parameters"], parameter]}


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _schema(part: Json) -> Json:
    if "$ref" in part:
        return _reference(part["$ref"])
    schema = {name: part[name] for name in _KEPT if name in part and part[name] != "any"}
    if "properties" in schema:
        schema["properties"] = {name: _schema(item) for name, item in schema["properties"].items()}
    for name in ("additionalProperties", "items"):
        if name in schema:
            schema[name] = _schema(schema[name])
    if part.get("repeated"):
        return {"type": "array", "items": schema}
    return schema


class _ServiceModel:
    """An Amazon service model with the protocol `rest-json` or `rest-xml`."""

    def __init__(self, root: Json) -> None:
        self._operations = root["operations"]
        self._shapes = root["shapes"]
        self._metadata = root["metadata"]
        self._media_type = _MEDIA_TYPES[root["metadata"]["protocol"]]

    def description(self) -> Json:
        """Return the model as OpenAPI."""
        paths: dict[str, Json] = {}
        for name, operation in self._operations.items():
            template = f"{self._template(operation)}#{name}"
            paths[template] = {operation["http"]["method"].lower(): self._operation(operation)}
        return {
            "info": {"version": self._metadata["apiVersion"]},
            "servers": [{"url": ""}],
            "paths": paths,
            "components": {"schemas": {name: self._shape(name) for name in self._shapes}},
        }

    def _template(self, operation: Json) -> str:
        """Return an operation's path, with its required query fields."""
        path, _, query = operation["http"]["requestUri"].removeprefix("/{Bucket}").partition("?")
        request = self._shapes.get(operation.get("input", {}).get("shape"), {"members": {}})
        fields = [query] if query else []
        fields += [
            request["members"][name]["locationName"]
            for name in request.get("required", ())
            if request["members"][name].get("location") == "querystring"
        ]
        return "?".join(["/" + path.removeprefix("/"), *(["&".join(fields)] if fields else [])])

    def _operation(self, operation: Json) -> Json:
        request = self._shapes.get(operation.get("input", {}).get("shape"), {"members": {}})
        parameters = [
            {
                "in": _LOCATIONS[member["location"]],
                "name": member["locationName"],
                "required": name in request.get("required", ()),
                "schema": self._parameter(member["shape"]),
            }
            for name, member in request["members"].items()
            if member.get("location") in _LOCATIONS
        ]
        status = str(operation["http"].get("responseCode", 200))
        result: dict[str, Any] = {
            "parameters": parameters,
            "responses": {status: self._body(operation.get("output", {}))},
        }
        body = self._body(operation.get("input", {}))
        return {**result, "requestBody": body} if body else result

    def _body(self, use: Json) -> Json:
        """Return the body of an input or output: one member of its shape, or the whole shape."""
        shape = self._shapes.get(use.get("shape"), {"members": {}})
        if "payload" in shape:
            member = shape["members"][shape["payload"]]
            if self._shapes[member["shape"]]["type"] == "blob":
                return {"content": {"*/*": {"schema": {}}}}
            return {"content": {self._media_type: {"schema": _reference(member["shape"])}}}
        if all("location" in member for member in shape["members"].values()):
            return {}
        return {"content": {self._media_type: {"schema": _reference(use["shape"])}}}

    def _parameter(self, name: str) -> Json:
        """Return a parameter's schema; a time is a string, although JSON bodies have a number."""
        return {"type": "string"} if self._is_time(name) else _reference(name)

    def _is_time(self, name: str) -> bool:
        return bool(self._shapes[name]["type"] == "timestamp")

    def _shape(self, name: str) -> Json:
        shape = self._shapes[name]
        schema: dict[str, Any] = {}
        if self._is_time(name):
            schema["type"] = "number" if self._media_type == "application/json" else "string"
        if shape["type"] in _AMAZON_TYPES:
            schema["type"] = _AMAZON_TYPES[shape["type"]]
        if "enum" in shape:
            schema["enum"] = shape["enum"]
        if shape["type"] == "structure":
            members = {
                name: member
                for name, member in shape["members"].items()
                if "location" not in member
            }
            names = {name: member.get("locationName", name) for name, member in members.items()}
            schema["properties"] = {
                names[name]: _reference(member["shape"]) for name, member in members.items()
            }
            schema["required"] = [
                names[name] for name in shape.get("required", ()) if name in names
            ]
        if shape["type"] == "list":
            schema["items"] = _reference(shape["member"]["shape"])
            if not shape.get("flattened"):
                schema["xml"] = {"wrapped": True}
        if shape["type"] == "map":
            schema["additionalProperties"] = _reference(shape["value"]["shape"])
        return schema


class _QueryModel(_ServiceModel):
    """An Amazon service model whose requests are forms, and whose answers are XML."""

    def _template(self, operation: Json) -> str:
        return f"/?Action={operation['name']}"

    def _operation(self, operation: Json) -> Json:
        name = operation["name"]
        form: Json = {"type": "object", "properties": {}, "required": []}
        if "input" in operation:
            form = self._form(operation["input"]["shape"])
        fields = {
            "Action": {"type": "string", "enum": [name]},
            "Version": {"type": "string", "enum": [self._metadata["apiVersion"]]},
        }
        answer: dict[str, Json] = {"ResponseMetadata": {"type": "object"}}
        if "output" in operation:
            result = operation["output"]
            answer[result["resultWrapper"]] = _reference(result["shape"])
        return {
            "parameters": [],
            "requestBody": _form_content(
                {
                    **form,
                    "properties": {**fields, **form["properties"]},
                    "required": [*fields, *form["required"]],
                }
            ),
            "responses": {
                "200": {
                    "content": {
                        self._media_type: {
                            "schema": {
                                "type": "object",
                                "properties": answer,
                                "required": list(answer),
                            }
                        }
                    }
                }
            },
        }

    def _form(self, name: str) -> Json:
        """Return a shape's schema in a form, with numbered lists and tables."""
        shape = self._shapes[name]
        if shape["type"] == "structure":
            return {
                "type": "object",
                "properties": {
                    member: self._form(use["shape"]) for member, use in shape["members"].items()
                },
                "required": shape.get("required", []),
            }
        if shape["type"] == "list":
            items = self._form(shape["member"]["shape"])
            return _numbered_schema(shape["member"].get("locationName", "member"), items)
        if shape["type"] == "map":
            entry = {
                shape[part].get("locationName", part): self._form(shape[part]["shape"])
                for part in ("key", "value")
            }
            return _numbered_schema("entry", {"type": "object", "properties": entry})
        return _reference(name)


def _numbered_schema(name: str, items: Json) -> Json:
    return {"type": "object", "properties": {name: {"type": "array", "items": items}}}


def _form_content(schema: Json) -> Json:
    return {"content": {"application/x-www-form-urlencoded": {"schema": schema}}}


def pattern_of(template: str) -> str:
    """Return a regular expression for the paths that fit a path template.

    A parameter that ends with a plus sign may have slashes.
    """
    parts = re.split(r"(\{[^}]+\})", template)
    return "".join(
        re.escape(part) if not part.startswith("{") else (".+" if part.endswith("+}") else "[^/]+")
        for part in parts
    )
