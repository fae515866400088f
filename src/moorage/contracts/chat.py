"""Messages in a team's chats: values, statuses, and the operations of chat vendors."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from moorage.contracts.replays import replay_field
from moorage.contracts.validators import (
    are_all,
    as_tuple,
    check_text,
    is_a,
    is_filled,
    is_https,
    is_maybe,
    is_moment,
    is_tuple,
)
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.json_text import is_object
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import datetime

    import attrs

    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire

KIND: Final = "chat"

_LIMITED_NAMES: Final = ("text", "title")
_NAMES: Final = {"button_label": "label of a button"}
_FIELDS: Final = {"button_label": "buttons"}


class ChatCapability(StrEnum):
    """An optional feature of a chat vendor."""

    CHANNEL = "channel"
    THREAD = "thread"
    EDIT = "edit"
    DELETE = "delete"
    SCHEDULED = "scheduled"
    SILENT = "silent"
    BUTTONS = "buttons"


class ChatStatus(StrEnum):
    """The status of a message, by the vendor's response to an operation on it.

    `accepted` means that the vendor took the message, but does not say if it appears in the chat.
    """

    SENT = "sent"
    SCHEDULED = "scheduled"
    ACCEPTED = "accepted"
    UPDATED = "updated"
    DELETED = "deleted"


_NEEDED_CAPABILITIES: Final = {
    "channel": ChatCapability.CHANNEL,
    "send_at": ChatCapability.SCHEDULED,
    "silent": ChatCapability.SILENT,
    "buttons": ChatCapability.BUTTONS,
}
"""The capability that each optional field of a message needs."""


@frozen
class LinkButton:
    """A button below a message that opens a page in the browser.

    Attributes:
        label: text of the button.
        url: https:// address of the page.
    """

    label: str = field(validator=is_filled)
    url: str = field(validator=is_https, repr=False)


def _as_fields(value: Any) -> Any:
    """Return a table as a tuple of pairs; other values unchanged, for the validator to refuse."""
    return tuple(value.items()) if is_object(value) else as_tuple(value)


def _are_fields(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    name = attribute.name
    pairs: tuple[Any, ...] = value if is_tuple(value) else (None,)
    if any(not is_tuple(pair) or len(pair) != 2 for pair in pairs):
        raise InvalidData(
            "The fields of a message must be a dict whose keys and values are strings.",
            field=name,
            remedy="Give a dict from labels to values, such as {'Order': '1042'}.",
        )
    for label, text in pairs:
        check_text(label, name)
        check_text(text, f"{name}.{label[:80]}")


@frozen(kw_only=True)
class ChatMessage:
    """A message in a chat of a team.

    All texts are plain: each vendor's markup in them is shown as it is written, and mentions
    nobody.

    Attributes:
        channel: the vendor's id or name of the channel; by default that of the account. A reply
            has none, since it goes to the channel of the original message.
        text: text of the message.
        title: headline above the text.
        fields: values with a label each, such as `{"Order": "1042"}`, shown below the text.
        buttons: buttons that open a page.
        silent: True to notify people without a sound.
        send_at: time of sending; by default now.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    text: str = field(repr=False, validator=is_filled)
    channel: str | None = field(default=None, validator=is_maybe(str))
    title: str | None = field(default=None, repr=False, validator=is_maybe(str))
    fields: tuple[tuple[str, str], ...] = field(
        default=(), converter=_as_fields, repr=False, validator=_are_fields
    )
    buttons: tuple[LinkButton, ...] = field(
        default=(), converter=as_tuple, repr=False, validator=are_all(LinkButton)
    )
    silent: bool = field(default=False, validator=is_a(bool))
    send_at: datetime | None = field(default=None, validator=is_moment)
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to send this message."""
        return frozenset(
            [
                capability
                for field, capability in _NEEDED_CAPABILITIES.items()
                if getattr(self, field)
            ]
        )


def check_fits(message: ChatMessage, limits: Mapping[str, int]) -> None:
    """Refuse a message that exceeds the vendor's limits.

    Args:
        message: message to send.
        limits: limits of the vendor; only "text", "title", "buttons" and "button_label" are read.
    """
    sizes = {name: len(getattr(message, name) or "") for name in _LIMITED_NAMES}
    sizes["button_label"] = max([len(button.label) for button in message.buttons], default=0)
    for name, size in sizes.items():
        if size > limits.get(name, size):
            raise InvalidData(
                f"The {_NAMES.get(name, name)} has {size} characters, but the vendor accepts"
                f" at most {limits[name]}.",
                field=_FIELDS.get(name, name),
                remedy="Shorten this text, and give a link to the rest.",
            )
    if len(message.buttons) > limits.get("buttons", len(message.buttons)):
        raise InvalidData(
            f"The message has {len(message.buttons)} buttons, but the vendor accepts"
            f" at most {limits['buttons']}.",
            field="buttons",
            remedy="Remove some buttons.",
        )


@frozen(kw_only=True)
class ChatReceipt:
    """The receipt of a message: the vendor's response about the message.

    Attributes:
        ref: reference of the message at the vendor; None if the vendor gives it no id. Then the
            message cannot be replied to, edited or deleted.
        status: outcome of the operation.
        at: the vendor's time of the message, if the vendor states it.
        replayed: True if this is the stored answer of an earlier call with the same key.
        raw: the vendor's complete answer.
    """

    ref: Ref | None
    status: ChatStatus
    at: datetime | None = None
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class ChatEvent:
    """A message that a person or program wrote in a chat, as the vendor's webhook reports it.

    Attributes:
        id: unique id of the event.
        ref: reference of the message at the vendor; pass it to `reply` to reply to the message.
        channel: the vendor's id of the channel.
        sender: the vendor's id of the person or the program that wrote it.
        automatic: True if a program wrote it, such as your own.
        text: text of the message, in the vendor's own markup.
        at: time of the message, if the vendor states it.
        raw: the vendor's complete event.
    """

    id: str | None
    ref: Ref
    channel: str
    sender: str | None = field(default=None, repr=False)
    automatic: bool = False
    text: str | None = field(default=None, repr=False)
    at: datetime | None = None
    raw: Any = field(default=None, repr=False, eq=False)


class ChatVendor(Protocol):
    """The operations of a chat vendor; its `capabilities` list the optional ones."""

    async def send(
        self, wire: Wire, message: ChatMessage, /, *, key: str | None
    ) -> ChatReceipt: ...

    async def reply(
        self, wire: Wire, ref: Ref, message: ChatMessage, /, *, key: str | None
    ) -> ChatReceipt: ...

    async def edit(self, wire: Wire, ref: Ref, message: ChatMessage, /) -> ChatReceipt: ...

    async def delete(self, wire: Wire, ref: Ref, /) -> ChatReceipt: ...
