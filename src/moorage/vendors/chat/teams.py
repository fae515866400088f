"""Microsoft Teams: messages in one channel or chat, by a workflow's webhook.

The workflow takes an Adaptive Card and responds before it posts the card, so a message is only
accepted, and has no id. Texts are text runs, in which Teams reads no Markdown. The signature in the
webhook's URL is a secret. Workflows take no idempotency key, so a message that may have been
accepted is not sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.chat import ChatCapability, ChatMessage, ChatReceipt, ChatStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendor_sdk import Request, Response, Secret, Service, Wire

_MOST_BYTES: Final = 28 * 1024
_SIGNATURE: Final = "sig"
_REFUSALS: Final = sdk.Refusals(
    vendor="Microsoft Teams",
    statuses=sdk.error_statuses("400 413", login="401 403"),
)


def _rich_text_block(*runs: dict[str, Any], **options: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": list(runs), **options}


def _run(text: str, **options: str) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **options}


def card(message: ChatMessage) -> dict[str, Any]:
    """The Adaptive Card of a message, with a block of plain text runs for each line."""
    blocks: list[dict[str, Any]] = []
    if message.title:
        blocks.append(_rich_text_block(_run(message.title, weight="Bolder", size="Large")))
    spacing = "Default"
    for line in message.text.splitlines():
        if line.strip():
            blocks.append(_rich_text_block(_run(line), spacing=spacing))
        spacing = "None" if line.strip() else "Medium"
    for label, value in message.fields:
        runs = [_run(f"{label}: ", weight="Bolder")] + ([_run(value)] if value else [])
        blocks.append(_rich_text_block(*runs, spacing="Small"))
    buttons = [
        {"type": "Action.OpenUrl", "title": button.label, "url": button.url}
        for button in message.buttons
    ]
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
        **({"actions": buttons} if buttons else {}),
    }


def read_accepted(response: Response) -> ChatReceipt:
    """The receipt of an accepted message; the response is empty or the workflow's JSON."""
    if response.body:
        try:
            body = response.json()
        except sdk.InvalidData:
            raise sdk.malformed(response) from None
        if not (sdk.is_object(body) or sdk.is_list(body)):
            raise sdk.malformed(response)
    raw = {"status": response.status, "body": response.text}
    return ChatReceipt(ref=None, status=ChatStatus.ACCEPTED, raw=raw)


def _is_signed(_: object, attribute: attrs.Attribute[Secret], value: Secret) -> None:
    try:
        url = urlsplit(value.reveal())
        signature = dict(parse_qsl(url.query)).get(_SIGNATURE)
        valid = url.scheme == "https" and url.hostname and url.path.startswith("/") and signature
    except ValueError:
        valid = False
    if not valid:
        raise sdk.InvalidData(
            "The URL is not the signed webhook URL of a workflow.",
            field=attribute.name,
            remedy="Copy the URL with its parameter `sig` from the workflow's trigger 'When a"
            " Teams webhook request is received', and let anyone trigger the workflow.",
        )


@attrs.frozen(kw_only=True)
class Teams(sdk.Vendor):
    """A workflow that posts to a Microsoft Teams channel or chat.

    Attributes:
        webhook_url: URL of the workflow's trigger, whose signature is a secret.
    """

    name = "teams"
    kinds = ("chat",)
    capabilities = frozenset({ChatCapability.BUTTONS})
    limits: ClassVar[Mapping[str, int]] = {"message_bytes": _MOST_BYTES}

    webhook_url: Secret = attrs.field(converter=sdk.as_secret, validator=_is_signed)

    def services(self) -> Mapping[str, Service]:
        """The workflow's service; the signature is added when a request is sent."""
        url = urlsplit(self.webhook_url.reveal())
        signature = dict(parse_qsl(url.query))[_SIGNATURE]
        credentials = sdk.Credentials.api_key(signature, query=_SIGNATURE)
        base_url = f"{url.scheme}://{url.netloc}"
        return {"": sdk.Service(self.name, base_url, credentials=credentials, classify=_REFUSALS)}

    def request(self, message: ChatMessage) -> Request:
        """The request that sends a message; `extra` options are merged into the card.

        Raises:
            InvalidData: the message has more bytes than Teams accepts.
        """
        content = sdk.merged(card(message), sdk.extra_for(self.name, message.extra))
        attachment = {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": None,
            "content": content,
        }
        body = {"type": "message", "attachments": [attachment]}
        size = len(sdk.encode_json(body))
        if size > _MOST_BYTES:
            raise sdk.InvalidData(
                f"The message has {size} bytes, but Teams accepts at most {_MOST_BYTES}.",
                field="text",
                remedy="Shorten the text or the fields, and add a button with a link to the rest.",
            )
        url = urlsplit(self.webhook_url.reveal())
        query = [pair for pair in parse_qsl(url.query) if pair[0] != _SIGNATURE]
        return sdk.Request.post(url.path, query=query, json=body)

    async def send(self, wire: Wire, message: ChatMessage, /, *, key: str | None) -> ChatReceipt:
        """Send a message to the workflow."""
        return await wire.send(self.request(message), key=key, parse=read_accepted)
