"""The JSON protocol of Amazon SQS: entries of requests, and the meaning of responses.

Laws:

1. A result belongs to the message at the position that the entry's id names.
2. A message counts as stored only if the digests in the response match the sent message.
3. No error quotes the response, because it may repeat a part of the message.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.messages.broker_rules import BrokerRules
from moorage.domain.messages.message import PublishReceipt
from moorage.domain.messages.publish_failures import PublishFault, publish_error
from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.result import Result
from moorage.errors import InvalidData, RateLimitExceeded, VendorFailed, VendorRejected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from moorage.domain.messages.message import Message, OutgoingMessage
    from moorage.errors import ConnectorError

CONTENT_TYPE: Final = "Content-Type"
"""The SQS message attribute with the content type."""

FIFO: Final = ".fifo"
"""The ending of the names of SQS FIFO queues."""

_MAX_BYTES: Final = 1_048_576
_RESERVE: Final = 4_096
"""Bytes of a batch that are reserved for attribute types, which SQS counts too."""
_GROUP: Final = late_pattern(r"[!-~]{1,128}")
_TEXT: Final = late_pattern("[\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")


def _rules_of(*, is_fifo: bool) -> BrokerRules:
    return BrokerRules(
        system="sqs",
        title="Amazon SQS",
        verb="send",
        usual_port=443,
        topic="queue",
        topic_pattern=late_pattern(
            r"[A-Za-z0-9_-]{1,75}\.fifo" if is_fifo else r"[A-Za-z0-9_-]{1,80}"
        ),
        largest=_MAX_BYTES,
        most_headers=10,
        header_name=late_pattern(
            r"(?!(?i:aws\.|amazon\.))(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)"
        ),
        header_value=_TEXT,
        reserved=frozenset({CONTENT_TYPE.lower()}),
        longest_delay=0.0 if is_fifo else 900.0,
        deduplicates=is_fifo,
        remembers=300.0,
        most_in_batch=10,
        most_bytes_in_batch=_MAX_BYTES - _RESERVE,
    )


RULES: Final = attrs.evolve(_rules_of(is_fifo=False), special={FIFO: _rules_of(is_fifo=True)})


def is_fifo(queue: str) -> bool:
    """Return whether a queue is FIFO, according to the ending of its name."""
    return queue.endswith(FIFO)


def attributes_of(message: Message) -> dict[str, dict[str, str]]:
    """Return a message's attributes in the form of the SQS protocol."""
    attributes = {
        name: (
            {"DataType": "String", "StringValue": value}
            if isinstance(value, str)
            else {"DataType": "Binary", "BinaryValue": b64encode(value).decode()}
        )
        for name, value in message.headers
    }
    if message.content_type is not None:
        attributes[CONTENT_TYPE] = {"DataType": "String", "StringValue": message.content_type}
    return attributes


def check_for_queue(message: Message, queue: str) -> None:
    """Refuse a message whose content this SQS queue cannot accept.

    Raises:
        InvalidData: its payload is not a string, its key is not a message group, or it lacks a key.
    """
    text = message.payload.decode("utf-8", "replace")
    if text.encode() != message.payload or _TEXT.fullmatch(text) is None:
        raise InvalidData(
            "The payload is empty, or it is not a string that Amazon SQS can store.",
            field="payload",
            remedy="Encode the payload with Base64, and put the encoding into a header.",
        )
    if message.key is None:
        if is_fifo(queue):
            raise InvalidData(
                f"The message has no key, but {queue} is a FIFO queue.",
                field="key",
                remedy="Pass a key. Messages with the same key stay in order.",
            )
    elif _GROUP.fullmatch(message.key.decode("utf-8", "replace")) is None:
        raise InvalidData(
            "The key is not a valid message group of Amazon SQS.",
            field="key",
            remedy="Use 1 to 128 ASCII letters, digits and punctuation marks.",
        )
    if message.content_type is not None and len(message.headers) >= (RULES.most_headers or 0):
        raise InvalidData(
            "The message has ten headers and a content type, but Amazon SQS accepts at most"
            " ten attributes in all.",
            field="headers",
            remedy="Remove a header or the content type.",
        )


def entry_of(item: OutgoingMessage) -> dict[str, Any]:
    """Return the fields that describe a message in an SQS request."""
    message = item.message
    fields: dict[str, Any] = {"MessageBody": message.payload.decode()}
    attributes = attributes_of(message)
    if attributes:
        fields["MessageAttributes"] = attributes
    if message.delay:
        fields["DelaySeconds"] = ceil(message.delay)
    if message.key is not None:
        fields["MessageGroupId"] = message.key.decode()
    if item.id is not None and is_fifo(item.topic):
        fields["MessageDeduplicationId"] = item.id
    return fields


def batch_entries(items: Sequence[OutgoingMessage]) -> list[dict[str, Any]]:
    """Return the entries of a batch; each one's id is its position."""
    return [{"Id": str(position), **entry_of(item)} for position, item in enumerate(items)]


def digest_of_body(payload: bytes) -> str:
    """Return the digest of a message's body that the SQS response must contain."""
    return hashlib.md5(payload, usedforsecurity=False).hexdigest()


