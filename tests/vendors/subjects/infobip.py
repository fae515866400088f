"""Prepares Infobip and its sandbox for the conformance kit of SMS vendors."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.ref import Ref
from moorage.contracts.sms import Price, SmsStatus
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.sms_conformance import SmsSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.sms.infobip import InfobipSandbox
from moorage.vendors.sms.infobip import Infobip

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response

URL: Final = "https://shop.example/texts"

_FIRST: Final = "sandbox-00000000002"
"""The id of the first message that the sandbox takes."""


def infobip_error(status: int, code: str, words: str = "447700900000 is refused") -> Response:
    """Return an error response of Infobip with a phone number in it."""
    return reply({"errorCode": code, "description": words, "action": "", "violations": []}, status)


def infobip_status(group: str, name: str, **more: Any) -> Response:
    """Return a response to a message with the given status."""
    status = {"groupName": group, "name": name, "description": "447700900000 is refused"}
    receipt = {"messageId": "m-7", "status": status, "details": {"messageCount": 2}}
    return reply({"bulkId": "b-7", "messages": [receipt | more]})


def infobip() -> SmsSubject:
    """Return an Infobip test subject with a new sandbox."""
    sandbox = InfobipSandbox()
    rejection = infobip_status("REJECTED", "REJECTED_NOT_ENOUGH_CREDITS")
    refusals: tuple[tuple[Response, type[ConnectorError], str], ...] = (
        (infobip_error(429, "E429"), RateLimitExceeded, "E429"),
        (infobip_error(401, "E401"), AuthenticationFailed, "E401"),
        (infobip_error(403, "E403"), AuthenticationFailed, "E403"),
        (infobip_error(400, "E400"), InvalidRequest, "E400"),
        (rejection, VendorRejected, "REJECTED_NOT_ENOUGH_CREDITS"),
    )
    return SmsSubject(
        vendor=Infobip(
            base_url=f"https://{sandbox.hosts[0]}",
            credentials=sandbox.api_key,
            sender="InfoSMS",
            whatsapp_sender="+15005550006",
            rcs_sender="AcmeAgent",
            pin_application="2FA1",
            pin_message="M1",
        ),
        sandbox=sandbox,
        sent=lambda: len(sandbox.messages),
        refusals=refusals,
        option=("sender", "Acme"),
        arrives=("messages.sender", "Acme"),
        secret=sandbox.api_key,
        webhook_secret=sandbox.webhook_password,
        strange_secret="another:secret",
        report=sandbox.report,
        delivered="DELIVERED_TO_HANDSET",
        read="SEEN",
        unknown=infobip_status("TELEPORTED", "TELEPORTED_TO_MARS"),
        requests=(
            (
                {
                    "sender": "+15005550009",
                    "callback_url": URL,
                    "validity": timedelta(minutes=10),
                    "reference": "INV-7",
                },
                {
                    "messages.destinations.to": "447700900000",
                    "messages.sender": "15005550009",
                    "messages.content.text": "Your code is 1234.",
                    "messages.webhooks.delivery.url": URL,
                    "messages.webhooks.delivery.intermediateReport": True,
                    "messages.webhooks.contentType": "application/json",
                    "messages.webhooks.callbackData": "INV-7",
                    "messages.options.validityPeriod.amount": 600,
                    "messages.options.validityPeriod.timeUnit": "SECONDS",
                    "messages.destinations.messageId": None,
                    "options": None,
                },
            ),
            (
                {},
                {
                    "messages.sender": "InfoSMS",
                    "messages.webhooks": None,
                    "messages.options": None,
                },
            ),
        ),
        answers=(
            (
                "send",
                infobip_status("PENDING", "PENDING_ACCEPTED"),
                {
                    "ref": Ref("infobip", "texts", "m-7"),
                    "status": SmsStatus.QUEUED,
                    "vendor_status": "PENDING_ACCEPTED",
                    "segments": 2,
                },
            ),
            (
                "get",
                reply(
                    {
                        "results": [
                            {
                                "messageId": _FIRST,
                                "bulkId": "b-7",
                                "messageCount": 3,
                                "price": {"pricePerMessage": 0.0071, "currency": "EUR"},
                                "status": {
                                    "groupName": "UNDELIVERABLE",
                                    "name": "UNDELIVERABLE_NOT_DELIVERED",
                                },
                                "error": {
                                    "name": "EC_UNKNOWN_SUBSCRIBER",
                                    "description": "Unknown Subscriber",
                                },
                            }
                        ]
                    }
                ),
                {
                    "ref": Ref("infobip", "texts", _FIRST),
                    "status": SmsStatus.UNDELIVERED,
                    "vendor_status": "UNDELIVERABLE_NOT_DELIVERED",
                    "segments": 3,
                    "price": Price(Decimal("0.0213"), "EUR"),
                    "error_code": "EC_UNKNOWN_SUBSCRIBER",
                    "error_message": "Unknown Subscriber",
                },
            ),
            (
                "cancel",
                reply({"bulkId": "b-7", "status": "CANCELED"}),
                {
                    "ref": Ref("infobip", "texts", "b-7"),
                    "status": SmsStatus.CANCELED,
                    "vendor_status": "CANCELED",
                },
            ),
            (
                "check_balance",
                reply({"balance": -1.2345, "currency": "EUR"}),
                {"amount": Price(Decimal("-1.2345"), "EUR")},
            ),
        ),
        words={
            "PENDING_ACCEPTED": SmsStatus.QUEUED,
            "PENDING_ENROUTE": SmsStatus.SENT,
            "PENDING_WAITING_DELIVERY": SmsStatus.SENT,
            "DELIVERED_TO_OPERATOR": SmsStatus.SENT,
            "UNDELIVERABLE_NOT_DELIVERED": SmsStatus.UNDELIVERED,
            "EXPIRED_EXPIRED": SmsStatus.EXPIRED,
            "REJECTED_NETWORK": SmsStatus.REJECTED,
        },
    )
