"""Telegram: messages in groups, channels and private chats, by the Bot API.

The bot's token is part of each request's path; it is put there when the request is sent, so nothing
else contains it. Texts have no markup: titles and labels are made bold by their positions. Telegram
takes no idempotency key, so a message that may have been sent is not sent again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.chat import ChatCapability, ChatMessage, ChatReceipt, ChatStatus
from moorage.vendors.chat._common import channel_at, channel_of
from moorage.vendors.chat._telegram_messages import (
    LONGEST,
    classify,
    content,
    number_of,
    read_deleted,
    read_events,
    read_message,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.vendor_sdk import Ref, Request, Response, Wire

_UNCHANGED: Final = "message is not modified"
_GONE_TEXT: Final = "message to delete not found"


@attrs.frozen(kw_only=True)
class Telegram(sdk.ApiVendor):
    """A Telegram bot.

    Attributes:
        credentials: token of the bot, such as 123456:ABC-…; by default the credential provider
            supplies `Credentials.api_key(token, path="/bot{key}")`.
        channel: chat for messages that name none: its number, or @ and its public name.
        base_url: URL of the Bot API.
    """

    name = "telegram"
    kinds = ("chat",)
    capabilities = frozenset(ChatCapability) - {ChatCapability.SCHEDULED}
    limits: ClassVar[Mapping[str, int]] = {"text": LONGEST}
    webhook = "telegram"

    auth = sdk.path_key("/bot{key}")
    refusals = staticmethod(classify)
    ping_path = "/getMe"
    event_reading = staticmethod(read_events)

    channel: str | None = None
    base_url: str = "https://api.telegram.org"

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        """Post a message to its chat."""
        target = {"chat_id": channel_of(message, self.channel, "Telegram")}
        return await self._post(wire, target, message, key)

    async def reply(
        self, wire: Wire, ref: Ref, message: ChatMessage, /, *, key: str | None
    ) -> ChatReceipt:
        """Reply to a message in its chat."""
        reply_parameters = {"message_id": number_of(ref)}
        target = {"chat_id": channel_at(ref), "reply_parameters": reply_parameters}
        return await self._post(wire, target, message, key)

    async def edit(self, wire: Wire, ref: Ref, message: ChatMessage, /) -> ChatReceipt:
        """Replace the content of a message."""
        target = {"chat_id": channel_at(ref), "message_id": number_of(ref)}
        request = self._request("/editMessageText", target, message)
        read = partial(read_message, wire.ref, ChatStatus.UPDATED)
        done = ChatReceipt(ref=ref, status=ChatStatus.UPDATED)
        return await _send_once(_UNCHANGED, wire, request, read, done)

    async def delete(self, wire: Wire, ref: Ref, /) -> ChatReceipt:
        """Delete a message."""
        body = {"chat_id": channel_at(ref), "message_id": number_of(ref)}
        request = sdk.Request.post("/deleteMessage", json=body)
        done = ChatReceipt(ref=ref, status=ChatStatus.DELETED)
        return await _send_once(_GONE_TEXT, wire, request, partial(read_deleted, ref), done)

    async def _post(
        self, wire: Wire, target: dict[str, Any], message: ChatMessage, key: str | None
    ) -> ChatReceipt:
        read = partial(read_message, wire.ref, ChatStatus.SENT)
        return await wire.send(self._request("/sendMessage", target, message), key=key, parse=read)

    def _request(self, path: str, target: dict[str, Any], message: ChatMessage) -> Request:
        extra = sdk.extra_for(self.name, message.extra)
        body = sdk.merged({**target, **content(message)}, extra)
        return sdk.Request.post(
            path, json={name: value for name, value in body.items() if value is not None}
        )


async def _send_once(
    words: str,
    wire: Wire,
    request: Request,
    read: Callable[[Response], ChatReceipt],
    done: ChatReceipt,
) -> ChatReceipt:
    """Send a request; an error response with these words counts as success and returns `done`."""
    try:
        return await wire.send(request.evolve(idempotent=True), parse=read)
    except sdk.VendorRejected as refusal:
        if words not in (refusal.vendor_message or ""):
            raise
        return done
