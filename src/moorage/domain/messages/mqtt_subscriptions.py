"""Subscriptions of MQTT clients, and the meaning of the broker's responses to them."""

from __future__ import annotations

from itertools import combinations, islice
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import attrs

from moorage.domain.messages.broker_rules import KEY_HEADER
from moorage.domain.messages.mqtt import LONGEST_TEXT, MESSAGE_ID, RULES
from moorage.domain.messages.publish_failures import PublishFault
from moorage.domain.messages.read_failures import read_error
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from moorage.errors import ConnectorError

NEVER: Final = 2**32 - 1
"""The seconds of a session that never expires."""

_FILTER: Final = late_pattern(r"(?!\$share/)(?:(?:[^+#/\x00]*|\+)/)*(?:[^+#/\x00]*|\+|#)")
_GROUP: Final = late_pattern(r"[^+#/\x00]{1,100}")
_SHARED: Final = late_pattern(r"\$share/[^/]*/")
_LARGEST_IDENTIFIER: Final = 268_435_455
_MOST_FILTERS: Final = 200
_FIRST_FAILURE: Final = 0x80
_TAKEN_OVER_CODE: Final = 0x8E
_NOT_AUTHORIZED: Final = 0x87


@attrs.frozen(kw_only=True)
class MqttSubscription:
    """The messages that a client wants to receive.

    Attributes:
        filters: the topic filters.
        qos: 1, or 2 for brokers that deliver each message once.
        prefetch: the number of messages that are delivered and not acknowledged, at most.
        expiry: the seconds for which the broker keeps the session of a client that is away.
    """

    filters: tuple[str, ...]
    qos: int
    prefetch: int
    expiry: int

    @property
    def identifier(self) -> int:
        """The number that a broker with MQTT 5 attaches to messages of these filters."""
        return crc32("\0".join(self.filters).encode()) % _LARGEST_IDENTIFIER + 1

    def matches(self, topic: str) -> bool:
        """Return whether a topic belongs to one of the filters."""
        start = len(self._prefix)
        return any(filters_overlap(topic, name[start:]) for name in self.filters)

    def possible_filters(self, topic: str) -> list[str]:
        """Return the filters with which an earlier client could have subscribed to a topic.

        The filters with the fewest wildcards come first; filters with very many are left out.
        """
        names = [name for name in _filters_of(topic) if name and name not in self.filters]
        if self._prefix:
            names += [f"{self._prefix}{name}" for name in names]
        return names

    @property
    def _prefix(self) -> str:
        """The beginning `$share/GROUP/` of the filters of a group of subscribers; otherwise ""."""
        match = _SHARED.match(self.filters[0])
        return "" if match is None else match[0]

    def refusal(self, codes: Sequence[int]) -> ConnectorError | None:
        """Return the error if the broker refused the subscription; None if it was accepted."""
        for name, code in zip(self.filters, codes, strict=False):
            if code == _NOT_AUTHORIZED:
                return read_error(PublishFault.PERMISSION, RULES, name, code=f"0x{code:02X}")
            if code >= _FIRST_FAILURE:
                return ConfigurationError(
                    f"The broker refused the subscription to {name!r} (code 0x{code:02X}).",
                    path="topics",
                    remedy="Check whether the broker allows this user, wildcards and shared"
                    " subscriptions.",
                )
            if code < self.qos:
                return ConfigurationError(
                    f"The broker delivers {name!r} only with QoS {code}.",
                    path="qos",
                    remedy="Lower `qos`, or allow a higher QoS on the broker.",
                )
        return None


