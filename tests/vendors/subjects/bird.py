"""Bird as the conformance kit takes it."""

from __future__ import annotations

from base64 import b64encode
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
from moorage.testing.sandboxes.sms.bird import BirdSandbox
from moorage.vendors.sms.bird import Bird

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def bird_says(status: int, kind: str, code: str = "E99999") -> Response:
    """A refusal by Bird, which quotes a number."""
    words = "+447700900000 is refused"
    return reply({"error": {"type": kind, "code": code, "message": words}}, status)


def bird() -> SmsSubject:
    """Bird with a new sandbox."""
    sandbox = BirdSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (bird_says(429, "rate_limit_error"), RateLimitExceeded),
        (bird_says(401, "auth_error"), AuthenticationFailed),
        (bird_says(422, "validation_error"), InvalidRequest),
        (bird_says(402, "billing_error"), VendorRejected),
        (bird_says(421, "misdirected_error", "E01010"), VendorRejected),
    )
    return SmsSubject(
        vendor=Bird(region=sandbox.region, credentials=sandbox.api_key, sender="Acme"),
        sandbox=sandbox,
        sent=lambda: len(sandbox.messages),
        refusals=refusals,
        option=("category", "marketing"),
        secret=sandbox.api_key,
        webhook_secret=sandbox.webhook_secret,
        strange_secret="whsec_" + b64encode(b"somebody else's long key").decode(),
        report=sandbox.report,
        unknown=reply({"id": "sms_1", "status": "teleported"}, 202),
    )
