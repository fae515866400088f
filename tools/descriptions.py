"""Checks vendors' requests and sandboxes' responses against official API descriptions.

    python -m tools.descriptions FOLDER

FOLDER has a folder for each vendor, such as `mollie`, with the vendor's OpenAPI files, whole or as
excerpts (see `tools.distil_descriptions`), in JSON or YAML. Every scenario of such a vendor runs at
its sandbox. Each request and each successful response that does not match its description is
printed, and the command fails. Operations that no file describes are listed.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from email import message_from_bytes
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from urllib.parse import parse_qsl, urlsplit

import attrs
import yaml

from moorage.exporting.recording import recorded_exchanges
from moorage.testing.fakes.http import as_bytes
from tools.command_line import tool_parser
from tools.description_csdl import read_csdl
from tools.description_formats import as_openapi, pattern_of
from tools.description_quirks import QUIRKS
from tools.description_types import is_package, read_package
from tools.description_xml import read_xml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from moorage.exporting.recording import Exchange

Json: TypeAlias = Any
"""Any JSON value."""

_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "number": (int, float),
    "object": dict,
    "string": str,
}
_SUFFIXES: Final = (".json", ".xml", ".yaml", ".yml")
_FORM: Final = "application/x-www-form-urlencoded"
_PARTS: Final = "multipart/form-data"
_RELATED: Final = "multipart/related"
_SCALARS: Final = ("integer", "number", "string")
_BOOLEANS: Final = {"0": False, "1": True, "false": False, "true": True}
_COMMON_HEADERS: Final = frozenset({"accept", "authorization", "content-length", "content-type"})
"""Headers that OpenAPI describes elsewhere, or that the HTTP client adds."""
_CLOUD_HEADERS: Final = ("x-amz-", "x-goog-", "x-ms-")
_UNDESCRIBED_HEADER: Final = re.compile(r"(?i)x-(amz|ms)-(content-sha256|date|meta-)")
"""A signature's header, or metadata with a name of the user's."""
_READERS: Final[dict[str, Callable[[str], Json]]] = {
    "boolean": lambda text: _BOOLEANS.get(text, text),
    "integer": int,
    "number": float,
    "object": json.loads,
}


@attrs.frozen
class Operation:
    """An operation in an API description.

    Attributes:
        template: the path, with braces.
        method: the method in small letters.
        parts: parameters, request body and responses, as described.
    """

    template: str
    method: str
    parts: Json

    @property
    def selecting_fields(self) -> set[str]:
        """The query fields that the template requires."""
        query = self.template.partition("#")[0].partition("?")[2]
        return {name for name, _ in parse_qsl(query, keep_blank_values=True)}


def _generality(match: Operation) -> tuple[int, int]:
    """Return a sort key: smaller for an operation whose template fits fewer requests."""
    path, _, query = match.template.partition("#")[0].partition("?")
    return -len(parse_qsl(query, keep_blank_values=True)), path.count("{")


@attrs.frozen(eq=False)
class Description:
    """An OpenAPI description, version 2 or 3."""

    root: Json

    def leaves_open(self, side: str) -> bool:
        """Return whether fields may be missing or null although the description does not say so.

        The answers in libraries' types are written by hand, and say little about that.
        """
        return side == "readOnly" and bool(self.root.get("looseAnswers"))

    def operations(self, method: str, target: str) -> list[Operation]:
        """Return the operations whose templates match a request most closely.

        Args:
            method: the request's method.
            target: its path, with its query if it has one.
        """
        matches = [
            Operation(template, method.lower(), self._operation_of(item, method))
            for template, item in self.root["paths"].items()
            if method.lower() in item and self._matches(template, target)
        ]
        lowest_generality = min(map(_generality, matches), default=None)
        return [match for match in matches if _generality(match) == lowest_generality]

    def _operation_of(self, item: Json, method: str) -> Json:
        operation = item[method.lower()]
        parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
        return {**operation, "parameters": [self.resolved(part) for part in parameters]}

    def _matches(self, template: str, target: str) -> bool:
        path, _, query = target.partition("?")
        template_path, _, template_query = template.partition("#")[0].partition("?")
        fields = dict(parse_qsl(query, keep_blank_values=True))
        bases = {"", self.root.get("basePath", "")}
        bases |= {urlsplit(server["url"]).path for server in self.root.get("servers", ())}
        return all(
            fields.get(name) in ({value} if value else fields.values())
            for name, value in parse_qsl(template_query, keep_blank_values=True)
        ) and any(
            re.fullmatch(re.escape(base.rstrip("/")) + pattern_of(template_path), path)
            for base in bases
        )

    def resolved(self, node: Json) -> Json:
        """Return a node, or the node that it references; empty if that is missing."""
        while "$ref" in node:
            target = self.root
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target.get(part.replace("~1", "/").replace("~0", "~"), {})
            node = target
        return node


def request_problems(
    description: Description, operation: Operation, exchange: Exchange
) -> list[str]:
    """Return the problems in a request's query, headers and body."""
    parts = operation.parts
    query_parts = {part["name"]: part for part in parts["parameters"] if part["in"] == "query"}
    query = dict(parse_qsl(urlsplit(exchange.url).query, keep_blank_values=True))
    problems = list(_wrong_names(description, query_parts, query, operation.selecting_fields))
    problems += _wrong_headers(description, parts["parameters"], exchange.request.headers)
    content = _content(description, parts.get("requestBody"), parts["parameters"])
    schema = _schema(content, exchange.request.headers.get("content-type"))
    body = as_bytes(exchange.request)
    if body and schema is not None:
        value = _value(description, schema, body, exchange.request.headers.get("content-type"))
        problems += problems_of(description, schema, value, "writeOnly")
    elif body not in {b"", b"{}"}:
        problems.append("The body is not described.")
    return problems


