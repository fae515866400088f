"""The rules of NATS JetStream for messages, and the meaning of its replies.

Laws:

1. A message is stored if a stream confirms that, with its name and the message's position.
2. If nobody answers for a subject, or a stream refuses a message, it was not stored. The subject
   may have a stream nevertheless: nobody answers while the servers elect its leader.
3. A stream recognises an id in all of its subjects. A message is a repeat only if the stored
   message of its id has the same subject.
4. The server may still be storing another message of the same id when it refuses one for that
   reason; so this refusal proves nothing.
"""

from __future__ import annotations

import re
from hashlib import sha256
from json import loads
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moorage.domain.messages.broker_rules import KEY_HEADER, BrokerRules, headers_of
from moorage.domain.messages.publish_failures import PublishFault
from moorage.domain.values.json_text import is_object
from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    from moorage.domain.messages.message import OutgoingMessage

CONTENT_TYPE: Final = "Content-Type"
MESSAGE_ID: Final = "Nats-Msg-Id"
EXPECTED_STREAM: Final = "Nats-Expected-Stream"

_TOKEN: Final = r"[^\s\x00-\x20\x7f.*>]+"  # noqa: S105 - a part of a subject

RULES: Final = BrokerRules(
    system="nats",
    title="NATS",
    topic="subject",
    topic_pattern=late_pattern(rf"(?!\$){_TOKEN}(?:\.{_TOKEN})*"),
    longest_name=2048,
    largest=64 * 1024 * 1024,
    header_name=late_pattern(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"),
    header_value=late_pattern(r"(?!\s)[^\r\n\0]*(?<!\s)"),
    binary_headers=False,
    reserved=frozenset(
        {CONTENT_TYPE.lower(), MESSAGE_ID.lower(), EXPECTED_STREAM.lower(), KEY_HEADER}
    ),
    has_keys=False,
    usual_port=4222,
)
"""The rules of NATS; a server may limit the size of messages further."""

STREAM_RULES: Final = BrokerRules(system="nats", title="NATS", topic="stream for the subject")
"""NATS in messages about a missing stream, if no stream accepts a subject."""

_NO_RESPONDERS: Final = "503"
_NANOSECONDS: Final = 1_000_000_000
_STREAM_NAME: Final = late_pattern(r"[A-Za-z0-9_-]{1,64}")
_DENIED_TEXT: Final = re.compile(
    r"permissions violation for (publish|subscription) to \"([^\"]*)\""
)

_CODES: Final = {
    10008: PublishFault.STARTING,  # the cluster's metadata are not available
    10009: PublishFault.STARTING,  # this server is not the leader
    10118: PublishFault.STARTING,  # the stream is offline
    10023: PublishFault.FULL,  # the account's resources are used up
    10028: PublishFault.FULL,  # the server's memory is used up
    10047: PublishFault.FULL,  # the server's disk is used up
    10077: PublishFault.FULL,  # the stream has reached its limit of messages or bytes
    10035: PublishFault.NAMESPACE,  # JetStream is not enabled for the account
    10039: PublishFault.NAMESPACE,
    10076: PublishFault.NAMESPACE,  # JetStream is not enabled at the server
    10054: PublishFault.TOO_LARGE,
    10097: PublishFault.TOO_LARGE,  # the message's headers are too large
    10060: PublishFault.CONFLICT,  # the stream is not the expected one
    10063: PublishFault.CONFLICT,
    10070: PublishFault.CONFLICT,  # the last message id is not the expected one
    10071: PublishFault.CONFLICT,  # the last position is not the expected one
    10164: PublishFault.CONFLICT,
    10109: PublishFault.READ_ONLY,  # the stream is sealed
    10158: PublishFault.LOST,  # a message with the same id is being stored
}
"""The faults for the error codes of JetStream."""


class StreamAcknowledgement(NamedTuple):
    """The acknowledgement by a JetStream stream that it has stored a message.

    Attributes:
        stream: the name of the stream.
        sequence: the position of the message in it.
        is_duplicate: whether the stream had a message of this id already.
    """

    stream: str
    sequence: int
    is_duplicate: bool


def headers_to_send(item: OutgoingMessage, stream: str | None) -> dict[str, str]:
    """Return a NATS message's headers, with its id, type, key and expected stream."""
    pairs = headers_of(item.message, RULES)
    headers = {name: value if isinstance(value, str) else value.decode() for name, value in pairs}
    if item.message.content_type is not None:
        headers[CONTENT_TYPE] = item.message.content_type
    if item.id is not None:
        headers[MESSAGE_ID] = item.id
    if stream is not None:
        headers[EXPECTED_STREAM] = stream
    return headers


def wire_size(payload: bytes, headers: dict[str, str]) -> int:
    """Return the size in bytes that a NATS server counts for a message."""
    if not headers:
        return len(payload)
    lines = (len(name.encode()) + len(value.encode()) + 4 for name, value in headers.items())
    return len("NATS/1.0\r\n\r\n") + sum(lines) + len(payload)


def acknowledgement(status: str | None, data: bytes) -> StreamAcknowledgement | PublishFault:
    """Return the acknowledgement in the server's reply to a message, or the fault.

    Args:
        status: the status in the reply's headers, which the server itself sets.
        data: the content of the reply.
    """
    if status == _NO_RESPONDERS:
        return PublishFault.TOPIC
    reply = read_reply(data)
    if isinstance(reply, PublishFault):
        return reply
    stream, sequence = reply.get("stream"), reply.get("seq")
    if not isinstance(stream, str) or not isinstance(sequence, int):
        return PublishFault.BROKEN
    return StreamAcknowledgement(stream, sequence, reply.get("duplicate") is True)


def stored_subject(data: bytes) -> str | None:
    """Return the subject of a stored message from a JetStream reply; None if it is not known."""
    reply = read_reply(data)
    message: Any = None if isinstance(reply, PublishFault) else reply.get("message")
    subject = message.get("subject") if is_object(message) else None
    return subject if isinstance(subject, str) else None


def with_subject_in_id(item: OutgoingMessage) -> OutgoingMessage:
    """Return a message whose id differs from the ids of all other subjects in its stream."""
    return item._replace(id=f"{item.id}/{item.topic}")


def read_reply(data: bytes) -> dict[str, Any] | PublishFault:
    """Return a JetStream reply as an object, or the fault that it reports."""
    try:
        reply: Any = loads(data)
    except ValueError:
        return PublishFault.BROKEN
    if not is_object(reply):
        return PublishFault.BROKEN
    error: Any = reply.get("error")
    if error is None:
        return dict(reply)
    code = error.get("err_code") if is_object(error) else None
    return _CODES.get(code, PublishFault.BROKEN) if isinstance(code, int) else PublishFault.BROKEN


def denied_operation(text: str) -> tuple[str, str] | None:
    """Return the operation and the subject that a NATS server does not permit, if any.

    Args:
        text: the error of the server, in lower case.
    """
    match = _DENIED_TEXT.search(text)
    return None if match is None else (match.group(1), match.group(2))


def refusal(text: str) -> PublishFault:
    """Return the fault for an error with which a NATS server refuses a connection."""
    words = text.lower()
    if "authorization" in words or "authentication" in words or "credentials" in words:
        return PublishFault.PASSWORD
    if "tls" in words or "secure connection" in words:
        return PublishFault.TLS
    return PublishFault.UNSENT


def new_stream(subject: str, *, window: float | None, replicas: int) -> tuple[str, dict[str, Any]]:
    """Return the name and the configuration of a new stream for one subject.

    Args:
        subject: the subject.
        window: the seconds for which it remembers ids; None for the server's default.
        replicas: the number of servers that keep the stream.
    """
    name = subject
    if _STREAM_NAME.fullmatch(subject) is None:
        words = re.sub(r"[^A-Za-z0-9_-]+", "_", subject)[:32]
        name = f"{words}-{sha256(subject.encode()).hexdigest()[:12]}"
    config: dict[str, Any] = {
        "name": name,
        "subjects": [subject],
        "storage": "file",
        "num_replicas": replicas,
    }
    if window is not None:
        config["duplicate_window"] = round(window * _NANOSECONDS)
    return name, config


def window_of(info: dict[str, Any]) -> float | None:
    """Return the seconds for which a stream remembers message ids, from its description."""
    config: Any = info.get("config")
    window = config.get("duplicate_window") if is_object(config) else None
    return window / _NANOSECONDS if isinstance(window, int) else None
