"""Helpers of chat vendors: channels and message references."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage import vendor_sdk as sdk

if TYPE_CHECKING:
    from moorage.contracts.chat import ChatMessage


def channel_of(message: ChatMessage, usual: str | None, vendor: str) -> str:
    """The channel of a message, for a vendor that requires one.

    Raises:
        InvalidData: neither the message nor the account names a channel.
    """
    channel = message.channel or usual
    if channel:
        return channel
    raise sdk.InvalidData(
        f"{vendor} requires a channel, but the message has none.",
        field="channel",
        remedy="Set the message's or the account's `channel`.",
    )


def channel_at(ref: sdk.Ref) -> str:
    """The channel of a referenced message.

    Raises:
        InvalidData: the reference does not contain a channel.
    """
    channel = ref.other("channel")
    if channel:
        return channel
    raise sdk.InvalidData(
        "The reference does not contain the message's channel.",
        field="ref",
        remedy="Pass the `ref` of a receipt or an event, or the text that str(ref) returned.",
    )
