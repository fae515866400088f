"""Request bodies and responses for verification codes at Infobip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.verification import Verification, VerificationRequest, VerificationStatus
from moorage.vendors.sms._verification import needed_option

if TYPE_CHECKING:
    from moorage.vendors.sms.infobip import Infobip

_NOT_SENT: Final = "MESSAGE_NOT_SENT"
_ENDED_PINS: Final = ("TTL_EXPIRED", "NO_MORE_PIN_ATTEMPTS")


def _code_status(fields: sdk.Answer) -> VerificationStatus:
    is_lost = fields.text("smsStatus") == _NOT_SENT
    return VerificationStatus.ENDED if is_lost else VerificationStatus.PENDING


def pin_status(fields: sdk.Answer) -> VerificationStatus:
    """The verification's status after Infobip checked a code."""
    is_verified = fields.flag("verified")
    if is_verified is None:
        return VerificationStatus.UNKNOWN
    if is_verified:
        return VerificationStatus.APPROVED
    has_ended = fields.text("pinError") in _ENDED_PINS or fields.integer("attemptsRemaining") == 0
    return VerificationStatus.ENDED if has_ended else VerificationStatus.PENDING


CODE: Final = sdk.Reading(
    Verification,
    ref=sdk.ref_at("pinId"),
    status=_code_status,
    vendor_status=sdk.text("smsStatus", "callStatus"),
)
"""The response to a request that sends a code."""


def code_body(vendor: Infobip, request: VerificationRequest) -> dict[str, str | None]:
    """The body that sends a code."""
    application = needed_option(
        vendor.pin_application, "pin_application", "Infobip", "the id of a 2FA application"
    )
    template = needed_option(
        vendor.pin_message, "pin_message", "Infobip", "the id of one of its message templates"
    )
    return {
        "applicationId": application,
        "messageId": template,
        "to": request.to.removeprefix("+"),
    }


def pin_body(_: Infobip, __: sdk.Ref, *, code: sdk.Secret) -> dict[str, str]:
    """The body that checks an entered code."""
    return {"pin": code.reveal()}
