"""Plivo as the conformance kit takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.sms_conformance import SmsSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.sms.plivo import PlivoSandbox
from moorage.vendors.sms.plivo import Plivo

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def plivo_says(status: int, words: str = "447700900000 is refused") -> Response:
    """A refusal by Plivo, which quotes a number and has no code."""
    return reply({"api_id": "a", "error": words}, status)


def plivo() -> SmsSubject:
    """Plivo with a new sandbox."""
    sandbox = PlivoSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (plivo_says(429), RateLimitExceeded),
        (plivo_says(401), AuthenticationFailed),
        (plivo_says(400), InvalidRequest),
        (plivo_says(402), VendorRejected),
        (plivo_says(403), VendorRejected),
    )
    return SmsSubject(
        vendor=Plivo(
            auth_id=sandbox.auth_id, credentials=sandbox.auth_token, sender="+15005550006"
        ),
        sandbox=sandbox,
        sent=lambda: len(sandbox.messages),
        refusals=refusals,
        option=("log", "false"),
        secret=sandbox.auth_token,
        webhook_secret=sandbox.auth_token,
        report=sandbox.report,
    )
