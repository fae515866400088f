"""Durable consumers of NATS JetStream: their names, settings and deliveries.

Laws:

1. The position of a message in its stream, and the time at which the stream stored it, identify it,
   however often it is delivered.
2. A status that ends one request for messages says nothing about the consumer, unless it says that
   the consumer does not exist any more.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256
from json import loads
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from moorage.domain.messages.broker_rules import KEY_HEADER
from moorage.domain.messages.nats import CONTENT_TYPE, MESSAGE_ID, RULES, STREAM_RULES
from moorage.domain.messages.publish_failures import PublishFault
from moorage.domain.messages.read_failures import read_error
from moorage.domain.values.json_text import is_object
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError, ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from moorage.errors import ConnectorError

STARTS: Final = ("all", "new")
"""The messages with which a new consumer can begin, in NATS's words."""

NO_CONSUMER: Final = 10014
"""The code for a consumer that does not exist."""

IN_USE: Final = 10148
"""The code for a consumer that exists with other settings."""

_NO_STREAM: Final = 10059
_DIFFERENT_CONSUMER_CODES: Final = frozenset({10012, 10013, 10105, IN_USE})
_TEMPORARY_CODES: Final = frozenset({503, 10008, 10009, 10023, 10028, 10047, 10118})
_NO_JETSTREAM: Final = frozenset({10035, 10039, 10076})

_TOKEN: Final = r"[^\s\x00-\x20\x7f.*>]+"  # noqa: S105 - a part of a subject
_FILTER: Final = late_pattern(rf"(?!\$)(?:(?:{_TOKEN}|\*)\.)*(?:{_TOKEN}|\*|>)")
_NAME: Final = late_pattern(r"[A-Za-z0-9_-]{1,64}")
_NANOSECONDS: Final = 1_000_000_000
_GONE_TEXTS: Final = ("consumer deleted", "consumer is push based", "no responders")
_ACK_PREFIX: Final = ["$JS", "ACK"]


class Delivery(NamedTuple):
    """The delivery of a message by a consumer, described by the subject of its acknowledgement.

    Attributes:
        stream: the stream of the message.
        consumer: the consumer.
        sequence: the position of the message in the stream.
        number: the number of the message's deliveries by the consumer, including this one.
        stored_at: the time at which the stream stored it.
    """

    stream: str
    consumer: str
    sequence: int
    number: int
    stored_at: datetime


@attrs.frozen(kw_only=True)
class ConsumerSettings:
    """The settings of a source's consumers.

    Attributes:
        subjects: the subjects; each has a consumer of its own in each stream.
        stream: the only stream that is read; None for all that store the subjects.
        discover_every: the seconds between two searches for new streams.
        group: the beginning of the consumers' names.
        start: the messages that a new group reads: "all", or the "new" ones, stored after it began.
        ack_wait: the seconds after which an unacknowledged message is delivered again.
        max_deliveries: the maximum number of deliveries of a message; None for no limit.
        max_unacknowledged: the largest number of delivered messages that are not acknowledged.
        exclusive: whether a consumer delivers to one worker at a time.
    """

    subjects: tuple[str, ...]
    stream: str | None = None
    discover_every: float = 60.0
    group: str
    start: str
    ack_wait: float
    max_deliveries: int | None
    max_unacknowledged: int
    exclusive: bool

    def changeable(self) -> dict[str, Any]:
        """Return the settings that can be changed in an existing consumer."""
        return {
            "ack_wait": round(self.ack_wait * _NANOSECONDS),
            "max_deliver": self.max_deliveries or -1,
            "max_ack_pending": self.max_unacknowledged,
        }

    def config(
        self, name: str, subject: str, after: int | None = None, *, since: str | None = None
    ) -> dict[str, Any]:
        """Return the configuration of a new durable consumer.

        Args:
            name: the consumer's name.
            subject: the subject that it reads, which may have wildcards.
            after: the position in the stream after which it begins; None to begin by `start`.
            since: the time when the group got its first consumer, as the server wrote it. A group
                for new messages begins there in a stream that it finds later.
        """
        start_options: dict[str, Any] = {"deliver_policy": self.start}
        if since is not None and self.start == "new":
            start_options = {"deliver_policy": "by_start_time", "opt_start_time": since}
        if after is not None:
            start_options = {"deliver_policy": "by_start_sequence", "opt_start_seq": after + 1}
        pinning: dict[str, Any] = {}
        if self.exclusive:
            pinning = {
                "priority_groups": [self.group],
                "priority_policy": "pinned_client",
                "priority_timeout": round(self.ack_wait * _NANOSECONDS),
            }
        return {
            "durable_name": name,
            "name": name,
            "filter_subject": subject,
            "ack_policy": "explicit",
            "replay_policy": "instant",
            **start_options,
            **self.changeable(),
            **pinning,
        }

    def difference(self, name: str, subject: str, config: Mapping[str, Any]) -> str | None:
        """Return the setting that makes an existing consumer unusable for the source, if any.

        Args:
            name: the name of the consumer.
            subject: the subject that the source reads.
            config: the consumer's configuration.
        """
        expected = self.config(name, subject)
        for setting in ("filter_subject", "ack_policy", "priority_policy"):
            default_value = "none" if setting == "priority_policy" else ""
            if (config.get(setting) or default_value) != (expected.get(setting) or default_value):
                return setting
        return "deliver_subject" if config.get("deliver_subject") else None


