"""Maps the messages of an AsyncAPI description to functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from moorage.domain.openapi.document import Node, refusal
from moorage.domain.values.json_text import is_object
from moorage.scaffold.client.calls import Argument, is_json
from moorage.scaffold.client.layout import literal
from moorage.scaffold.client.schemas import Kind
from moorage.scaffold.client.words import argument_name, unique, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.domain.asyncapi.messages import ChannelMessage
    from moorage.domain.asyncapi.operations import ChannelOperation
    from moorage.domain.openapi.document import Document
    from moorage.scaffold.client.schemas import Schemas

_OMIT_REMEDY: Final = "Omit the operation."
_TAKEN_NAMES: Final = frozenset({"body", "key", "message_id"})
_PLAIN_TYPES: Final = frozenset({"boolean", "integer", "number", "string"})


@attrs.frozen(kw_only=True)
class Payload:
    """The payload of a message.

    Attributes:
        form: "json", "text" or "binary".
        media_type: the media type of the payload.
        kind: the type annotation.
    """

    form: str
    media_type: str
    kind: Kind


@attrs.frozen(kw_only=True)
class MakeFunction:
    """A function that makes a message to publish.

    Attributes:
        name: the name of the function.
        operation: the operation to whose channel the message is sent.
        message: the message.
        arguments: the arguments of the function: parameters of the channel, and headers.
        payload: the payload of the message.
    """

    name: str
    operation: ChannelOperation
    message: ChannelMessage
    arguments: tuple[Argument, ...]
    payload: Payload

    @property
    def kinds(self) -> tuple[str, ...]:
        """The type annotations that the function uses."""
        return (self.payload.kind.text, *(argument.kind.text for argument in self.arguments))


@attrs.frozen(kw_only=True)
class ReadFunction:
    """A function that reads the payload of a message.

    Attributes:
        name: the name of the function.
        operation: the operation whose channel has the message.
        payload: the payload of the message.
    """

    name: str
    operation: ChannelOperation
    payload: Payload

    @property
    def kinds(self) -> tuple[str, ...]:
        """The type annotations that the function uses."""
        return (self.payload.kind.text,)


MessageFunction: TypeAlias = "MakeFunction | ReadFunction"


def make_functions(
    operation: ChannelOperation, document: Document, schemas: Schemas, taken: set[str]
) -> list[MakeFunction]:
    """Return a function for each message that others send to the described application.

    Args:
        operation: the operation.
        document: the description.
        schemas: the classes; those that the messages need are added.
        taken: the names of other functions.

    Raises:
        Unmapped: a part of a message cannot be mapped.
    """
    functions: list[MakeFunction] = []
    for message in operation.messages:
        names = set(_TAKEN_NAMES)
        arguments = [
            Argument(
                name=unique(argument_name(name), names),
                wire=name,
                place="topic",
                kind=_part_kind(values),
                required=True,
                style="simple",
            )
            for name, values in operation.choices
        ]
        arguments += _headers(message, document, schemas, names)
        functions.append(
            MakeFunction(
                name=_function_name("make", message.name, operation.name, taken),
                operation=operation,
                message=message,
                arguments=tuple(arguments),
                payload=_payload(message, schemas),
            )
        )
    return functions


def read_function(operation: ChannelOperation, schemas: Schemas, taken: set[str]) -> ReadFunction:
    """Return the function that parses an operation's messages.

    Args:
        operation: the operation.
        schemas: the classes; those that the messages need are added.
        taken: the names of other functions.

    Raises:
        Unmapped: a part of a message cannot be mapped.
    """
    payloads = [_payload(message, schemas) for message in operation.messages]
    payload, subject = payloads[0], operation.messages[0].name
    if len(payloads) > 1:
        if any(payload.form != "json" for payload in payloads):
            raise refusal(
                operation.node.pointer,
                "The messages cannot be distinguished, because not all of them are JSON.",
                "Describe a separate operation for each message.",
            )
        subject = operation.name
        kind = schemas.union([payload.kind for payload in payloads], f"{subject} message")
        payload = attrs.evolve(payload, kind=kind)
    name = _function_name("read", subject, operation.name, taken)
    return ReadFunction(name=name, operation=operation, payload=payload)


def _part_kind(values: tuple[str, ...] | None) -> Kind:
    """Return the type annotation for a variable part of a topic."""
    limits = () if values is None else (f"OneOf({', '.join(map(literal, values))})",)
    return Kind("str", limits)


def _function_name(verb: str, subject: str, operation: str, taken: set[str]) -> str:
    name = argument_name("_".join([verb, *words(subject)]))
    if name in taken and subject != operation:
        name = argument_name("_".join([verb, *words(subject), "of", *words(operation)]))
    return unique(name, taken)


def _payload(message: ChannelMessage, schemas: Schemas) -> Payload:
    schema = message.payload
    if is_json(message.content_type):
        kind = Kind("Any") if schema.value is None else schemas.kind(schema, message.name)
        return Payload(form="json", media_type=message.content_type, kind=kind)
    if is_object(schema.value) and schema.text("type") not in {None, "string"}:
        raise refusal(
            schema.pointer,
            f"The payload has a schema, but its content type {message.content_type[:100]!r} is"
            " not JSON.",
            _OMIT_REMEDY,
        )
    is_text = message.content_type.startswith("text/")
    return Payload(
        form="text" if is_text else "binary",
        media_type=message.content_type,
        kind=Kind("str" if is_text else "bytes"),
    )


def _headers(
    message: ChannelMessage, document: Document, schemas: Schemas, names: set[str]
) -> Iterator[Argument]:
    if message.headers.value is None:
        return
    headers = document.resolved(message.headers)
    if not is_object(headers.value) or {"allOf", "anyOf", "oneOf"} & headers.value.keys():
        raise refusal(
            headers.pointer,
            "The headers are not one object with properties.",
            f"Describe one object. {_OMIT_REMEDY}",
        )
    required = {item.value for item in headers.child("required").items()}
    for name, node in headers.child("properties").children():
        yield Argument(
            name=unique(argument_name(name), names),
            wire=name,
            place="header",
            kind=schemas.kind(_header_schema(node, document), f"{message.name} {name}"),
            required=name in required,
            style="simple",
        )


def _header_schema(node: Node, document: Document) -> Node:
    """Return the schema of a header.

    Raises:
        Unmapped: the schema does not describe a single value.
    """
    schema = document.resolved(node)
    kind = schema.text("type")
    has_choices = kind is None and schema.child("enum").value is not None
    if kind not in _PLAIN_TYPES and not has_choices:
        raise refusal(
            schema.pointer, "The header is not described as a single value.", _OMIT_REMEDY
        )
    return node
