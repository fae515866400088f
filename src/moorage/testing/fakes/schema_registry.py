"""A local schema registry, for tests of programs that fetch schemas.

It has the HTTP API of Confluent's registry:
https://docs.confluent.io/platform/current/schema-registry/develop/api.html (read 2026-11-27).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import unquote, urlsplit

from moorage.domain.schemas.confluent import CONTENT_TYPE
from moorage.domain.schemas.evolution import compatibility_of, incompatibilities
from moorage.domain.schemas.schema import (
    CompleteSchema,
    Schema,
    SchemaFormat,
    SchemaReference,
    checked_subject,
)
from moorage.domain.values.json_text import is_object
from moorage.errors import ConnectorError
from moorage.testing.fakes.http_script import Behaviour, ReceivedRequest
from moorage.testing.fakes.http_server import VendorServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.schemas.evolution import Compatibility


class SchemaRegistryServer(VendorServer):
    """A schema registry in memory, served during its `with` block.

    Responses that are queued as for a `VendorServer` come first, such as a failure or a lost
    response.

    Args:
        compatibility: the promise of each subject, such as "backward"; by default none, so that
            each schema is compatible. A registry of Confluent may judge differently in details.

    Attributes:
        incompatible: texts of schemas that it refuses as incompatible, whatever the promise.
        invalid: texts that it refuses because they are not schemas.
    """

    def __init__(self, compatibility: Compatibility | str = "none") -> None:
        self._compatibility = compatibility_of(compatibility)
        super().__init__()
        self.incompatible: set[str] = set()
        self.invalid: set[str] = set()
        self._subjects: dict[str, list[tuple[int, Schema]]] = {}
        self._ids: dict[Schema, int] = {}
        self.always(self._answer)

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def register(self, subject: str, schema: Schema) -> int:
        """Add a schema as the next version of a subject without checks, and return its id."""
        versions = self._subjects.setdefault(checked_subject(subject), [])
        id = self._ids.setdefault(schema, len(self._ids) + 1)
        if (id, schema) not in versions:
            versions.append((id, schema))
        return id

    def error(self, status: int, code: int, message: str) -> Behaviour:
        """Return an error response of the registry, for example to queue it."""
        return _json({"error_code": code, "message": message}, status)

    def _answer(self, request: ReceivedRequest) -> Behaviour:
        path = urlsplit(request.path).path
        for method, pattern, answer in (
            ("GET", r"/schemas/ids/(\d+)", self._by_id),
            ("GET", r"/subjects/([^/]+)/versions/([^/]+)", self._version),
            ("POST", r"/subjects/([^/]+)/versions", self._register),
            ("POST", r"/compatibility/subjects/([^/]+)/versions", self._check),
        ):
            match = re.fullmatch(pattern, path)
            if match and request.method == method:
                return answer(request, *map(unquote, match.groups()))
        return self.error(404, 404, "HTTP 404 Not Found")

    def _by_id(self, _: ReceivedRequest, id: str) -> Behaviour:
        schemas = [schema for schema, number in self._ids.items() if number == int(id)]
        if schemas:
            return _json(_fields(schemas[0]))
        return self.error(404, 40403, f"Schema {id} not found")

    def _version(self, _: ReceivedRequest, subject: str, version: str) -> Behaviour:
        versions = self._subjects.get(subject)
        if versions is None:
            return self.error(404, 40401, f"Subject '{subject}' not found.")
        if not re.fullmatch(r"latest|[1-9]\d{0,9}", version):
            return self.error(422, 42202, f"The specified version '{version}' is not valid.")
        number = len(versions) if version == "latest" else int(version)
        if number > len(versions):
            return self.error(404, 40402, f"Version {version} not found.")
        id, schema = versions[number - 1]
        return _json({"subject": subject, "version": number, "id": id, **_fields(schema)})

    def _register(self, request: ReceivedRequest, subject: str) -> Behaviour:
        schema_or_error = self._checked_schema(request, subject)
        if isinstance(schema_or_error, Behaviour):
            return schema_or_error
        schema, problems = schema_or_error
        if problems:
            return self.error(409, 409, f"Schema being registered is incompatible: {problems[0]}")
        return _json({"id": self.register(subject, schema)})

    def _check(self, request: ReceivedRequest, subject: str) -> Behaviour:
        schema_or_error = self._checked_schema(request, subject)
        if isinstance(schema_or_error, Behaviour):
            return schema_or_error
        return _json({"is_compatible": not schema_or_error[1], "messages": schema_or_error[1]})

    def _checked_schema(
        self, request: ReceivedRequest, subject: str
    ) -> tuple[Schema, list[str]] | Behaviour:
        """Return a request's schema and the reasons against accepting it, or an error response."""
        try:
            schema = _schema(json.loads(request.body))
            versions = self._subjects.get(checked_subject(subject), [])
            if schema.text not in self.invalid:
                if schema.text in self.incompatible:
                    return schema, ["READER_FIELD_MISSING_DEFAULT_VALUE"]
                if any(schema == other for _, other in versions):
                    return schema, []
                earlier_schemas = [self._complete(other) for _, other in versions]
                problems = incompatibilities(
                    self._compatibility, self._complete(schema), earlier_schemas
                )
                return schema, list(map(str, problems))
        except (ConnectorError, KeyError, IndexError, ValueError):
            pass
        return self.error(422, 42201, "Invalid schema")

    def _complete(self, schema: Schema) -> CompleteSchema:
        """Return a schema preceded by the schemas on which it depends, in order."""
        parts: dict[str, Schema] = {}
        if self._compatibility.value != "none":
            self._collect(schema, parts)
        return CompleteSchema(schema, tuple(parts.items()))

    def _collect(self, schema: Schema, parts: dict[str, Schema]) -> None:
        for reference in schema.references:
            _, used_references = self._subjects[reference.subject][reference.version - 1]
            self._collect(used_references, parts)
            parts.setdefault(reference.name, used_references)


_TYPES: Final = {"AVRO": SchemaFormat.AVRO, "JSON": SchemaFormat.JSON} | {
    "PROTOBUF": SchemaFormat.PROTOBUF
}
_NAMES: Final = {kind: name for name, kind in _TYPES.items()}


def _schema(document: Any) -> Schema:
    """Return the schema in a request's body.

    Raises:
        ConnectorError: a value in the schema is invalid.
        KeyError: there is no such type of schemas, or a field is missing.
        ValueError: the body is not a JSON object.
    """
    if not is_object(document):
        raise ValueError(document)
    references = [
        SchemaReference(item["name"], item["subject"], item["version"])
        for item in document.get("references", [])
    ]
    kind = _TYPES[document.get("schemaType", "AVRO")]
    return Schema(document["schema"], kind, references=references)


def _fields(schema: Schema) -> dict[str, Any]:
    """Return a schema as fields of a response; for Avro schemas, the type is left out."""
    fields: dict[str, Any] = {"schema": schema.text}
    if schema.format is not SchemaFormat.AVRO:
        fields["schemaType"] = _NAMES[schema.format]
    if schema.references:
        fields["references"] = [
            {"name": item.name, "subject": item.subject, "version": item.version}
            for item in schema.references
        ]
    return fields


def _json(value: Mapping[str, Any], status: int = 200) -> Behaviour:
    return Behaviour(status, {"Content-Type": CONTENT_TYPE}, json.dumps(value).encode())
