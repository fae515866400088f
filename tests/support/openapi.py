"""Checks requests to a vendor against the vendor's own API description."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

Json: TypeAlias = Any
"""Whatever JSON can be."""

FOLDER = "MOORAGE_VENDOR_DESCRIPTIONS"

_TYPES: dict[str, type | tuple[type, ...]] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "object": dict,
    "string": str,
}


def description(name: str) -> Json:
    """A vendor's description, from the folder that the environment names."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        pytest.skip(f"Name a folder with {name} in {FOLDER}.")
    return json.loads(Path(folder, name).read_text("utf-8"))


def problems(root: Json, method: str, path: str, body: Json) -> list[str]:
    """The problems of a JSON request body, by a description."""
    for template, operations in root["paths"].items():
        pattern = re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in operations:
            request = operations[method.lower()]["requestBody"]
            request = _resolved(root, request["$ref"]) if "$ref" in request else request
            schema = request["content"]["application/json"]["schema"]
            return list(_wrong(root, schema, body, "body"))
    return [f"There is no {method} {path}."]


def _wrong(root: Json, schema: Json, value: Json, at: str) -> Iterator[str]:
    schema = _whole(root, schema)
    choices = schema.get("oneOf") or schema.get("anyOf")
    if choices is not None:
        results = [list(_wrong(root, choice, value, at)) for choice in choices]
        yield from min(results, key=len)
        return
    kind = schema.get("type")
    if kind is not None and not _is(value, kind):
        yield f"{at} is no {kind if isinstance(kind, str) else ' or '.join(kind)}."
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{at} cannot be {value!r}."
    elif isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        yield f"{at} is too long."
    elif isinstance(value, dict):
        yield from _wrong_fields(root, schema, value, at)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _wrong(root, schema["items"], item, f"{at}[{number}]")


def _wrong_fields(root: Json, schema: Json, value: Json, at: str) -> Iterator[str]:
    existing, more = schema.get("properties", {}), schema.get("additionalProperties")
    yield from (f"{at} has no {name}." for name in schema.get("required", ()) if name not in value)
    for name, inner in value.items():
        if name in existing or isinstance(more, dict):
            yield from _wrong(root, existing.get(name, more), inner, f"{at}.{name}")
        elif existing:
            yield f"{at}.{name} is not known."


def _whole(root: Json, schema: Json) -> Json:
    """A schema with what it refers to, and all that it is made of, in one."""
    if "$ref" in schema:
        schema = {**_resolved(root, schema["$ref"])}
    whole = {name: value for name, value in schema.items() if name != "allOf"}
    for part in schema.get("allOf", ()):
        for name, value in _whole(root, part).items():
            before = whole.get(name)
            if name == "properties":
                whole[name] = {**(before or {}), **value}
            elif name == "required":
                whole[name] = [*(before or ()), *value]
            else:
                whole.setdefault(name, value)
    fields = whole.get("properties", {})
    if "required" in whole:
        # A field that only answers have cannot be required in a request.
        whole["required"] = [
            name
            for name in whole["required"]
            if not _whole(root, fields.get(name, {})).get("readOnly")
        ]
    return whole


def _is(value: Json, kind: str | list[str]) -> bool:
    if not isinstance(kind, str):
        return any(_is(value, item) for item in kind)
    if kind == "null":
        return value is None
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _resolved(root: Json, ref: str) -> Json:
    for part in ref.removeprefix("#/").split("/"):
        root = root[part]
    return root