def response_problems(
    description: Description, operation: Operation, exchange: Exchange
) -> list[str]:
    """Return the problems in a successful response; failures are rarely described."""
    response, described_responses = exchange.response, operation.parts["responses"]
    if not 200 <= response.status < 300:
        return []
    status = str(response.status)
    names = [status, f"{status[0]}XX", "default", *(["200"] if status == "206" else ())]
    part = next((described_responses[name] for name in names if name in described_responses), None)
    if part is None:
        return [f"The status {status} is not described."]
    content = _content(description, part, ())
    kind = response.headers.get("content-type")
    schema = _schema(content, kind)
    if schema is None:
        if response.body and content:
            return [f"The type {kind} is not described."]
        return []
    if "xml" in (kind or ""):
        value = _xml_value(description, schema, response.body)
        return problems_of(description, schema, value, "readOnly")
    if "json" not in (kind or ""):
        return []
    return problems_of(description, schema, json.loads(response.body), "readOnly")


def problems_of(description: Description, schema: Json, value: Json, side: str) -> list[str]:
    """Return the mistakes in a value, compared with a schema.

    Args:
        description: the description that the schema is part of.
        schema: the schema.
        value: the value, in JSON.
        side: "readOnly" if the value is a response, "writeOnly" if it is a request. A field of
            the other side may be missing although it is required.
    """
    return list(_schema_problems(description, schema, value, "body", side))


def _content(description: Description, part: Json, parameters: Json) -> Json:
    """Return a body's schemas by media type, for OpenAPI 2 and 3."""
    if part is None:
        part = next((body for body in parameters if body["in"] == "body"), {})
    part = description.resolved(part)
    if "schema" not in part:
        return part.get("content", {})
    schema = _whole_schema(description, part["schema"])
    if schema.get("type") == "file" or schema.get("format") in {"binary", "file"}:
        return {"*/*": {"schema": {}}}
    return {"application/xml" if "xml" in schema else "application/json": part}


def _schema(content: Json, kind: str | None) -> Json:
    """Return the schema for a media type; all JSON types count as one, and all XML types."""
    name = (kind or "").partition(";")[0]
    for described_type, part in content.items():
        media_type = described_type.partition(";")[0]
        if media_type in {name, "*/*"} or any(
            word in media_type and word in name for word in ("json", "xml")
        ):
            return part.get("schema")
    return None


