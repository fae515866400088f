"""A scheme of our own, and webhooks that it signs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage import WebhookScheme
from tests.webhooks.signing import SECRET, SentWebhook, mac

if TYPE_CHECKING:
    from collections.abc import Callable

OWN: dict[str, Any] = {"name": "own", "signature": "{header:X-Sig}"}


def own_scheme(**fields: Any) -> WebhookScheme:
    """A custom scheme."""
    return WebhookScheme(**OWN | fields)


def hexed(body: bytes) -> str:
    """As the scheme above signs."""
    return mac(SECRET, body).hex()


def signed_webhook(
    body: bytes, write: Callable[[bytes], str] = hexed, **headers: str
) -> SentWebhook:
    """A body signed as the scheme above says."""
    return SentWebhook(headers={"X-Sig": write(body)} | headers, body=body)
