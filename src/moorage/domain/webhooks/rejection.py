"""The reasons for rejecting a webhook."""

from __future__ import annotations

from enum import StrEnum

from moorage.errors import WebhookRejected


class WebhookReason(StrEnum):
    """The reason for rejecting a webhook."""

    MISSING = "missing"
    """A part that the scheme needs is missing: a signature, a time or a key's name."""
    MALFORMED = "malformed"
    """The webhook cannot be parsed."""
    DUPLICATED = "duplicated"
    """A header or field occurs twice with different values."""
    SIGNATURE = "signature"
    """None of the secrets made the signature."""
    STALE = "stale"
    """The webhook is older than the tolerance allows."""
    FUTURE = "future"
    """The webhook's time is further in the future than the tolerance allows."""
    REPLAYED = "replayed"
    """The webhook was received before, or another worker is handling it."""
    DOWNGRADED = "downgraded"
    """The webhook is signed in a weaker way than the scheme demands."""
    FOREIGN = "foreign"
    """The webhook may be genuine, but is meant for another recipient."""
    CERTIFICATE = "certificate"
    """The certificate is not where the vendor keeps its certificates, or is not valid."""
    LENGTH_REQUIRED = "length_required"
    """The body came in chunks, and the server does not mark its end."""
    TOO_LARGE = "too_large"
    """The body is larger than the limit."""


def rejection_error(
    reason: WebhookReason, message: str, *, remedy: str | None = None
) -> WebhookRejected:
    """Return the error for rejecting a webhook for this reason."""
    return WebhookRejected(message, reason=reason.value, remedy=remedy)
