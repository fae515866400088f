"""The operations of an AsyncAPI description: their channels, parameters and messages.

In version 3, an operation describes an action of the described application. In version 2, it
describes an action of other applications: they `publish` the messages that the application
receives.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

import attrs

from moorage.domain.asyncapi.messages import channel_message
from moorage.domain.openapi.document import refusal
from moorage.domain.values.json_text import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.domain.asyncapi.messages import ChannelMessage
    from moorage.domain.openapi.document import Document, Node

Action: TypeAlias = Literal["receive", "send"]

_PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")
_ACTIONS: Final[Mapping[str, Action]] = {"publish": "receive", "subscribe": "send"}


@attrs.frozen(kw_only=True)
class ChannelOperation:
    """An operation of an AsyncAPI description: sending or receiving a channel's messages.

    Attributes:
        name: the operation's name.
        action: "send" or "receive", as the described application does it.
        channel: the name of the channel.
        address: the topic of the channel, with the names of its parameters in braces.
        choices: the names of the parameters, and the values that each may have; None for any.
        messages: the operation's messages.
        node: the operation's description.
    """

    name: str
    action: Action
    channel: str
    address: str
    choices: tuple[tuple[str, tuple[str, ...] | None], ...]
    messages: tuple[ChannelMessage, ...]
    node: Node = attrs.field(repr=False)


class OperationNode(NamedTuple):
    """An operation's part of an AsyncAPI document, whose messages are not read yet.

    Attributes:
        name: the operation's name.
        action: "send" or "receive", as the described application does it; None if it is unknown.
        channel: the description of the channel, or a reference to it.
        node: the operation's description.
    """

    name: str
    action: Action | None
    channel: Node
    node: Node


def operation_nodes(document: Document, version: int) -> Iterator[OperationNode]:
    """Yield the operations of an AsyncAPI 2 or 3 description, in the document's order."""
    if version == 3:
        for name, node in document.root.child("operations").children():
            action = node.text("action")
            known_action: Action | None = (
                "send" if action == "send" else "receive" if action == "receive" else None
            )
            yield OperationNode(name, known_action, node.child("channel"), node)
        return
    for address, channel in document.root.child("channels").children():
        for word, action in _ACTIONS.items():
            node = channel.child(word)
            if node.value is not None:
                yield OperationNode(
                    node.text("operationId") or f"{word} {address}", action, channel, node
                )


def channel_operation(document: Document, version: int, item: OperationNode) -> ChannelOperation:
    """Return an AsyncAPI operation with its channel and its messages.

    Raises:
        Unmapped: a part of the operation cannot be mapped.
    """
    node = document.resolved(item.node)
    if not is_object(node.value):
        raise refusal(node.pointer, "The operation is not an object.", "Correct it.")
    if node.child("reply").value is not None:
        raise refusal(
            node.child("reply").pointer,
            "A reply to a message is not supported.",
            "Describe the reply as a separate operation, or leave the operation out.",
        )
    if item.action is None:
        raise refusal(
            node.child("action").pointer,
            "The action is not send or receive.",
            "Correct the action.",
        )
    channel = document.resolved(item.channel)
    name = channel.pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
    address = name if version == 2 else channel.text("address")
    return ChannelOperation(
        name=item.name,
        action=item.action,
        channel=name,
        address=_checked_address(address, channel),
        choices=tuple(_choices(document, channel, address or "")),
        messages=_messages(document, version, item, node, channel),
        node=node,
    )


def _checked_address(address: str | None, channel: Node) -> str:
    if not address:
        raise refusal(
            channel.child("address").pointer,
            "The channel has no address, so its topic is known only when the program runs.",
            "Add an address to the channel, or leave the operation out.",
        )
    plain_text = _PLACEHOLDER.sub("", address)
    if not address.isprintable() or any(
        character in "{}" or character == " " for character in plain_text
    ):
        raise refusal(
            channel.pointer,
            "The address has an unclosed brace, an empty parameter name, or white space.",
            "Write an address such as orders/{id}.",
        )
    return address


def _choices(
    document: Document, channel: Node, address: str
) -> Iterator[tuple[str, tuple[str, ...] | None]]:
    """Yield each parameter of a channel's address, with its permitted values or None."""
    for name in dict.fromkeys(_PLACEHOLDER.findall(address)):
        parameter = channel.child("parameters").child(name)
        if parameter.value is None:
            raise refusal(
                channel.pointer,
                f"The address contains the parameter {name[:100]!r}, but the channel does not"
                " describe it.",
                "Describe the parameter in the channel's parameters.",
            )
        parameter = document.resolved(parameter)
        schema = parameter.child("schema")
        values = (parameter if schema.value is None else document.resolved(schema)).child("enum")
        if values.value is None:
            yield name, None
        elif (
            is_list(values.value) and values.value and all(isinstance(v, str) for v in values.value)
        ):
            yield name, tuple(values.value)
        else:
            raise refusal(values.pointer, "The enum is not a list of strings.", "Correct it.")


def _messages(
    document: Document, version: int, item: OperationNode, node: Node, channel: Node
) -> tuple[ChannelMessage, ...]:
    nodes = [
        *(_listed_messages(node, channel) if version == 3 else _operation_messages(document, node))
    ]
    if not nodes:
        raise refusal(node.pointer, "The operation has no messages.", "Describe one.")
    usual_type = document.root.text("defaultContentType")
    return tuple(channel_message(document, message, item.name, usual_type) for message in nodes)


def _listed_messages(node: Node, channel: Node) -> Iterator[Node]:
    """Yield the messages of an AsyncAPI 3 operation; by default all messages of its channel."""
    if node.child("messages").value is None:
        yield from (message for _, message in channel.child("messages").children())
    else:
        yield from node.child("messages").items()


def _operation_messages(document: Document, node: Node) -> Iterator[Node]:
    """Yield the message of an AsyncAPI 2 operation; if it lists alternatives, each of them."""
    message = node.child("message")
    if message.value is None:
        return
    alternatives = document.resolved(message).child("oneOf")
    if alternatives.value is None:
        yield message
    else:
        yield from alternatives.items()
