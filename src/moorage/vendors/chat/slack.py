"""Slack: messages in channels, by the Web API with a bot token.

Texts are sent as rich text, in which Slack interprets no markup. The text of the notification is
escaped, because Slack interprets markup there. Slack takes no idempotency key, so a message that
may have been posted is not posted again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.chat import ChatCapability, ChatMessage, ChatReceipt, ChatStatus
from moorage.vendors.chat._common import channel_at, channel_of
from moorage.vendors.chat._slack_answers import (
    classify,
    read_events,
    read_message,
    read_scheduled,
)
from moorage.vendors.chat._slack_content import content

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendor_sdk import Ref, Request, Response, Wire

_GONE_ERRORS: Final = frozenset({"message_not_found", "invalid_scheduled_message_id"})


@attrs.frozen(kw_only=True)
class Slack(sdk.ApiVendor):
    """A bot in a Slack workspace.

    Attributes:
        credentials: token of the bot, which begins with xoxb-; by default the credential provider
            supplies `Credentials`.
        channel: id or name of the channel for messages that name none.
        base_url: URL of Slack's Web API.
    """

    name = "slack"
    kinds = ("chat",)
    capabilities = frozenset(ChatCapability) - {ChatCapability.SILENT}
    limits: ClassVar[Mapping[str, int]] = {
        "text": 4_000,
        "title": 150,
        "buttons": 25,
        "button_label": 75,
    }
    webhook = "slack"

    refusals = staticmethod(classify)
    ping_path = "/auth.test"
    event_reading = staticmethod(read_events)

    channel: str | None = None
    base_url: str = "https://slack.com/api"

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        """Post a message to its channel, now or later."""
        channel = channel_of(message, self.channel, "Slack")
        return await self._post(wire, message, key, channel=channel)

    async def reply(
        self, wire: Wire, ref: Ref, message: ChatMessage, /, *, key: str | None
    ) -> ChatReceipt:
        """Post a reply in the thread of a message; replies to a reply go to the same thread."""
        thread = ref.other("thread") or _sent_id(ref)
        return await self._post(wire, message, key, channel=channel_at(ref), thread_ts=thread)

    async def edit(self, wire: Wire, ref: Ref, message: ChatMessage, /) -> ChatReceipt:
        """Replace the content of a message."""
        target = {"channel": channel_at(ref), "ts": _sent_id(ref)}
        request = self._request("/chat.update", {**target, **content(message)}, message)
        read = partial(read_message, wire.ref, ChatStatus.UPDATED, ref.other("thread"))
        return await wire.send(request.evolve(idempotent=True), parse=read)

    async def delete(self, wire: Wire, ref: Ref, /) -> ChatReceipt:
        """Delete a message, or cancel a scheduled one."""
        path, name = "/chat.delete", "ts"
        if ref.other("scheduled"):
            path, name = "/chat.deleteScheduledMessage", "scheduled_message_id"
        request = self._request(path, {"channel": channel_at(ref), name: ref.id})

        def read(response: Response) -> ChatReceipt:
            answer = sdk.read_answer(response)
            sdk.required(answer.flag("ok") or None, response, "ok")
            return ChatReceipt(ref=ref, status=ChatStatus.DELETED, raw=answer.raw)

        try:
            return await wire.send(request.evolve(idempotent=True), parse=read)
        except sdk.VendorRejected as refusal:
            if refusal.vendor_code not in _GONE_ERRORS:
                raise
            return ChatReceipt(ref=ref, status=ChatStatus.DELETED)

    async def _post(
        self, wire: Wire, message: ChatMessage, key: str | None, **target: str
    ) -> ChatReceipt:
        body = {**target, **content(message), "unfurl_links": False, "unfurl_media": False}
        thread = target.get("thread_ts")
        if message.send_at is None:
            request = self._request("/chat.postMessage", body, message)
            read = partial(read_message, wire.ref, ChatStatus.SENT, thread)
            return await wire.send(request, key=key, parse=read)
        body["post_at"] = int(message.send_at.timestamp())
        request = self._request("/chat.scheduleMessage", body, message)
        return await wire.send(request, key=key, parse=partial(read_scheduled, wire.ref))

    def _request(
        self, path: str, body: dict[str, Any], message: ChatMessage | None = None
    ) -> Request:
        extra = {} if message is None else sdk.extra_for(self.name, message.extra)
        headers = {"Content-Type": "application/json; charset=utf-8"}
        return sdk.Request.post(path, json=sdk.merged(body, extra), headers=headers)


def _sent_id(ref: Ref) -> str:
    if not ref.other("scheduled"):
        return ref.id
    raise sdk.InvalidData(
        "The message is scheduled. Slack cannot change or answer a message before it is sent.",
        field="ref",
        remedy="Delete the message, and send another one.",
    )