def _value(description: Description, schema: Json, body: bytes, kind: str | None) -> Json:
    """Return the value of a JSON, XML or form body; texts are converted as described."""
    kind = kind or ""
    if "xml" in kind:
        return _xml_value(description, schema, body)
    if kind.startswith(_RELATED):
        parts = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body).walk()
        return next(
            json.loads(cast("bytes", part.get_payload(decode=True)))
            for part in parts
            if part.get_content_type() == "application/json"
        )
    if not kind.startswith((_FORM, _PARTS)):
        return json.loads(body) if "json" in kind else {}
    fields = _whole_schema(description, schema).get("properties", {})
    entries = [
        ((name,) if name in fields else _steps(name, fields), text)
        for name, text in _form_fields(body, kind)
    ]
    return _form_value(description, schema, entries)


def _steps(name: str, fields: Json) -> tuple[str, ...]:
    """Return the parts of a form field's name: `a[b][]` gives `a`, `b` and an empty part.

    Dots are steps too if the first is a field.
    """
    steps = tuple(name.split("."))
    if len(steps) > 1 and steps[0] in fields:
        return steps
    first, *other_steps = name.replace("]", "").split("[")
    return first, *other_steps


def _form_value(
    description: Description, schema: Json, entries: list[tuple[tuple[str, ...], str]]
) -> Json:
    """Return the value of a form, from each string in it and the parts of its field's name."""
    schema = _whole_schema(description, schema)
    if len(entries) == 1 and not entries[0][0]:
        return _scalar(description, schema, entries[0][1])
    choices = [_whole_schema(description, part) for part in schema.get("anyOf", ())]
    schema = next((part for part in choices if part.get("type") in {"array", "object"}), schema)
    groups: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for number, (steps, text) in enumerate(entries):
        first, *other_steps = steps or ("",)
        is_item = schema.get("type") == "array" and not first
        groups.setdefault(f"#{number}" if is_item else first, []).append((tuple(other_steps), text))
    if schema.get("type") == "array":
        items = schema.get("items", {})
        return [_form_value(description, items, group) for group in groups.values()]
    properties, other_steps = schema.get("properties", {}), schema.get("additionalProperties")
    return {
        name: _form_value(description, properties.get(name, other_steps) or {}, group)
        for name, group in groups.items()
    }


def _scalar(description: Description, schema: Json, text: str) -> Json:
    """Return a form's string converted to the first type that fits, or to a list of it."""
    for choice in schema.get("anyOf", ()):
        whole_choice = _whole_schema(description, choice)
        value = _read_json(whole_choice, text)
        if not problems_of(description, whole_choice, value, "writeOnly"):
            return value
    if schema.get("type") != "array":
        return _read_json(schema, text)
    items = _whole_schema(description, schema.get("items", {}))
    return json.loads(text) if text.startswith("[") else [_read_json(items, text)]


def _xml_value(description: Description, schema: Json, body: bytes) -> Json:
    if _whole_schema(description, schema).get("type") == "string":
        return body.decode()
    return read_xml(body, schema, partial(_whole_schema, description), _read_json)


def _form_fields(body: bytes, kind: str) -> list[tuple[str, str]]:
    """Return the names and texts in a form, encoded as a query or as multipart."""
    if kind.startswith(_FORM):
        return parse_qsl(body.decode(), keep_blank_values=True)
    message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    return [
        (
            str(part.get_param("name", header="content-disposition")),
            cast("bytes", part.get_payload(decode=True)).decode("latin-1"),
        )
        for part in message.walk()
        if not part.is_multipart()
    ]


def _read_json(schema: Json, text: str) -> Json:
    try:
        return _READERS.get(str(schema.get("type")), str)(text)
    except ValueError:
        return text


def _wrong_headers(
    description: Description, parameters: Json, headers: Mapping[str, str]
) -> Iterator[str]:
    described_headers = {
        part["name"].lower(): part for part in parameters if part["in"] == "header"
    }
    for name, part in described_headers.items():
        if part.get("required") and name not in headers and name not in _COMMON_HEADERS:
            yield f"The headers have no {name}."
    for name, text in headers.items():
        part = described_headers.get(name.lower())
        if part is not None:
            schema = _whole_schema(description, part.get("schema", part))
            value = _read_json(schema, text)
            yield from _schema_problems(
                description, schema, value, f"headers.{name.lower()}", "writeOnly"
            )
        elif name.lower().startswith(_CLOUD_HEADERS) and not _UNDESCRIBED_HEADER.match(name):
            yield f"The header {name.lower()} is not known."


