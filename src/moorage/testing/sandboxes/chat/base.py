"""The base of sandboxes for chat vendors, with the messages as readers see them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes.base import Sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANNEL: Final = "orders"
"""The name of a channel that each sandbox has."""

_MARKDOWN_LINK: Final = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
_MARKDOWN_STYLE: Final = re.compile(r"(\*\*|\*|__|_|~|`)(?=\S)(.+?)(?<=\S)\1")


@attrs.frozen(kw_only=True)
class ShownMessage:
    """A message as people in the chat see it.

    Attributes:
        channel: id of its channel.
        text: the message's whole text, without markup: title, text and fields.
        mentions: everybody whom it mentions, in the vendor's own words.
        links: addresses behind words of the text.
        buttons: labels and addresses of its buttons.
        thread: id of the message whose thread it is in; None if it is in no thread.
        silent: True if it made no sound.
    """

    channel: str
    text: str
    mentions: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    buttons: tuple[tuple[str, str], ...] = ()
    thread: str | None = None
    silent: bool = False


class ChatSandbox(Sandbox, ABC):
    """A local sandbox that imitates a chat vendor."""

    @abstractmethod
    def shown(self) -> Sequence[ShownMessage]:
        """Return the messages now visible in the chats, in posting order."""


def without_markdown(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the text that a Markdown source displays, and its links."""
    links = tuple(match[2] for match in _MARKDOWN_LINK.finditer(text))
    plain_text = _MARKDOWN_LINK.sub(lambda match: match[1], text)
    return _MARKDOWN_STYLE.sub(lambda match: match[2], plain_text), links


def as_dict(value: Any) -> dict[str, Any]:
    """Return a JSON object; an empty dictionary for any other value."""
    return value if is_object(value) else {}


__all__ = ["CHANNEL", "ChatSandbox", "ShownMessage", "as_dict", "without_markdown"]
