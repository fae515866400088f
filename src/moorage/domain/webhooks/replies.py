"""The HTTP responses to the senders of webhooks."""

from __future__ import annotations

from typing import Final

import attrs

from moorage.domain.values.json_text import encode_json
from moorage.domain.webhooks.rejection import WebhookReason
from moorage.errors import ConnectorError, StorageUnavailable, WebhookRejected


@attrs.frozen
class WebhookReply:
    """A short response to a webhook, which reveals nothing to its sender."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"

    @classmethod
    def text(cls, text: str) -> WebhookReply:
        """Return a response in plain text, which browsers do not render as a page."""
        return cls(200, text.encode())

    @classmethod
    def json(cls, value: object) -> WebhookReply:
        """Return a response in JSON."""
        return cls(200, encode_json(value), "application/json")


_STATUSES: Final = {
    WebhookReason.MALFORMED.value: 400,
    WebhookReason.LENGTH_REQUIRED.value: 411,
    WebhookReason.TOO_LARGE.value: 413,
    WebhookReason.REPLAYED.value: 200,
}


def reply_to(error: ConnectorError) -> WebhookReply:
    """Return the response to the sender of a rejected webhook, without the reason.

    A forgery gets the response 401, as vendors expect when they test an endpoint with a wrong
    signature. A webhook that was handled before is answered with 200 and the text that the vendor
    expects, so that the vendor stops. A webhook that another worker is handling is answered with
    409. A webhook that cannot be verified now, because a store or a certificate is unreachable, is
    answered with 503. In both of these cases the vendor will try again.
    """
    if isinstance(error, WebhookRejected):
        if error.retryable:
            return WebhookReply(409)
        if isinstance(error.answer, WebhookReply):
            return error.answer
        return WebhookReply(_STATUSES.get(error.reason or "", 401))
    return WebhookReply(503 if error.retryable or isinstance(error, StorageUnavailable) else 500)
