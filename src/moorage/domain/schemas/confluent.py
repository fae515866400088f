"""The HTTP API of Confluent's schema registry, which other registries have too.

Laws:

1. An answer is the requested schema, id or verdict; any other answer raises `VendorFailed`.
2. Only an error code of the registry says that a schema does not exist. A status 404 without such a
   code may come from any other server at a wrong address.
3. Registering a schema twice has the effect of registering it once, so it may be repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from moorage.domain.http.requests import Request
from moorage.domain.schemas.schema import (
    LARGEST_ID,
    Schema,
    SchemaFormat,
    SchemaReference,
    SchemaVersion,
    checked_number,
    checked_subject,
)
from moorage.domain.service.operation import HttpOperation
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import (
    ConfigurationError,
    InvalidData,
    InvalidRequest,
    SchemaIncompatible,
    SchemaNotFound,
    VendorFailed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError

CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_ACCEPT_TYPES: Final = f"{CONTENT_TYPE}, application/json; q=0.9"
_SERIALIZED_FORMAT: Final = {"format": "serialized"}
"""Asks for descriptors in place of the text of a .proto file; other formats have no such form."""

_TYPES: Final = {"AVRO": SchemaFormat.AVRO, "JSON": SchemaFormat.JSON} | {
    "PROTOBUF": SchemaFormat.PROTOBUF
}
_NAMES: Final = {kind: name for name, kind in _TYPES.items()}
_NOT_FOUND: Final = frozenset({40401, 40402, 40403})
_INVALID_CODES: Final = frozenset({422, 42201, 42202})
_INCOMPATIBLE_STATUS: Final = 409
_LONGEST_MESSAGE: Final = 500


def schema_by_id(id: int) -> HttpOperation[Schema]:
    """Return the operation that reads the schema with an id.

    Raises:
        ConfigurationError: the id is not a positive integer of four bytes.
    """
    path = f"/schemas/ids/{checked_number(id, 'id')}"
    return _operation("schema", _get(path), _schema)


def version_of(subject: str, version: int | None) -> HttpOperation[SchemaVersion]:
    """Return the operation that reads a version of a subject, or its latest.

    Raises:
        ConfigurationError: the subject or the version is not valid.
    """
    number = "latest" if version is None else str(checked_number(version, "version"))
    path = f"/subjects/{_quote(subject)}/versions/{number}"
    return _operation("version", _get(path), _version)


def registration(subject: str, schema: Schema) -> HttpOperation[int]:
    """Return the operation that registers a schema, and returns its id.

    Raises:
        ConfigurationError: the subject is not valid.
    """
    path = f"/subjects/{_quote(subject)}/versions"
    return _operation("register", _post(path, schema), _id)


def compatibility_check(subject: str, schema: Schema) -> HttpOperation[tuple[str, ...]]:
    """Return the operation that returns the reasons why a schema could not be registered.

    Raises:
        ConfigurationError: the subject is not valid.
    """
    path = f"/compatibility/subjects/{_quote(subject)}/versions"
    request = attrs.evolve(_post(path, schema), query={"verbose": "true"})
    return _operation("check", request, _problems, safe=True)


def _get(path: str) -> Request:
    return Request.get(path, query=_SERIALIZED_FORMAT, headers={"Accept": _ACCEPT_TYPES})


def _post(path: str, schema: Schema) -> Request:
    document: dict[str, Any] = {"schema": schema.text}
    if schema.format is not SchemaFormat.AVRO:
        document["schemaType"] = _NAMES[schema.format]
    if schema.references:
        document["references"] = [
            {"name": item.name, "subject": item.subject, "version": item.version}
            for item in schema.references
        ]
    headers = {"Accept": _ACCEPT_TYPES, "Content-Type": CONTENT_TYPE}
    request = Request.post(path, json=document, headers=headers)
    return attrs.evolve(request, idempotent=True)


def _operation(name: str, request: Request, read: Any, **facts: Any) -> HttpOperation[Any]:
    return HttpOperation(
        name=f"schemas.{name}",
        request=request,
        read=lambda response: read(_object(response)),
        failure=_failure,
        system="schema-registry",
        **facts,
    )


def _quote(subject: str) -> str:
    return quote(checked_subject(subject), safe="")


def _failure(response: Response) -> ConnectorError | None:
    """Return the error in a schema registry's response; None if only the status reports it."""
    try:
        body = response.json()
    except InvalidData:
        body = None
    code = body.get("error_code") if is_object(body) else None
    details: dict[str, Any] = {"status": response.status, "response": response}
    if is_object(body) and isinstance(code, int):
        message = body.get("message")
        details["vendor_code"] = str(code)
        details["vendor_message"] = str(message)[:_LONGEST_MESSAGE] if message else None
        if response.status == 404 and code in _NOT_FOUND:
            return SchemaNotFound(
                "The registry does not have this schema, subject or version.", **details
            )
        if code == _INCOMPATIBLE_STATUS:
            return SchemaIncompatible(
                "The registry refused the schema because it is incompatible.", **details
            )
        if code in _INVALID_CODES:
            return InvalidRequest("The registry cannot read the schema or its version.", **details)
    if response.status == 404:
        return ConfigurationError(
            "The address of the schema registry does not lead to a registry (HTTP 404).",
            path="base_url",
            remedy="Set the base_url of the service to the address of the registry's API.",
        )
    return None


