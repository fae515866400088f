"""The messages of an AsyncAPI description: names, content types and schemas."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from moorage.domain.messages.message import JSON
from moorage.domain.openapi.document import Node, refusal
from moorage.domain.values.json_text import is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.openapi.document import Document

_JSON_SCHEMA: Final = re.compile(
    r"application/(schema|vnd\.aai\.asyncapi|vnd\.oai\.openapi)(\+json|\+yaml)?(;.*)?"
)
_NAMES: Final = "name", "messageId", "title"


@attrs.frozen(kw_only=True)
class ChannelMessage:
    """A message that a channel of an AsyncAPI description carries.

    Attributes:
        name: the message's name; without one, the name of the message's operation.
        content_type: the type of its payload.
        payload: the schema of its payload, whose value is None if the message has none.
        headers: the schema of its headers, whose value is None if the message has none.
        has_key: whether it has a key, by which Kafka chooses the partition.
        node: the message's description.
    """

    name: str
    content_type: str
    payload: Node = attrs.field(repr=False)
    headers: Node = attrs.field(repr=False)
    has_key: bool
    node: Node = attrs.field(repr=False)


def channel_message(
    document: Document, node: Node, operation: str, usual_type: str | None
) -> ChannelMessage:
    """Return an AsyncAPI operation's message, read from its place in the description.

    Args:
        document: the description.
        node: the description of the message, or a reference to it.
        operation: the name of the operation.
        usual_type: the content type of payloads that declare none.

    Raises:
        Unmapped: a part of the message cannot be mapped.
    """
    own_part = document.resolved(node)
    if not is_object(own_part.value):
        raise refusal(own_part.pointer, "The message is not an object.", "Correct it.")
    message = _with_traits(document, own_part)
    names = [message.text(name) for name in _NAMES]
    key = own_part.pointer.rpartition("/")[2]
    if not (key.isdecimal() or key == "message"):
        names.append(key.replace("~1", "/").replace("~0", "~"))
    return ChannelMessage(
        name=next((name for name in names if name), operation),
        content_type=message.text("contentType") or usual_type or JSON,
        payload=_payload(document, message),
        headers=message.child("headers"),
        has_key=document.resolved(message.child("bindings")).child("kafka").child("key").value
        is not None,
        node=own_part,
    )


def _with_traits(document: Document, message: Node) -> Node:
    """Return a message with the additional fields of its AsyncAPI traits."""
    fields: dict[str, Any] = dict(cast("Mapping[str, Any]", message.value))
    for item in message.child("traits").items():
        trait = document.resolved(item)
        for name, part in trait.children():
            fields.setdefault(name, part.value)
    return Node(fields, message.pointer)


def _payload(document: Document, message: Node) -> Node:
    """Return the schema of a message's payload.

    Raises:
        Unmapped: the schema is of a language that is not supported, such as Avro.
    """
    payload = message.child("payload")
    schema_format = message.child("schemaFormat")
    wrapped_schema = document.resolved(payload)
    if is_object(wrapped_schema.value) and "schemaFormat" in wrapped_schema.value:
        payload, schema_format = (
            wrapped_schema.child("schema"),
            wrapped_schema.child("schemaFormat"),
        )
    name = schema_format.value
    if name is not None and not (isinstance(name, str) and _JSON_SCHEMA.fullmatch(name)):
        raise refusal(
            schema_format.pointer,
            f"The schema format {str(name)[:100]!r} of the payload is not supported.",
            "Describe the payload with an AsyncAPI schema or a JSON Schema, or leave the"
            " operation out.",
        )
    return payload