def checked_subjects(subjects: Sequence[str]) -> tuple[str, ...]:
    """Check the subjects that a source reads, and return them.

    Raises:
        ConfigurationError: there are no subjects, one is not valid, or two of them overlap.
    """
    if isinstance(subjects, str) or not subjects:
        raise ConfigurationError(
            "The subjects of the source are not a list of names.",
            path="subjects",
            remedy='Set a list of names, such as ["orders.*"].',
        )
    for subject in subjects:
        if not isinstance(subject, str) or not _FILTER.fullmatch(subject):
            raise ConfigurationError(
                f"{subject!r} is not a NATS subject.",
                path="subjects",
                remedy="Separate the words with dots. Use * for one word, and > at the end"
                " for one or more words.",
            )
    for number, subject in enumerate(subjects):
        for other_subject in subjects[:number]:
            if subjects_overlap(subject, other_subject):
                raise ConfigurationError(
                    f"The subjects {other_subject!r} and {subject!r} overlap, so a message"
                    " could be read twice.",
                    path="subjects",
                    remedy="Use subjects that have no messages in common.",
                )
    return tuple(subjects)


def checked_group(group: str) -> str:
    """Check the name of a group of workers, and return it.

    Raises:
        ConfigurationError: a consumer cannot have this name.
    """
    if not _NAME.fullmatch(group):
        raise ConfigurationError(
            f"{group!r} is not a valid name for a group.",
            path="group",
            remedy="Use at most 64 letters, digits, hyphens and underscores.",
        )
    return group


def has_wildcards(subject: str) -> bool:
    """Return whether a subject stands for several subjects."""
    return any(token in {"*", ">"} for token in subject.split("."))


def subjects_overlap(first: str, second: str) -> bool:
    """Return whether one subject could match both of these, which may contain wildcards."""
    left_parts, right_parts = first.split("."), second.split(".")
    for pair in zip(left_parts, right_parts, strict=False):
        if ">" in pair:
            return True
        if "*" not in pair and pair[0] != pair[1]:
            return False
    return len(left_parts) == len(right_parts)


def consumer_name(group: str, subject: str) -> str:
    """Return the name of the durable consumer with which a group reads a subject."""
    if _NAME.fullmatch(subject):
        return f"{group}-{subject}"
    words = re.sub(r"[^A-Za-z0-9_-]+", "_", subject)[:32]
    return f"{group}-{words}-{sha256(subject.encode()).hexdigest()[:12]}"


def read_delivery(subject: str) -> Delivery | None:
    """Parse the subject of an acknowledgement as a delivery; return None if it has another form."""
    words = subject.split(".")
    if words[:2] != _ACK_PREFIX:
        return None
    # Newer servers add the domain and the account to the subject.
    fields = words[2:] if len(words) == 9 else words[4:]
    try:
        stream, consumer, count, sequence, _, stored_at, *_ = fields
        return Delivery(
            stream,
            consumer,
            int(sequence),
            int(count),
            datetime.fromtimestamp(int(stored_at) / _NANOSECONDS, UTC),
        )
    except (ValueError, OverflowError, OSError):
        return None