def _wrong_names(
    description: Description, described: Json, query: dict[str, str], selecting_fields: set[str]
) -> Iterator[str]:
    for name, part in described.items():
        if part.get("required") and name not in query:
            yield f"The query has no {name}."
    for name, text in query.items():
        part = described.get(name, described.get(_steps(name, {})[0]))
        if part is None and name in selecting_fields:
            continue
        if part is None:
            yield f"The query's {name} is not known."
        else:
            schema = _whole_schema(description, part.get("schema", part))
            if schema.get("type") in _SCALARS and name in described:
                value = _read_json(schema, text)
                yield from _schema_problems(
                    description, schema, value, f"query.{name}", "writeOnly"
                )


def _schema_problems(
    description: Description, schema: Json, value: Json, at: str, side: str
) -> Iterator[str]:
    schema = _chosen_schema(description, _whole_schema(description, schema), value)
    if value is None and (schema.get("nullable") or description.leaves_open(side)):
        return
    for name in ("oneOf", "anyOf"):
        if name in schema:
            remaining_schema = {key: part for key, part in schema.items() if key != name}
            results = [
                list(
                    _schema_problems(
                        description, {"allOf": [remaining_schema, choice]}, value, at, side
                    )
                )
                for choice in schema[name]
            ]
            yield from min(results, key=partial(_misfit, at))
            return
    kind = schema.get("type")
    if kind is not None and not _has_type(value, kind):
        yield f"{at} is no {kind if isinstance(kind, str) else ' or '.join(kind)}."
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{at} cannot be {value!r}."
    elif isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        yield f"{at} is too long."
    elif isinstance(value, dict):
        yield from _wrong_fields(description, schema, value, at, side)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _schema_problems(
                description, schema.get("items", {}), item, f"{at}[{number}]", side
            )


def _misfit(at: str, problems: list[str]) -> tuple[bool, int]:
    """Return how badly a schema fits a value; a wrong type is worse than other mistakes."""
    kinds = (f"{at} is no ", f"{at}.object cannot ", f"{at}.type cannot ")
    return any(problem.startswith(kinds) for problem in problems), len(problems)


def _wrong_fields(
    description: Description, schema: Json, value: Json, at: str, side: str
) -> Iterator[str]:
    properties, additional_properties = (
        schema.get("properties", {}),
        schema.get("additionalProperties"),
    )
    other_side = {"readOnly": "writeOnly", "writeOnly": "readOnly"}[side]
    required = () if description.leaves_open(side) else schema.get("required", ())
    for name in required:
        if name not in value and not _whole_schema(description, properties.get(name, {})).get(
            other_side
        ):
            yield f"{at} has no {name}."
    for name, field_value in value.items():
        if name in properties or isinstance(additional_properties, dict):
            yield from _schema_problems(
                description,
                properties.get(name, additional_properties),
                field_value,
                f"{at}.{name}",
                side,
            )
        elif properties and additional_properties is not True:
            yield f"{at}.{name} is not known."


def _chosen_schema(description: Description, schema: Json, value: Json) -> Json:
    """Return the schema that a value's discriminator field selects, or else the given schema."""
    discriminator = schema.get("discriminator")
    if not isinstance(discriminator, dict) or not isinstance(value, dict):
        return schema
    reference = discriminator.get("mapping", {}).get(value.get(discriminator["propertyName"]))
    chosen_schema = schema if reference is None else _whole_schema(description, {"$ref": reference})
    return {name: part for name, part in chosen_schema.items() if name != "discriminator"}


def _whole_schema(description: Description, schema: Json) -> Json:
    """Return a schema with its reference resolved, and its `allOf` parts merged."""
    schema = description.resolved(schema)
    whole_schema = {name: value for name, value in schema.items() if name != "allOf"}
    for part in schema.get("allOf", ()):
        for name, value in _whole_schema(description, part).items():
            earlier_value = whole_schema.get(name)
            if name == "properties":
                whole_schema[name] = {**(earlier_value or {}), **value}
            elif name == "required":
                whole_schema[name] = [*(earlier_value or ()), *value]
            else:
                whole_schema.setdefault(name, value)
    return whole_schema


def _has_type(value: Json, kind: str | list[str]) -> bool:
    if not isinstance(kind, str):
        return any(_has_type(value, item) for item in kind)
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


