"""Channels of an application with an AsyncAPI description: their topics and messages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from moorage.client_sdk.json_numbers import exact_json
from moorage.client_sdk.values import read_value
from moorage.domain.messages.message import Message
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from moorage.client_sdk.contents import Content
    from moorage.client_sdk.limits import Limit

_PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")
_BRACED_NAME: Final = re.compile(r"(\{[^{}]+\})")
_WILDCARDS: Final = frozenset("#*+>{}")


class TopicMessage(NamedTuple):
    """A message and the topic to publish it to: the arguments of `publisher.publish`.

    Attributes:
        topic: the topic.
        message: the message.
    """

    topic: str
    message: Message


@attrs.frozen
class Channel:
    """A channel of an application that has an AsyncAPI description.

    Attributes:
        address: the topic, with the names of parameters in braces.
        choices: the allowed values of parameters, by the parameter's name; a parameter without an
            entry may have any value.
    """

    address: str
    choices: Mapping[str, Collection[str]] = attrs.field(factory=dict[str, "Collection[str]"])

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters in the channel's address."""
        return tuple(dict.fromkeys(_PLACEHOLDER.findall(self.address)))

    def topic(self, values: Mapping[str, str] | None = None, /) -> str:
        """Return the channel's topic for these values of its parameters.

        Raises:
            InvalidData: a value is missing, is not one of the allowed values, or contains a
                separator of topics.
        """
        parts = values or {}
        for name in self.parameters:
            self._check(name, parts.get(name))
        return _PLACEHOLDER.sub(lambda match: parts[match[1]], self.address)

    def has(self, topic: str, /) -> bool:
        """Return whether a topic belongs to this channel."""
        return self._matched(topic) is not None

    def values_of(self, topic: str, /) -> dict[str, str]:
        """Return the values of the parameters in a topic, such as the topic of a record.

        Raises:
            InvalidData: the topic does not belong to this channel.
        """
        match = self._matched(topic)
        if match is None:
            raise InvalidData(
                f"The topic does not belong to the channel {self.address}.",
                field="topic",
                remedy="Read only messages of this channel's topics.",
            )
        return dict(zip(self.parameters, match.groups(), strict=True))

    def pattern(self, wildcard: str = "+", /) -> str:
        """Return the pattern with which to subscribe to all topics of this channel.

        Args:
            wildcard: the broker's wildcard for one part of a topic: "+" for MQTT, "*" for NATS and
                RabbitMQ.
        """
        return _PLACEHOLDER.sub(lambda _: wildcard, self.address)

    def _matched(self, topic: str) -> re.Match[str] | None:
        names = self.parameters
        part = f"[^{re.escape(self._separators)}]+"
        patterns: list[str] = []
        for text in _BRACED_NAME.split(self.address):
            group = f"p{names.index(text[1:-1])}" if _BRACED_NAME.fullmatch(text) else None
            if group is None:
                patterns.append(re.escape(text))
            elif f"(?P<{group}>{part})" in patterns:
                patterns.append(f"(?P={group})")
            else:
                patterns.append(f"(?P<{group}>{part})")
        return re.fullmatch("".join(patterns), topic)

    @property
    def _separators(self) -> str:
        plain_text = _PLACEHOLDER.sub("", self.address)
        return "".join(separator for separator in "/.:" if separator in plain_text) or "/"

    def _check(self, name: str, value: str | None) -> None:
        known_values = self.choices.get(name)
        refused_characters = _WILDCARDS.union(self._separators)
        if not isinstance(value, str) or not value.isprintable() or not value:
            problem = f"{name} must be a string of printable characters, and must not be empty."
        elif any(character in refused_characters or character.isspace() for character in value):
            problem = f"{name} contains white space, a separator of topics or a wildcard."
        elif known_values is not None and value not in known_values:
            problem = f"{name} is not one of the values in the description."
        else:
            return
        raise InvalidData(
            problem,
            field=name,
            remedy=f"Give one of: {', '.join(sorted(known_values))}."
            if known_values
            else "Give a string that is one part of a topic.",
        )


def make_message(
    content: Content,
    *,
    headers: Iterable[tuple[str, str]] = (),
    key: str | bytes | None = None,
    message_id: str | None = None,
) -> Message:
    """Return a message to publish.

    Args:
        content: the payload and its media type.
        headers: the headers.
        key: the key of the message; messages with the same key keep their order.
        message_id: identifies the message, so that a broker can recognise a repeat.

    Raises:
        InvalidData: the key or the id is not valid for a message.
    """
    body = content.body
    return Message(
        body, headers=[*headers], key=key, id=message_id, content_type=content.media_type
    )


def json_payload(kind: Any, payload: bytes, *limits: Limit, checks: bool = True) -> Any:
    """Return the value of a type from a JSON payload.

    Args:
        kind: the type.
        payload: the payload.
        limits: limits of the value.
        checks: True to check limits and to refuse unknown values of enumerations.

    Raises:
        InvalidData: the payload is not JSON, or does not fit the type.
    """
    try:
        value = exact_json(payload)
    except (RecursionError, ValueError):
        problem = InvalidData(
            "The payload of a message is not JSON.",
            field="payload",
            remedy="Correct the program that publishes the messages.",
        )
    else:
        return read_value(kind, value, *limits, checks=checks)
    raise problem


def text_payload(payload: bytes) -> str:
    """Return the text of a payload in UTF-8.

    Raises:
        InvalidData: the payload is not UTF-8.
    """
    try:
        return payload.decode()
    except UnicodeDecodeError:
        problem = InvalidData(
            "The payload of a message is not UTF-8.",
            field="payload",
            remedy="Correct the program that publishes the messages.",
        )
    raise problem
