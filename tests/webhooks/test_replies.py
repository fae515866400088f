"""The HTTP response that a program returns to a webhook."""

from __future__ import annotations

from moorage import (
    AuthenticationFailed,
    ConnectionFailed,
    StorageUnavailable,
    WebhookRejected,
    WebhookReply,
)
from moorage.domain.webhooks.presets import preset
from moorage.domain.webhooks.replies import reply_to


def test_http_status_of_errors() -> None:
    """Each webhook error has the HTTP status that vendors expect, and gives forgers no details."""
    repeated_error = WebhookRejected("again", reason="replayed")
    held_error = WebhookRejected("held", reason="replayed", retryable=True)
    for status, error in (
        (401, WebhookRejected("forged", reason="signature")),
        (401, WebhookRejected("no reason")),
        (400, WebhookRejected("broken", reason="malformed")),
        (413, WebhookRejected("long", reason="too_large")),
        (200, repeated_error),
        (409, held_error),
        (503, StorageUnavailable("away")),
        (503, ConnectionFailed("away")),
        (500, AuthenticationFailed("ours")),
    ):
        assert WebhookReply(status) == reply_to(error)
    assert "[accepted]" == preset("adyen").accepted
