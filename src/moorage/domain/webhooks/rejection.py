"""The reasons for rejecting a webhook."""

from __future__ import annotations

from enum import StrEnum

from moorage.errors import WebhookRejected


class WebhookReason(StrEnum):
    """The reason for rejecting a webhook."""

    MISSING = "missing"
    """What the scheme needs is not there: a signature, a time, a key's name."""
    MALFORMED = "malformed"
    """It cannot be read."""
    DUPLICATED = "duplicated"
    """It says one thing twice, and differently."""
    SIGNATURE = "signature"
    """No secret made its signature."""
    STALE = "stale"
    """It is older than the tolerance."""
    FUTURE = "future"
    """It claims a later time than the tolerance allows."""
    REPLAYED = "replayed"
    """It was received before, or another worker is handling it."""
    DOWNGRADED = "downgraded"
    """It is signed in a weaker way than the scheme's."""
    FOREIGN = "foreign"
    """It may be genuine, and is meant for somebody else."""
    CERTIFICATE = "certificate"
    """Its certificate is not where the vendor keeps them, or does not hold."""
    LENGTH_REQUIRED = "length_required"
    """Its body came in chunks, and the server does not say where they end."""
    TOO_LARGE = "too_large"
    """Its body is larger than the limit."""


def rejected(reason: WebhookReason, message: str, *, remedy: str | None = None) -> WebhookRejected:
    """Return the error for rejecting a webhook for this reason."""
    return WebhookRejected(message, reason=reason.value, remedy=remedy)