def topic_filters(topics: Sequence[str], group: str | None) -> tuple[str, ...]:
    """Return the MQTT topic filters with which a source subscribes to its topics.

    Args:
        topics: the topics, which may have the wildcards "+" and "#".
        group: the group of subscribers that share the messages; None for a single subscriber.

    Raises:
        ConfigurationError: there are no topics, a name is not valid, or two topics overlap.
    """
    if isinstance(topics, str) or not topics:
        raise ConfigurationError(
            "The topics of the source are not a list of names.",
            path="topics",
            remedy='Set a list of names, such as ["orders/#"].',
        )
    for topic in topics:
        is_filter = isinstance(topic, str) and topic and _FILTER.fullmatch(topic)
        if not is_filter or len(topic.encode()) > LONGEST_TEXT:
            raise ConfigurationError(
                f"{str(topic)[:80]!r} is not an MQTT topic.",
                path="topics",
                remedy="Separate the levels with slashes. Use + for one level, and # at the"
                " end for any number of levels. Set the name of a group in `group`.",
            )
    for number, topic in enumerate(topics):
        for other_topic in topics[:number]:
            if filters_overlap(topic, other_topic):
                raise ConfigurationError(
                    f"The topics {other_topic!r} and {topic!r} overlap, so the broker could"
                    " deliver a message twice.",
                    path="topics",
                    remedy="Use topics that have no messages in common.",
                )
    if group is None:
        return tuple(topics)
    if not _GROUP.fullmatch(group):
        raise ConfigurationError(
            f"{group!r} is not a valid name for a group of subscribers.",
            path="group",
            remedy="Use at most 100 characters, without slashes and wildcards.",
        )
    return tuple(f"$share/{group}/{topic}" for topic in topics)


def filters_overlap(first: str, second: str) -> bool:
    """Return whether one topic could match both of these MQTT topic filters."""
    shorter_levels, longer_levels = sorted((first.split("/"), second.split("/")), key=len)
    for number, pair in enumerate(zip(shorter_levels, longer_levels, strict=False)):
        # A wildcard in the first level does not match the topics of the broker itself.
        is_system = not number and any(level.startswith("$") for level in pair)
        if "#" in pair and not is_system:
            return True
        if pair[0] != pair[1] and ("+" not in pair or is_system):
            return False
    return longer_levels[len(shorter_levels) :] in ([], ["#"])


def _filters_of(topic: str) -> Iterator[str]:
    """Yield filters that match a topic, at most `_MOST_FILTERS`."""
    levels = topic.split("/")
    # A wildcard in the first level does not match the topics of the broker itself.
    first = 1 if topic.startswith("$") else 0
    beginnings = [(levels, "")]
    beginnings += [(levels[:size], "#") for size in range(len(levels), first - 1, -1)]
    variants = (
        "/".join([*("+" if place in places else level for place, level in enumerate(part)), *end])
        for wildcards in range(len(levels) + 1)
        for part, end in beginnings
        for places in combinations(range(first, len(part)), wildcards)
    )
    return islice(variants, _MOST_FILTERS)


def record_fields(
    content_type: str | None, properties: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    """Return the record fields that an MQTT message's properties contain."""
    pairs = list(properties)
    if not pairs:
        return {"key": None, "attributes": (), "content_type": content_type, "id": None}
    values = dict(reversed(pairs))
    return {
        "key": values.get(KEY_HEADER) or None,
        "attributes": [
            (name or "(unnamed)", value)
            for name, value in pairs
            if name not in {KEY_HEADER, MESSAGE_ID}
        ],
        "content_type": content_type,
        "id": values.get(MESSAGE_ID) or None,
    }


def end_error(code: int | None) -> ConnectorError:
    """Return the error for the end of a subscriber's connection.

    Args:
        code: the code with which the broker ended the connection; None if it sent no code.
    """
    if code == _TAKEN_OVER_CODE:
        return ConfigurationError(
            "Another client has connected with the same client id.",
            path="client_id",
            remedy="Set a different client id in each worker.",
        )
    if code == _NOT_AUTHORIZED:
        return read_error(PublishFault.PERMISSION, RULES, code=f"0x{code:02X}")
    return read_error(PublishFault.LOST, RULES)