def digest_of_attributes(attributes: Mapping[str, Mapping[str, str]]) -> str:
    """Return the digest of message attributes that the SQS response must contain."""
    content = bytearray()
    for name in sorted(attributes):
        attribute = attributes[name]
        content += _with_length(name.encode()) + _with_length(attribute["DataType"].encode())
        if "BinaryValue" in attribute:
            content += b"\2" + _with_length(b64decode(attribute["BinaryValue"]))
        else:
            content += b"\1" + _with_length(attribute["StringValue"].encode())
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _with_length(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def result_of(
    item: OutgoingMessage, answer: Mapping[str, Any], at: datetime
) -> Result[PublishReceipt]:
    """Return the receipt in an SQS response; an error if the response is about another message."""
    message, id_ = item.message, answer.get("MessageId")
    attributes = attributes_of(message)
    expected = {"MD5OfMessageBody": digest_of_body(message.payload)}
    if attributes:
        expected["MD5OfMessageAttributes"] = digest_of_attributes(attributes)
    if not isinstance(id_, str) or any(
        answer.get(name) != digest for name, digest in expected.items()
    ):
        return Result(
            error=VendorFailed(
                "Amazon SQS confirmed a different message than the one sent: the digests differ.",
                remedy="Look for the message in the queue, and for proxies that modify requests.",
            )
        )
    number = answer.get("SequenceNumber")
    return Result(
        PublishReceipt(
            broker="sqs",
            topic=item.topic,
            at=at,
            offset=int(number) if isinstance(number, str) and number.isdecimal() else None,
            id=id_,
        )
    )


def batch_results(
    items: Sequence[OutgoingMessage], answer: Mapping[str, Any], at: datetime
) -> tuple[Result[PublishReceipt], ...]:
    """Return a result for each message of an SQS batch.

    A message that the response does not mention may be stored.
    """
    stored_entries = _entries_by_id(answer.get("Successful"))
    failures = _entries_by_id(answer.get("Failed"))
    results: list[Result[PublishReceipt]] = []
    for position, item in enumerate(items):
        id_ = str(position)
        if id_ in stored_entries:
            results.append(result_of(item, stored_entries[id_], at))
        elif id_ in failures:
            entry = failures[id_]
            error = refusal_of(
                _text(entry.get("Code")),
                _text(entry.get("Message")),
                item.topic,
                status=400 if entry.get("SenderFault") is True else 500,
            )
            results.append(Result(error=error))
        else:
            results.append(
                Result(
                    error=VendorFailed(
                        "The response of Amazon SQS does not mention one of the messages."
                    )
                )
            )
    return tuple(results)


def _entries_by_id(entries: object) -> dict[str, dict[str, Any]]:
    entry_list = entries if is_list(entries) else []
    return {
        entry["Id"]: entry
        for entry in entry_list
        if is_object(entry) and isinstance(entry.get("Id"), str)
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


_FAULTS: Final[dict[str, PublishFault]] = {
    **dict.fromkeys(("QueueDoesNotExist", "NonExistentQueue"), PublishFault.TOPIC),
    **dict.fromkeys(
        (
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "InvalidClientTokenId",
            "InvalidSecurity",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "OptInRequired",
            "RequestExpired",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ),
        PublishFault.PASSWORD,
    ),
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "KmsAccessDenied", "NotAuthorized"),
        PublishFault.PERMISSION,
    ),
    "BatchRequestTooLong": PublishFault.TOO_LARGE,
}
_THROTTLED_CODES: Final = frozenset(
    {
        "KmsThrottled",
        "OverLimit",
        "RequestThrottled",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_KEY_OF_QUEUE: Final = frozenset(
    {"KmsDisabled", "KmsInvalidKeyUsage", "KmsInvalidState", "KmsNotFound", "KmsOptInRequired"}
)
_TOO_LARGE: Final = "shorter than"
"""The text by which SQS refuses a message that exceeds the queue's maximum size."""


def refusal_of(code: str, words: str, queue: str, *, status: int) -> ConnectorError:
    """Return the moorage error for an error code of SQS.

    Args:
        code: the code, with or without its namespace.
        words: the text of the response, which is searched for known causes and never shown.
        queue: the queue that the message was for.
        status: the status of the response.
    """
    name = code.rpartition("#")[2].partition(":")[0].rpartition(".")[2]
    if name in _THROTTLED_CODES or status == 429:
        return RateLimitExceeded(
            "Amazon SQS does not accept more requests for now.", by_vendor=True, vendor_code=name
        )
    if name in _KEY_OF_QUEUE:
        return VendorRejected(
            f"Amazon SQS cannot use the key that encrypts the queue {queue!r}.",
            remedy="Check the state and the policy of the key in AWS KMS.",
            vendor_code=name,
        )
    fault = _FAULTS.get(name)
    if fault is None:
        is_refusal = status < 500
        fault = PublishFault.INVALID if is_refusal else PublishFault.BROKEN
        if is_refusal and status == 403:
            fault = PublishFault.PERMISSION
        elif is_refusal and _TOO_LARGE in words:
            fault = PublishFault.TOO_LARGE
    return publish_error(fault, RULES, queue, code=name or str(status))