def _object(response: Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except InvalidData:
        body = None
    if is_object(body):
        return body
    raise _unreadable_error("is not a JSON object")


def _schema(answer: Mapping[str, Any]) -> Schema:
    kind = answer.get("schemaType", "AVRO")
    if kind not in _TYPES:
        raise _unreadable_error(f"has the unknown schema type {str(kind)[:40]!r}")
    references: Any = answer.get("references") or []
    if not is_list(references):
        raise _unreadable_error("has references that are not a list")
    try:
        return Schema(
            answer.get("schema"),  # type: ignore[arg-type]  # it is checked
            _TYPES[kind],
            references=[_reference(item) for item in references],
        )
    except (ConfigurationError, InvalidData):
        pass
    raise _unreadable_error("has an invalid schema or reference")


def _reference(item: Any) -> SchemaReference:
    fields = item if is_object(item) else {}
    name = fields.get("name")
    if not isinstance(name, str) or not name:
        raise _unreadable_error("has a reference without a name")
    return SchemaReference(name, fields.get("subject"), fields.get("version"))


def _version(answer: Mapping[str, Any]) -> SchemaVersion:
    try:
        subject = checked_subject(answer.get("subject"))
    except ConfigurationError:
        subject = None
    if subject is None:
        raise _unreadable_error("names no subject")
    return SchemaVersion(
        subject=subject,
        version=_number(answer, "version"),
        id=_number(answer, "id"),
        schema=_schema(answer),
    )


def _id(answer: Mapping[str, Any]) -> int:
    return _number(answer, "id")


def _number(answer: Mapping[str, Any], name: str) -> int:
    value = answer.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_ID:
        return value
    raise _unreadable_error(f"has no valid {name!r}")


def _problems(answer: Mapping[str, Any]) -> tuple[str, ...]:
    is_compatible = answer.get("is_compatible")
    messages: Any = answer.get("messages") or []
    if not isinstance(is_compatible, bool) or not is_list(messages):
        raise _unreadable_error("has no verdict")
    if is_compatible:
        return ()
    texts = tuple(str(message)[:_LONGEST_MESSAGE] for message in messages)
    return texts or ("The registry did not return a reason.",)


def _unreadable_error(problem: str) -> VendorFailed:
    return VendorFailed(
        f"The response of the schema registry {problem}.",
        remedy="Check that the service is a schema registry, and inform its operator.",
    )
