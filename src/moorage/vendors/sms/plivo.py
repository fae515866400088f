"""Plivo: text messages, number look-ups and verification codes.

Messages use version 1 of the API with JSON, look-ups use another host, both with basic
authentication. Plivo takes no idempotency key, so a message that may have been sent is not sent
again. Errors have a text but no code.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.sms import (
    Balance,
    LineType,
    NumberCheck,
    SmsCapability,
    SmsEvent,
    SmsMessage,
    SmsReceipt,
    SmsStatus,
    check_number,
)
from moorage.contracts.verification import (
    Verification,
    VerificationChannel,
    VerificationRequest,
    VerificationStatus,
)
from moorage.vendors.sms._common import international, price, sender_of, without_numbers
from moorage.vendors.sms._verification import (
    CodeMaskingClassifier,
    check_same_number,
    read_fields,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATUSES: Final = sdk.same(
    SmsStatus, "queued sent delivered read undelivered failed rejected received"
)
_LINES: Final = sdk.same(LineType, "mobile voip") | {
    "fixed": LineType.LANDLINE,
    "toll-free": LineType.OTHER,
}
_NO_ERROR: Final = ("000",)
_MOST_MEDIA: Final = 10
_NOT_FOUND: Final = 404
_SESSIONS: Final = "/v1/Account/{auth_id}/Verify/Session/"
_ENDED_SESSIONS: Final = ("verified", "expired")
_CHANNELS: Final = {VerificationChannel.SMS: "sms", VerificationChannel.CALL: "voice"}
_SCHEMES: Final = {3: "plivo", 2: "plivo-v2"}
"""Signature schemes by version."""


def message_body(vendor: Plivo, message: SmsMessage) -> dict[str, Any]:
    """The body that sends a message."""
    body: dict[str, Any] = {"dst": message.to.removeprefix("+"), "text": message.text or None}
    if message.sender_pool is None:
        body["src"] = sender_of(message, vendor.sender, "Plivo").removeprefix("+")
    else:
        body["powerpack_uuid"] = message.sender_pool
    if message.media:
        body |= {"type": "mms", "media_urls": list(message.media)}
    if message.callback_url is not None:
        body |= {"url": message.callback_url, "method": "POST"}
    if message.validity is not None:
        body["message_expiry"] = int(message.validity.total_seconds())
    return body


def _code_body(vendor: Plivo, request: VerificationRequest) -> dict[str, str | None]:
    return {
        "recipient": request.to.removeprefix("+"),
        "channel": _CHANNELS[request.channel],
        "app_uuid": vendor.verify_app,
    }


def _check_body(_: Plivo, __: sdk.Ref, *, code: sdk.Secret) -> dict[str, str]:
    return {"otp": code.reveal()}


def _first_id(fields: sdk.Answer) -> str | None:
    return next(iter(fields.texts("message_uuid")), None)


def _is_incoming(fields: sdk.Answer) -> bool:
    # A received MMS may have no text.
    return fields.text("Status") is None


def _media(fields: sdk.Answer) -> tuple[str, ...]:
    """The media URLs of a received message, whose numbers begin with 0 or 1."""
    urls = [fields.text(f"Media{number}") for number in range(_MOST_MEDIA + 1)]
    return tuple(url for url in urls if url is not None)


def _unknown_number(refusal: sdk.VendorRejected) -> NumberCheck | None:
    if refusal.status != _NOT_FOUND or refusal.vendor_code is None:
        return None
    return NumberCheck(number=None, valid=False, reasons=(refusal.vendor_code,))


@attrs.frozen(kw_only=True)
class Plivo(sdk.ApiVendor):
    """An account at Plivo.

    Attributes:
        auth_id: id of the account, which begins with MA, or SA for a subaccount.
        credentials: auth token; by default the credential provider supplies `Credentials`.
        sender: sender of messages that name none.
        verify_app: UUID of the Verify application for verification codes; by default the account's
            default application.
        webhook_version: required version of webhook signatures: 3, or 2, which does not cover the
            content.
        base_url, lookups_url: URLs of Plivo.
    """

    name = "plivo"
    kinds = ("sms",)
    api_version = "v1"
    capabilities = frozenset(SmsCapability) - sdk.members_of(
        SmsCapability, "cancel opt_outs rcs scheduled sms_fallback templates whatsapp"
    )
    limits: ClassVar[Mapping[str, int]] = {"text": 1600, "media": _MOST_MEDIA}
    webhook = "plivo"

    urls: ClassVar[Mapping[str, str]] = {"": "base_url", "lookups": "lookups_url"}
    auth = sdk.basic("auth_id")
    ping_path = "/v1/Account/{auth_id}/"
    refusals = CodeMaskingClassifier(
        sdk.Refusals(
            vendor="Plivo",
            statuses=sdk.error_statuses("400 405 422"),
            # Plivo also responds with 403 for a country that the account may not send to.
            reading={403: sdk.AuthenticationFailed},
            mask=without_numbers,
        )
    )

    auth_id: str = attrs.field(
        validator=sdk.matches(
            "(?:MA|SA)[A-Z0-9]{18}",
            problem="The auth_id is not the auth id of a Plivo account.",
            remedy="Set MA, or SA for a subaccount, and the 18 letters and digits that follow.",
        )
    )
    sender: str | None = None
    verify_app: str | None = None
    webhook_version: int = sdk.choice(
        3,
        *_SCHEMES,
        problem="Plivo's webhooks do not have signatures of this version.",
        remedy="Set 3, or 2 if the account's webhooks have no signatures of version 3.",
    )
    base_url: str = "https://api.plivo.com"
    lookups_url: str = "https://lookup.plivo.com"

    send = sdk.post(
        "/v1/Account/{auth_id}/Message/",
        json=message_body,
        reads=sdk.Reading(
            SmsReceipt,
            ref=sdk.ref_at(row=_first_id, name="message_uuid"),
            status=SmsStatus.QUEUED,
            vendor_status=sdk.text("message"),
        ),
    )
    get = sdk.get(
        "/v1/Account/{auth_id}/Message/{id}/",
        reads=sdk.Reading(
            SmsReceipt,
            ref=sdk.ref_at("message_uuid"),
            # For a received message, "delivered" means that it was delivered to us.
            status=sdk.when(
                lambda fields: fields.text("message_direction") == "inbound",
                SmsStatus.RECEIVED,
                sdk.word("message_state", of=_STATUSES, otherwise=SmsStatus.UNKNOWN),
            ),
            vendor_status=sdk.text("message_state"),
            segments=sdk.integer("units"),
            price=price("total_amount", "USD"),
            error_code=sdk.text("error_code", none=_NO_ERROR),
            error_message=sdk.text("error_message"),
        ),
    )
    validate_number = sdk.get(
        "/v1/Number/{id}",
        to="lookups",
        query={"type": "carrier"},
        # The number is sent to Plivo in international form, whatever the country.
        check=partial(check_number, field="number"),
        refused=_unknown_number,
        reads=sdk.Reading(
            NumberCheck,
            number=sdk.needed(sdk.text("format.e164", "phone_number"), "phone_number"),
            valid=True,
            country=sdk.text("country.iso2"),
            national=sdk.text("format.national"),
            line=sdk.word("carrier.type", of=_LINES, otherwise=LineType.UNKNOWN),
            carrier=sdk.text("carrier.name"),
        ),
    )
    check_balance = sdk.get(
        "/v1/Account/{auth_id}/",
        reads=sdk.Reading(Balance, amount=sdk.needed(price("cash_credits", "USD"), "cash_credits")),
    )
    start_verification = sdk.post(
        _SESSIONS,
        json=_code_body,
        reads=sdk.Reading(
            Verification,
            ref=sdk.ref_at("session_uuid"),
            status=VerificationStatus.PENDING,
            vendor_status=sdk.text("message"),
        ),
    )
    post_check = sdk.post(f"{_SESSIONS}{{id}}/", json=_check_body, reads=read_fields)
    get_session = sdk.get(f"{_SESSIONS}{{id}}/", reads=read_fields)

    event_reading = sdk.Reading(
        SmsEvent,
        supplied=("id",),
        ref=sdk.ref_at("MessageUUID"),
        status=sdk.when(
            _is_incoming,
            SmsStatus.RECEIVED,
            sdk.word("Status", of=_STATUSES, otherwise=SmsStatus.UNKNOWN),
        ),
        vendor_status=sdk.text("Status"),
        sender=sdk.when(_is_incoming, international("From")),
        to=sdk.when(_is_incoming, international("To")),
        # An MMS has its text in the field `Body`.
        text=sdk.text("Text", "Body"),
        media=_media,
        error_code=sdk.text("ErrorCode", none=_NO_ERROR),
    )

    async def check_verification(
        self, wire: sdk.Wire, ref: sdk.Ref, code: sdk.Secret, /, *, to: str
    ) -> Verification:
        """Check a code, after getting the phone number and state of the verification."""
        try:
            session = await self.get_session(wire, ref)
        except sdk.VendorRejected as refusal:
            if refusal.status != _NOT_FOUND:
                raise
            return refused(ref, refusal, VerificationStatus.ENDED)
        check_same_number(session.text("recipient"), to, "Plivo")
        vendor_status = session.text("status")
        if vendor_status in _ENDED_SESSIONS:
            status = VerificationStatus.ENDED
            return Verification(
                ref=ref, status=status, vendor_status=vendor_status, raw=session.raw
            )
        try:
            fields = await self.post_check(wire, ref, code=code)
        except sdk.InvalidRequest as refusal:
            return refused(ref, refusal, VerificationStatus.PENDING)
        return Verification(
            ref=ref,
            status=VerificationStatus.APPROVED,
            vendor_status=fields.text("message"),
            raw=fields.raw,
        )

    def webhook_verification(self) -> Mapping[str, Any]:
        """The signature scheme of the required version."""
        return {"scheme": _SCHEMES[self.webhook_version]}
