"""Pure functions for a JetStream bucket of states: names, requests and replies.

A state is the last message of a subject, as in the key-value buckets of NATS. The subject is made
of the state's key: the part in braces is one word of it, and the rest is another, so that all
states of one service and tenant can be counted by their common beginning.
"""

from __future__ import annotations

import re
import struct
from binascii import a2b_base64
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from json import dumps, loads
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moorage.domain.values.json_text import is_object
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"
MARK: Final = "Moorage-Write"
CLOCK: Final = "=clock"
"""The word of the subject that measures the server's time; no key has such a word."""

NO_MESSAGE: Final = 10037
NO_STREAM: Final = 10059
CONFLICTS: Final = frozenset({10070, 10071, 10164})
"""JetStream's codes: another message was stored meanwhile."""
FULL: Final = frozenset({10023, 10028, 10047, 10077})
"""JetStream's codes: the bucket, the account or the server has no more space."""
LEADERLESS: Final = frozenset({10008, 10009, 10118})
"""JetStream's codes: the cluster or the bucket has no leader now."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_UNSAFE_BYTES: Final = re.compile(rb"[^A-Za-z0-9_-]")
_MAX_LENGTH: Final = 700
_HOME_END: Final = "}:"
_MARK_LINE: Final = re.compile(rb"(?:^|\r\n)Moorage-Write: *([^\r\n]*)")
_EXPIRY_HEAD: Final = struct.Struct("<BBqq")


class LastMessage(NamedTuple):
    """The last message of a subject.

    Attributes:
        revision: the message's position in the stream, which identifies the write.
        at: the server's time of the write, in microseconds since the Unix epoch.
        mark: the mark of the write, by which its writer recognises it.
        value: the stored bytes.
        subject: the subject.
    """

    revision: int
    at: int
    mark: str
    value: bytes
    subject: str


class Refused(NamedTuple):
    """An error in JetStream's reply: its code and description."""

    code: int
    description: str


def subject_word(text: str) -> str:
    """Encode a string as one token of a NATS subject; different strings get different tokens."""
    encoded_text = _UNSAFE_BYTES.sub(
        lambda match: b"=%02X" % ord(match[0]), text.encode("utf-8", "surrogatepass")
    )
    if len(encoded_text) > _MAX_LENGTH:
        return f"=h{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return encoded_text.decode() or "=e"


def subject_of(bucket: str, key: str) -> str:
    """Return the subject for a state's key."""
    home, end, remainder = key.partition(_HOME_END)
    words = (subject_word(home), subject_word(remainder)) if end else (subject_word(key),)
    return ".".join(("$KV", bucket, *words))


def stream_of(bucket: str) -> str:
    """Return the stream name of a bucket."""
    return f"KV_{bucket}"


def bucket_config(bucket: str, replicas: int) -> bytes:
    """Return the request that creates a bucket, which stores only the last write of each key.

    A full bucket refuses writes: dropping the oldest claims instead would allow second effects.
    """
    return dumps(
        {
            "name": stream_of(bucket),
            "description": "States of moorage",
            "subjects": [f"$KV.{bucket}.>"],
            "retention": "limits",
            "storage": "file",
            "discard": "new",
            "max_age": 0,
            "max_msgs_per_subject": 1,
            "num_replicas": replicas,
            "duplicate_window": 2_000_000_000,
        }
    ).encode()


def check_bucket(bucket: str, config: dict[str, Any], replicas: int) -> None:
    """Refuse a bucket that may lose states, or has fewer replicas than configured."""
    for setting, is_right, remedy in (
        ("max_age", not config.get("max_age"), "Set it to 0."),
        (
            "max_msgs",
            config.get("max_msgs", -1) < 0,
            ("Set it to -1, and limit the bytes instead."),
        ),
        ("max_msgs_per_subject", config.get("max_msgs_per_subject") == 1, "Set it to 1."),
        (
            "discard",
            config.get("discard") == "new" or config.get("max_bytes", -1) < 0,
            "Set it to new, so that a full bucket refuses writes.",
        ),
        (
            "num_replicas",
            config.get("num_replicas", 1) >= replicas,
            f"Set it to {replicas}, or set fewer `replicas` for the store.",
        ),
        ("storage", config.get("storage") == "file", "Use a bucket with the storage type file."),
    ):
        if not is_right:
            raise ConfigurationError(
                f"The NATS bucket {bucket!r} may lose keys, because its {setting} is"
                f" {config.get(setting)!r}.",
                path=setting,
                remedy=f"{remedy} Or use a separate bucket for the store.",
            )


