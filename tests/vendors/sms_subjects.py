"""Test subjects of Twilio and Vonage for the conformance kit of SMS vendors."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from moorage.contracts.ref import Ref
from moorage.contracts.sms import LineType, Price, SmsStatus
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
from tests.vendors.subjects.infobip import infobip
from tests.vendors.subjects.messagemedia import messagemedia
from tests.vendors.subjects.plivo import plivo
from tests.vendors.subjects.sinch import sinch
from tests.vendors.subjects.telnyx import telnyx

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response

URL: Final = "https://shop.example/texts"
PICTURE: Final = "https://shop.example/picture.png"


class Refs:
    """A stand-in for an account: it creates the references that are needed to read a response."""

    def __init__(self, vendor: str) -> None:
        self._vendor = vendor

    def ref(self, name: str) -> Ref:
        """Return a reference with the given id in the test account."""
        return Ref(self._vendor, "texts", name)


def twilio_error(code: int, status: int = 400) -> Response:
    """Return an error response of Twilio that contains a phone number."""
    words = "The 'To' number +447700900000 is refused"
    return reply({"code": code, "message": words, "status": status}, status)


def vonage_error(status: str) -> Response:
    """Return an error response of Vonage, with status 200 and a phone number in it."""
    message = {"status": status, "error-text": "447700900000 is refused"}
    return reply({"message-count": "1", "messages": [message]})


def twilio() -> SmsSubject:
    """Return a Twilio test subject with a new sandbox."""
    sandbox = TwilioSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError], str], ...] = (
        (twilio_error(20429, 429), RateLimitExceeded, "20429"),
        (twilio_error(20003, 401), AuthenticationFailed, "20003"),
        (twilio_error(21211), InvalidRequest, "21211"),
        (twilio_error(21610), VendorRejected, "21610"),
    )
    return SmsSubject(
        vendor=Twilio(
            account_sid=sandbox.account_sid,
            credentials=sandbox.auth_token,
            sender="+15005550006",
            whatsapp_sender="+15005550006",
            rcs_sender="acme_agent",
            verify_service=sandbox.verify_service,
        ),
        sandbox=sandbox,
        sent=lambda: len(sandbox.messages),
        refusals=refusals,
        option=("RiskCheck", "disable"),
        template="HX" + "0" * 32,
        read="read",
        secret=sandbox.auth_token,
        webhook_secret=sandbox.auth_token,
        report=sandbox.report,
        unknown=reply({"sid": "SM1", "status": "teleported"}, 201),
        requests=(
            (
                {"sender": "+15005550009", "callback_url": URL, "validity": timedelta(minutes=10)},
                {
                    "To": "+447700900000",
                    "From": "+15005550009",
                    "Body": "Your code is 1234.",
                    "StatusCallback": URL,
                    "ValidityPeriod": "600",
                    "SendAt": None,
                    "ScheduleType": None,
                    "MessagingServiceSid": None,
                },
            ),
            (
                {"sender_pool": "MG1", "media": (PICTURE,)},
                {"MessagingServiceSid": "MG1", "From": None, "MediaUrl": PICTURE},
            ),
        ),
        answers=(
            (
                "get",
                reply(
                    {
                        "sid": "SM7",
                        "status": "undelivered",
                        "num_segments": "3",
                        "price": "-0.02250",
                        "price_unit": "usd",
                        "error_code": 30003,
                        "error_message": "Unreachable destination handset",
                    }
                ),
                {
                    "ref": Ref("twilio", "texts", "SM7"),
                    "status": SmsStatus.UNDELIVERED,
                    "vendor_status": "undelivered",
                    "segments": 3,
                    "price": Price(Decimal("0.02250"), "USD"),
                    "error_code": "30003",
                    "error_message": "Unreachable destination handset",
                },
            ),
            (
                "send",
                reply({"sid": "SM8", "status": "accepted"}, 201),
                {"status": SmsStatus.QUEUED, "segments": None, "price": None, "error_code": None},
            ),
            (
                "validate_number",
                reply(
                    {
                        "valid": False,
                        "phone_number": "+4477009000",
                        "validation_errors": ["TOO_SHORT", "NOT_A_NUMBER"],
                    }
                ),
                {"valid": False, "number": None, "reasons": ("TOO_SHORT", "NOT_A_NUMBER")},
            ),
            (
                "validate_number",
                reply(
                    {
                        "valid": True,
                        "phone_number": "+447700900000",
                        "country_code": "GB",
                        "national_format": "07700 900000",
                        "line_type_intelligence": {"type": "fixedVoip", "carrier_name": "Isle"},
                    }
                ),
                {
                    "valid": True,
                    "number": "+447700900000",
                    "country": "GB",
                    "national": "07700 900000",
                    "line": LineType.VOIP,
                    "carrier": "Isle",
                    "reasons": (),
                },
            ),
            (
                "check_balance",
                reply({"balance": "-1.2345", "currency": "eur"}),
                {"amount": Price(Decimal("-1.2345"), "EUR")},
            ),
        ),
        words={
            "accepted": SmsStatus.QUEUED,
            "sending": SmsStatus.QUEUED,
            "sent": SmsStatus.SENT,
            "undelivered": SmsStatus.UNDELIVERED,
            "failed": SmsStatus.FAILED,
            "canceled": SmsStatus.CANCELED,
            "read": SmsStatus.READ,
        },
    )


def vonage() -> SmsSubject:
    """Return a Vonage test subject with a new sandbox."""
    sandbox = VonageSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError], str], ...] = (
        (vonage_error("1"), RateLimitExceeded, "1"),
        (vonage_error("4"), AuthenticationFailed, "4"),
        (vonage_error("3"), InvalidRequest, "3"),
        (vonage_error("7"), VendorRejected, "7"),
        (vonage_error("99"), VendorRejected, "99"),
    )
    return SmsSubject(
        vendor=Vonage(
            api_key=sandbox.api_key, credentials=sandbox.api_secret, sender="Acme", brand="Acme"
        ),
        sandbox=sandbox,
        sent=lambda: len(sandbox.messages),
        refusals=refusals,
        option=("message-class", "1"),
        secret=sandbox.api_secret,
        webhook_secret=sandbox.signature_secret,
        report=sandbox.report,
        requests=(
            (
                {
                    "sender": "+15005550009",
                    "callback_url": URL,
                    "validity": timedelta(minutes=10),
                    "reference": "INV-7",
                },
                {
                    "to": "447700900000",
                    "from": "15005550009",
                    "text": "Your code is 1234.",
                    "type": "text",
                    "callback": URL,
                    "ttl": "600000",
                    "client-ref": "INV-7",
                },
            ),
            ({}, {"from": "Acme", "callback": None, "ttl": None, "client-ref": None}),
        ),
        answers=(
            (
                "send",
                reply(
                    {
                        "message-count": "2",
                        "messages": [
                            {"status": "0", "message-id": "A1", "message-price": "0.03330000"},
                            {"status": "0", "message-id": "A2", "message-price": "0.03330000"},
                        ],
                    }
                ),
                {
                    "ref": Ref("vonage", "texts", "A1"),
                    "status": SmsStatus.QUEUED,
                    "vendor_status": "0",
                    "parts": ("A1", "A2"),
                    "segments": 2,
                    "price": Price(Decimal("0.0666"), "EUR"),
                    "error_code": None,
                },
            ),
            (
                "send",
                reply(
                    {
                        "message-count": "2",
                        "messages": [
                            {"status": "0", "message-id": "A1", "message-price": "0.03330000"},
                            {"status": "9", "error-text": "Quota Exceeded - rejected"},
                        ],
                    }
                ),
                {
                    "status": SmsStatus.FAILED,
                    "vendor_status": "9",
                    "parts": ("A1",),
                    "segments": 2,
                    "price": Price(Decimal("0.0333"), "EUR"),
                    "error_code": "9",
                    "error_message": "Quota Exceeded - rejected",
                },
            ),
            (
                "validate_number",
                reply(
                    {
                        "status": 0,
                        "status_message": "Success",
                        "international_format_number": "447700900000",
                        "national_format_number": "07700 900000",
                        "country_code": "GB",
                        "current_carrier": {"name": "Isle", "network_type": "landline_tollfree"},
                    }
                ),
                {
                    "valid": True,
                    "number": "+447700900000",
                    "country": "GB",
                    "national": "07700 900000",
                    "line": LineType.OTHER,
                    "carrier": "Isle",
                    "reasons": (),
                },
            ),
            (
                "validate_number",
                reply({"status": 3, "status_message": "Invalid number"}),
                {"valid": False, "number": None, "reasons": ("Invalid number",)},
            ),
            (
                "check_balance",
                reply({"value": 3.14159, "autoReload": False}),
                {"amount": Price(Decimal("3.14159"), "EUR")},
            ),
        ),
        words={
            "accepted": SmsStatus.SENT,
            "buffered": SmsStatus.SENT,
            "expired": SmsStatus.EXPIRED,
            "failed": SmsStatus.FAILED,
            "rejected": SmsStatus.REJECTED,
        },
    )


SUBJECTS = [amazon_sns, bird, infobip, messagemedia, plivo, sinch, telnyx, twilio, vonage]