def record_fields(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the record fields that a NATS message's headers contain."""
    reserved_names = {CONTENT_TYPE.lower(), MESSAGE_ID.lower(), KEY_HEADER}
    values = {name.lower(): value for name, value in headers.items()}
    return {
        "key": values.get(KEY_HEADER) or None,
        "attributes": [
            (name or "(unnamed)", value)
            for name, value in headers.items()
            if name.lower() not in reserved_names
        ],
        "content_type": values.get(CONTENT_TYPE.lower()),
        "id": values.get(MESSAGE_ID.lower()) or None,
    }


def ends_consumer(description: str) -> bool:
    """Return whether a status message means that the consumer can no longer be read."""
    return any(words in description.lower() for words in _GONE_TEXTS)


def read_answer(data: bytes) -> dict[str, Any]:
    """Return the JSON object in a reply of JetStream's API; empty if the reply has none."""
    try:
        answer: Any = loads(data)
    except ValueError:
        return {}
    return dict(answer) if is_object(answer) else {}


def error_code(answer: Mapping[str, Any]) -> int | None:
    """Return the error code in a reply of JetStream's API; None if it reports no error."""
    error: Any = answer.get("error")
    if not is_object(error):
        return None
    code = error.get("err_code", error.get("code"))
    return code if isinstance(code, int) else 0


def names_in(answer: Mapping[str, Any]) -> list[str]:
    """Return the names in a reply that lists streams."""
    names: Any = answer.get("streams")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []  # pyright: ignore[reportUnknownVariableType] - of any values


def api_error(code: int, stream: str, name: str) -> ConnectorError:
    """Return the moorage error for JetStream's error response to a request of a source.

    Args:
        code: the error code.
        stream: the stream.
        name: the consumer.
    """
    if code == _NO_STREAM:
        return read_error(PublishFault.TOPIC, _STREAMS, stream, code=str(code))
    if code in _NO_JETSTREAM:
        return ConfigurationError(
            "JetStream is not enabled for this account on the NATS server.",
            path="url",
            remedy="Enable JetStream on the server and for the account, or set `domain`.",
        )
    if code in _TEMPORARY_CODES or code == NO_CONSUMER:
        return unavailable(name)
    if code in _DIFFERENT_CONSUMER_CODES:
        return consumer_differs_error(stream, name, "configuration")
    return ConfigurationError(
        f"JetStream refused the consumer {name!r} of the stream {stream!r} (error {code}).",
        path="subjects",
        remedy="Compare the settings of the source with the settings of the stream, such as"
        " its subjects, its retention and its maximum number of consumers.",
    )


def no_stream_error(subject: str) -> ConnectorError:
    """Return the error for a subject whose messages no stream stores."""
    return read_error(PublishFault.TOPIC, STREAM_RULES, subject)


def unavailable(name: str) -> ConnectorError:
    """Return the error for a consumer that cannot deliver now."""
    return ConnectionFailed(
        f"The NATS consumer {name!r} was deleted or cannot be reached.",
        remedy="The pipeline opens the source again, and creates the consumer if it is missing.",
    )


def consumer_differs_error(stream: str, name: str, setting: str) -> ConnectorError:
    """Return the error for an existing consumer with other settings than the source needs."""
    return ConfigurationError(
        f"The consumer {name!r} of the stream {stream!r} has a different {setting} than the"
        " source needs.",
        path="group",
        remedy="Set another `group`, or delete the consumer. If you delete it, its position"
        " is lost.",
    )


def no_pinning_error(version: str | None) -> ConnectorError:
    """Return the error for a server whose consumers cannot deliver to one worker at a time."""
    return ConfigurationError(
        f"The NATS server ({version}) cannot restrict delivery to one worker at a time.",
        path="exclusive",
        remedy="Use NATS 2.11 or newer, or remove `exclusive` and run one worker.",
    )


def can_pin(version: str | None) -> bool:
    """Return whether a server of this version can deliver to one worker at a time."""
    match = re.search(r"(\d+)\.(\d+)", version or "")
    return match is not None and (int(match.group(1)), int(match.group(2))) >= (2, 11)


def missing_permission_error(subjects: Iterable[str]) -> ConnectorError:
    """Return the error for a user who may not publish to the subjects of JetStream."""
    return read_error(
        PublishFault.PERMISSION, attrs.evolve(RULES, topic="subject"), ", ".join(sorted(subjects))
    )


_STREAMS: Final = attrs.evolve(STREAM_RULES, topic="stream")
