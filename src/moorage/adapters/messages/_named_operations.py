"""The operations of a publisher by name, for example for the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from moorage.domain.connectors.named_operation import NamedOperation
from moorage.domain.messages.plain_messages import (
    MESSAGE,
    TOPIC,
    message_of,
    messages_of,
    plain_receipt,
    plain_results,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class AnyPublisher(Protocol):
    """The methods of a publisher that make operations, synchronous or asynchronous."""

    def publish(self, topic: str, message: Any) -> Any: ...

    def publish_batch(self, topic: str, messages: Any) -> Any: ...


def named_operations(publisher: AnyPublisher) -> Mapping[str, NamedOperation]:
    """Return the operations `publish` and `publish_batch` of a publisher."""

    def publish(arguments: Mapping[str, Any]) -> Any:
        fields = {name: value for name, value in arguments.items() if name != "topic"}
        return publisher.publish(arguments["topic"], message_of(fields))

    def publish_batch(arguments: Mapping[str, Any]) -> Any:
        return publisher.publish_batch(arguments["topic"], messages_of(arguments["messages"]))

    return {
        "publish": NamedOperation(
            name="publish",
            about="Publishes a message, and waits until the broker has stored it.",
            arguments={**TOPIC, **MESSAGE},
            required=frozenset(TOPIC),
            build=publish,
            render=plain_receipt,
        ),
        "publish_batch": NamedOperation(
            name="publish_batch",
            about="Publishes messages, and reports the outcome of each.",
            arguments={
                **TOPIC,
                "messages": (
                    "A list of messages. Each message has some of these fields:"
                    f" {', '.join(MESSAGE)}."
                ),
            },
            required=frozenset({*TOPIC, "messages"}),
            build=publish_batch,
            render=plain_results,
        ),
    }
