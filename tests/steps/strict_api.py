"""Checks of requests and responses against an API's official description."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def mistakes(value: Any, schema: Any, path: str = "body") -> list[str]:
    """Return the paths at which a value violates a schema, unknown fields included."""
    if schema is None or not schema:
        return []
    if value is None:
        return [] if schema.get("nullable") else [f"{path} is null"]
    if "oneOf" in schema:
        branches = [mistakes(value, branch, path) for branch in schema["oneOf"]]
        return [] if [] in branches else branches[0]
    kinds = _TYPES.get(schema.get("type", ""))
    if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
        return [f"{path} is {type(value).__name__}, not {schema['type']}"]
    wrong_fields: list[str] = []
    if "enum" in schema and value not in schema["enum"]:
        wrong_fields.append(f"{path} is {value!r}, none of {schema['enum']}")
    if isinstance(value, list):
        for index, item in enumerate(value):
            wrong_fields += mistakes(item, schema.get("items"), f"{path}[{index}]")
    if isinstance(value, dict):
        wrong_fields += _wrong_fields(value, schema, path)
    return wrong_fields


def _wrong_fields(value: dict[str, Any], schema: Any, path: str) -> list[str]:
    wrong_fields = [
        f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value
    ]
    if len(value) > schema.get("maxProperties", 1000):
        wrong_fields.append(f"{path} has too many fields")
    fields: dict[str, Any] = schema.get("properties", {})
    for name, item in value.items() if "properties" in schema else ():
        if name in fields:
            wrong_fields += mistakes(item, fields[name], f"{path}.{name}")
        elif not schema.get("additionalProperties"):
            wrong_fields.append(f"{path}.{name} is unknown")
    return wrong_fields


class StrictApi:
    """The operations of an API, from its official description."""

    def __init__(self, file: Path) -> None:
        self.operations: dict[str, dict[str, Any]] = json.loads(file.read_text())["operations"]
        shapes = [
            (key.split(" ")[0], key.split(" ")[1].strip("/").split("/"), key)
            for key in self.operations
        ]
        # A parameter with several segments must not match those of a longer path.
        self._shapes = sorted(shapes, key=lambda shape: -len(shape[1]))

    def operation(self, method: str, path: str) -> tuple[str, dict[str, str]] | None:
        """Return a request's operation and path parameters."""
        parts = path.strip("/").split("/")
        for verb, shape, key in self._shapes:
            multi = self.operations[key].get("multi", ())
            parameters = _match_path(shape, parts, multi) if verb == method else None
            if parameters is not None:
                return key, parameters
        return None

    def wrong_request(
        self, key: str, path: Mapping[str, str], query: Mapping[str, str], body: Any
    ) -> list[str]:
        """Return the parts of a request that the API would not accept."""
        described = self.operations[key]
        wrong_fields: list[str] = []
        for name, text in path.items():
            if described["path"][name].get("type") == "integer" and not text.isdigit():
                wrong_fields.append(f"{name} is not a number")
        for name, text in query.items():
            schema = described["query"].get(name)
            if schema is None:
                wrong_fields.append(f"the parameter {name} is unknown")
            elif schema.get("type") == "integer" and not text.isdigit():
                wrong_fields.append(f"the parameter {name} is not a number")
            elif "enum" in schema and text not in schema["enum"]:
                wrong_fields.append(f"the parameter {name} is {text!r}")
        wrong_fields += [
            f"{name} is missing" for name in described.get("needed", ()) if name not in query
        ]
        if "body" not in described:
            return wrong_fields + ([] if body is None else ["there is a body"])
        if described.get("media", "application/json") != "application/json":
            return wrong_fields
        return wrong_fields + mistakes({} if body is None else body, described["body"])

    def wrong_answer(self, key: str, status: int, document: Any) -> list[str]:
        """Return the parts of a response that the API would never send."""
        answers = self.operations[key]["answers"]
        if status >= 400:
            return []
        if str(status) not in answers:
            return [f"{key} does not answer {status}"]
        return mistakes(document, answers[str(status)], key)


def _match_path(shape: list[str], parts: list[str], multi: Any) -> dict[str, str] | None:
    """Return a path's parameters if it matches a template; otherwise return None."""
    parameters: dict[str, str] = {}
    for index, piece in enumerate(shape):
        if index >= len(parts):
            return None
        if piece.startswith("{"):
            name = piece.strip("{}")
            if name in multi:
                levels_below = len(shape) - index - 1
                end = len(parts) - levels_below
                if end <= index or (levels_below and shape[index + 1 :] != parts[end:]):
                    return None
                parameters[name] = unquote("/".join(parts[index:end]))
                return parameters
            parameters[name] = unquote(parts[index])
        elif piece != parts[index]:
            return None
    return parameters if len(parts) == len(shape) else None