def read_reply(data: bytes) -> dict[str, Any] | Refused:
    """Return JetStream's reply as an object, or its error; code 0 means a malformed reply."""
    try:
        reply: Any = loads(data)
    except ValueError:
        reply = None
    if not is_object(reply):
        return Refused(0, "a reply that is not an object")
    error: Any = reply.get("error")
    if error is None:
        return dict(reply)
    fields: dict[str, Any] = dict(error) if is_object(error) else {}
    code = fields.get("err_code")
    return Refused(code if isinstance(code, int) else 0, str(fields.get("description", ""))[:200])


def read_stored(reply: dict[str, Any]) -> LastMessage:
    """Return the stored message in JetStream's reply.

    Raises:
        StorageUnavailable: the reply does not have JetStream's form.
    """
    try:
        message = reply["message"]
        headers = a2b_base64(message.get("hdrs", ""))
        mark_match = _MARK_LINE.search(headers)
        return LastMessage(
            message["seq"] + 0,
            microseconds(message["time"]),
            "" if mark_match is None else mark_match[1].decode(),
            a2b_base64(message.get("data", "")),
            message["subject"] + "",
        )
    except (AttributeError, LookupError, TypeError, ValueError):
        pass
    raise StorageUnavailable(
        "The reply of NATS is not a message of the bucket.",
        remedy="Check that the URL names a NATS server with JetStream.",
    )


def microseconds(text: str) -> int:
    """Convert a JetStream time to microseconds since the Unix epoch, rounded down."""
    return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND


def is_expired(value: bytes, now: int) -> bool:
    """Return whether a stored state has expired; False for bytes that are not a state."""
    if len(value) < _EXPIRY_HEAD.size:
        return False
    _, numbers, seen_at, keep_for = _EXPIRY_HEAD.unpack_from(value)
    return bool(numbers >= 2 and seen_at + keep_for <= now)


class ServerClock:
    """The NATS server's time, estimated with the local boot clock between answers.

    Each message that was read gives a lower bound: when it arrived, the server's time was at least
    the time of the message. The estimate is the highest bound, so it lags behind the server by at
    most the time of a round trip, and never precedes it unless the clocks run at different rates.
    The estimate goes back only after a step of the server's clock that is longer than `step`.

    Args:
        nanoseconds: the local clock, which includes the machine's time in standby.
        step: the longest step back, in microseconds, during which the time stands still.
        every: the microseconds after which a measurement is too old.
    """

    def __init__(self, nanoseconds: Callable[[], int], *, step: int, every: int) -> None:
        self._nanoseconds = nanoseconds
        self._step = step
        self._every = every
        self._offset: int | None = None
        self._measured = 0
        self._last = 0

    def is_due(self) -> bool:
        """Return whether the server's time must be measured again."""
        local_time = self._nanoseconds() // 1_000
        return self._offset is None or local_time - self._measured >= self._every

    def measure(self, at: int) -> None:
        """Set the server's time from a message that it has just stored."""
        self._measured = self._nanoseconds() // 1_000
        self._offset = at - self._measured

    def learn(self, at: int) -> None:
        """Use the time of a message just read as a lower bound of the server's time."""
        offset = at - self._nanoseconds() // 1_000
        if self._offset is None or offset > self._offset:
            self._offset = offset

    def now(self) -> int:
        """Return the server's time in microseconds since the Unix epoch."""
        time = self._nanoseconds() // 1_000 + (self._offset or 0)
        last_time = self._last
        if time < last_time <= time + self._step:
            return last_time
        self._last = time
        return time
