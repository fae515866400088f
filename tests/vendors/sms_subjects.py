"""The vendors of text messages as the conformance kit takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.ref import Ref
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.sms_conformance import SmsSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.sms.twilio import TwilioSandbox
from moorage.testing.sandboxes.sms.vonage import VonageSandbox
from moorage.vendors.sms.twilio import Twilio
from moorage.vendors.sms.vonage import Vonage
from tests.vendors.subjects.amazon_sns import amazon_sns
from tests.vendors.subjects.bird import bird
from tests.vendors.subjects.plivo import plivo

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


class Refs:
    """As much of a wire as reading an answer takes."""

    def __init__(self, vendor: str) -> None:
        self._vendor = vendor

    def ref(self, name: str) -> Ref:
        """A thing of the account."""
        return Ref(self._vendor, "texts", name)


def twilio_says(code: int, status: int = 400) -> Response:
    """A refusal by Twilio, which quotes a number."""
    words = "The 'To' number +447700900000 is refused"
    return reply({"code": code, "message": words, "status": status}, status)


def vonage_says(status: str) -> Response:
    """A refusal by Vonage, which is HTTP 200 and quotes a number."""
    message = {"status": status, "error-text": "447700900000 is refused"}
    return reply({"message-count": "1", "messages": [message]})


def twilio() -> SmsSubject:
    """Twilio with a new sandbox."""
    sandbox = TwilioSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (twilio_says(20429, 429), RateLimitExceeded),
        (twilio_says(20003, 401), AuthenticationFailed),
        (twilio_says(21211), InvalidRequest),
        (twilio_says(21610), VendorRejected),
    )
    return SmsSubject(
        vendor=Twilio(
            account_sid=sandbox.account_sid, credentials=sandbox.auth_token, sender="+15005550006"
        ),
        sandbox=sandbox,
        sent=lambda: len(sandbox.messages),
        refusals=refusals,
        option=("RiskCheck", "disable"),
        secret=sandbox.auth_token,
        webhook_secret=sandbox.auth_token,
        report=sandbox.report,
        unknown=reply({"sid": "SM1", "status": "teleported"}, 201),
    )


def vonage() -> SmsSubject:
    """Vonage with a new sandbox."""
    sandbox = VonageSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (vonage_says("1"), RateLimitExceeded),
        (vonage_says("4"), AuthenticationFailed),
        (vonage_says("3"), InvalidRequest),
        (vonage_says("7"), VendorRejected),
        (vonage_says("99"), VendorRejected),
    )
    return SmsSubject(
        vendor=Vonage(api_key=sandbox.api_key, credentials=sandbox.api_secret, sender="Acme"),
        sandbox=sandbox,
        sent=lambda: len(sandbox.messages),
        refusals=refusals,
        option=("message-class", "1"),
        secret=sandbox.api_secret,
        webhook_secret=sandbox.signature_secret,
        report=sandbox.report,
    )


SUBJECTS = [amazon_sns, bird, plivo, twilio, vonage]