class _Loader(yaml.CSafeLoader):
    """A YAML loader that keeps dates as text, because examples contain impossible dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_description(file: Path) -> Json:
    """Read an API description from a file or the folder of an unpacked package."""
    if file.is_dir():
        return read_package(file)
    text = file.read_text("utf-8-sig")
    if file.suffix == ".xml":
        return read_csdl(text)
    return as_openapi(
        json.loads(text) if file.suffix == ".json" else yaml.load(text, _Loader)  # noqa: S506 - a subclass of SafeLoader
    )


def files_of(folder: Path) -> list[Path]:
    """Return the description files and packages in a vendor's folder."""
    return sorted(
        file
        for file in folder.iterdir()
        if (file.is_dir() and is_package(file)) or (file.is_file() and file.suffix in _SUFFIXES)
    )


@cache
def exchanges_of(vendor: str) -> tuple[Exchange, ...]:
    """Return the requests and responses of all of a vendor's scenarios."""
    return tuple(recorded_exchanges(vendor))


def target_of(exchange: Exchange) -> str:
    """Return the path and query of a request, with the action if it is an Amazon form."""
    parts = urlsplit(exchange.url)
    fields = [parts.query] if parts.query else []
    kind = exchange.request.headers.get("content-type") or ""
    if kind.startswith(_FORM):
        form = dict(_form_fields(as_bytes(exchange.request), kind))
        fields += [f"Action={form['Action']}"] if "Action" in form else []
    return "?".join((parts.path, *(["&".join(fields)] if fields else [])))


def operation_of(
    descriptions: list[Description], exchange: Exchange
) -> tuple[Description, Operation] | None:
    """Return the operation that a request calls, with its description; None if there is none.

    Of several operations with the same path, the one that fits the request best is returned.
    """
    method, target = exchange.request.method.value, target_of(exchange)
    for description in descriptions:
        operations = description.operations(method, target)
        if operations:
            return description, min(
                operations, key=lambda item: len(request_problems(description, item, exchange))
            )
    return None


def check(folder: Path) -> tuple[Counter[str], Counter[str]]:
    """Check a vendor against the descriptions in its folder.

    Returns:
        The problems except the known quirks of the descriptions, and the operations that are
        not described, each with its frequency.
    """
    problem_counts, undescribed_counts = compare(folder)
    quirks = QUIRKS.get(folder.name, frozenset())
    return Counter(
        {
            f"{location}: {problem}": count
            for (location, problem), count in problem_counts.items()
            if problem not in quirks
        }
    ), undescribed_counts


def compare(folder: Path) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """Compare a vendor with the descriptions in its folder, and return the mistakes found.

    Returns:
        All problems, with their places, and the operations that are not described, each with its
        frequency.
    """
    descriptions = [Description(read_description(file)) for file in files_of(folder)]
    problem_counts: Counter[tuple[str, str]] = Counter()
    undescribed_counts: Counter[str] = Counter()
    for exchange in exchanges_of(folder.name):
        match = operation_of(descriptions, exchange)
        if match is None:
            path = urlsplit(exchange.url).path
            undescribed_counts[exchange.route or f"{exchange.request.method.value} {path}"] += 1
            continue
        description, operation = match
        location = f"{operation.method.upper()} {operation.template}"
        for side, find in (("request", request_problems), ("response", response_problems)):
            for problem in set(find(description, operation, exchange)):
                problem_counts[f"{location}, {side}", problem] += 1
    return problem_counts, undescribed_counts


def main(folder: Path) -> int:
    """Check all vendors that have a folder, and return 1 if there are problems."""
    is_failed = False
    for vendor in sorted(part for part in folder.iterdir() if part.is_dir()):
        problem_counts, undescribed_counts = check(vendor)
        is_failed = is_failed or bool(problem_counts)
        for problem, count in sorted(problem_counts.items()):
            print(f"{vendor.name}: {problem} ({count} times)")
        for operation in sorted(undescribed_counts):
            print(f"{vendor.name}: {operation} is not described.")
    return int(is_failed)


if __name__ == "__main__":
    PARSER = tool_parser("descriptions", __doc__)
    PARSER.add_argument("folder", type=Path, metavar="FOLDER")
    sys.exit(main(PARSER.parse_args().folder))
