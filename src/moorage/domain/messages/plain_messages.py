"""Messages and receipts as plain JSON, for operations that are run by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.messages.message import Message
from moorage.domain.messages.publish_failures import publication_of
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.domain.messages.message import PublishReceipt
    from moorage.domain.values.result import Result

TOPIC: Final = {"topic": "The topic, subject, queue, stream or routing key."}
MESSAGE: Final = {
    "payload": "The content as a text; pass either this or `json`.",
    "json": "The content as a value, which is written as JSON.",
    "key": "The key by which the broker keeps messages in order.",
    "headers": "Texts by name.",
    "content_type": "The type of the content, such as text/plain.",
    "id": "The id of the message, by which some brokers recognise a repeat.",
    "delay": "The seconds for which the broker delays the message.",
}


def message_of(arguments: Mapping[str, Any]) -> Message:
    """Return the message that a JSON object describes; `MESSAGE` lists its fields.

    Raises:
        InvalidData: a value is missing or wrong.
    """
    unknown = next((name for name in arguments if name not in MESSAGE), None)
    if unknown is not None:
        raise InvalidData(
            f"A message has no field {unknown[:80]!r}.",
            field=unknown,
            remedy=f"It has: {', '.join(MESSAGE)}.",
        )
    if ("payload" in arguments) == ("json" in arguments):
        raise InvalidData(
            "A message must have either a `payload` or a `json`.",
            field="payload",
            remedy="Pass `payload` for a text, or `json` for any other value.",
        )
    headers = arguments.get("headers", {})
    if not is_object(headers):
        raise InvalidData(
            "The headers of a message must be an object of texts.",
            field="headers",
            remedy='Pass an object such as {"trace-id": "7"}.',
        )
    delay = arguments.get("delay")
    if isinstance(delay, bool) or not isinstance(delay, (int, float, type(None))):
        raise InvalidData(
            "The delay of a message must be a number of seconds.",
            field="delay",
            remedy="Pass a number such as 30, or omit the delay.",
        )
    fields = {name: arguments[name] for name in ("key", "content_type", "id") if name in arguments}
    if "json" in arguments:
        return Message.of_json(arguments["json"], headers=headers, delay=delay, **fields)
    return Message(arguments["payload"], headers=headers, delay=delay, **fields)


def messages_of(values: object) -> tuple[Message, ...]:
    """Return the messages that a list of JSON objects describes.

    Raises:
        InvalidData: it is not a list of messages.
    """
    if not is_list(values) or not all(is_object(value) for value in values):
        raise InvalidData(
            "The messages of a batch must be a list of objects.",
            field="messages",
            remedy='Pass a list such as [{"payload": "first"}, {"payload": "second"}].',
        )
    return tuple(message_of(value) for value in values)


def plain_receipt(receipt: PublishReceipt) -> dict[str, Any]:
    """Return a publish receipt as JSON, without the fields that the broker did not send."""
    fields = {
        "broker": receipt.broker,
        "topic": receipt.topic,
        "at": receipt.at.isoformat(),
        "partition": receipt.partition,
        "offset": receipt.offset,
        "id": receipt.id,
        "stream": receipt.stream,
        "is_duplicate": receipt.is_duplicate or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def plain_results(results: Iterable[Result[PublishReceipt]]) -> list[dict[str, Any]]:
    """Return the results of a published batch as JSON."""
    return [
        plain_receipt(result.unwrap())
        if result.error is None
        else {
            "error": type(result.error).__name__,
            "message": result.error.message
            if isinstance(result.error, ConnectorError)
            else "The client library failed.",
            "publication": publication_of(result).value,
        }
        for result in results
    ]
