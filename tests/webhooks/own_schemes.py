"""A custom webhook scheme, and webhooks that are signed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage import WebhookScheme
from tests.webhooks.signing import SECRET, SentWebhook, mac

if TYPE_CHECKING:
    from collections.abc import Callable

OWN: dict[str, Any] = {"name": "own", "signature": "{header:X-Sig}"}


def own_scheme(**fields: Any) -> WebhookScheme:
    """Return a custom webhook scheme with the given fields."""
    return WebhookScheme(**OWN | fields)


def hex_signature(body: bytes) -> str:
    """Return the hexadecimal HMAC that the custom scheme expects for a body."""
    return mac(SECRET, body).hex()


def signed_webhook(
    body: bytes, write: Callable[[bytes], str] = hex_signature, **headers: str
) -> SentWebhook:
    """Return a webhook signed for the custom scheme."""
    return SentWebhook(headers={"X-Sig": write(body)} | headers, body=body)
