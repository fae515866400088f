"""Vonage: text messages, number look-ups and verification codes.

Messages use the SMS API, which always responds with HTTP 200 and reports every part of a message
separately. Look-ups use Number Insight, at its standard level. The API key and its secret are sent
as basic authentication. Vonage takes no idempotency key, so a message that may have been sent is
not sent again. It can neither query nor cancel a message: delivery receipts report the outcome.

Verification codes use version 2 of Verify, which answers with HTTP statuses. Vonage ends Number
Insight in February 2027.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.sms import (
    Balance,
    LineType,
    NumberCheck,
    Price,
    SmsCapability,
    SmsEvent,
    SmsMessage,
    SmsReceipt,
    SmsStatus,
    is_gsm,
)
from moorage.contracts.verification import (
    Verification,
    VerificationChannel,
    VerificationRequest,
    VerificationStatus,
)
from moorage.vendors.sms._common import (
    as_price,
    international,
    price,
    refusal,
    sender_of,
    without_numbers,
)
from moorage.vendors.sms._verification import (
    CodeMaskingClassifier,
    needed_option,
    read_fields,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendors.sms._common import Kind

_INSIGHT: Final = "insight"
_LOOK_UP: Final = "/ni/standard/json"
_VERIFY: Final = "/v2/verify"
_TAKEN_STATUS: Final = "0"
_CURRENCY: Final = "EUR"
_STATUSES: Final = {
    **sdk.same(SmsStatus, "delivered expired failed rejected"),
    **sdk.words(SmsStatus.SENT, "accepted buffered"),
}
_LINES: Final = {
    **sdk.same(LineType, "mobile landline"),
    **sdk.words(LineType.OTHER, "landline_premium landline_tollfree pager"),
    "virtual": LineType.VOIP,
}
_KINDS: Final[Mapping[str, Kind]] = {
    **sdk.words(sdk.RateLimitExceeded, "1 10"),
    **sdk.words(sdk.InvalidRequest, "2 3 6 12 15 22 23"),
    **sdk.words(sdk.AuthenticationFailed, "4 14 32"),
    "5": sdk.VendorFailed,
}
"""Errors by the status of a message; any other than 0 is a refusal."""
_INSIGHTS: Final[Mapping[str, Kind]] = {
    "1": sdk.RateLimitExceeded,
    "4": sdk.AuthenticationFailed,
    "5": sdk.VendorFailed,
    "999": sdk.InvalidRequest,
}
_VERIFICATIONS: Final = {"completed": VerificationStatus.APPROVED}
_CHANNELS: Final = {VerificationChannel.SMS: "sms", VerificationChannel.CALL: "voice"}
_WRONG_CODE: Final = "Invalid Code"
_ENDED_STATUSES: Final = (404, 410)
"""The statuses for a verification that is over or unknown, and for one with too many checks."""
_NO_NUMBER: Final = "3"
_LOOKED_UP: Final = frozenset({"0", _NO_NUMBER, "43", "44", "45"})
"""Successful look-ups; the last three lack a part that could not be read at that moment."""
_NUMBER_WORDS: Final = sdk.text("status_message", "error_text")


def _read_problem(response: sdk.Response) -> tuple[str | None, str | None]:
    """Return the code and text of an error response of Vonage's Verify API."""
    error = sdk.error_answer(response)
    return error.text("title"), sdk.masked_words(error.text("detail"))


_VERIFY_REFUSALS: Final = sdk.Refusals(
    vendor="Vonage",
    statuses=sdk.error_statuses("400 422", login="401 403"),
    read=_read_problem,
    mask=without_numbers,
)


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a response's body; Vonage nearly always responds with status 200."""
    if request.path.startswith(_VERIFY):
        return _VERIFY_REFUSALS(request, response)
    if not sdk.is_success(response.status):
        return None
    try:
        body = sdk.read_answer(response)
    except sdk.VendorFailed:
        return None
    if request.path == _LOOK_UP:
        status = body.text("status")
        if status is None or status in _LOOKED_UP:
            return None
        kind = _INSIGHTS.get(status, sdk.VendorRejected)
        return refusal(kind, "Vonage", response, status, _NUMBER_WORDS(body))
    parts = list(body.objects("messages"))
    status = _status(parts[0]) if parts else None
    # If some part was accepted, the request had an effect, so the whole is not a refusal.
    if status is None or any(_status(part) == _TAKEN_STATUS for part in parts):
        return None
    kind = _KINDS.get(status, sdk.VendorRejected)
    return refusal(kind, "Vonage", response, status, parts[0].text("error-text"))


def message_form(vendor: Vonage, message: SmsMessage) -> dict[str, Any]:
    """The fields of the form that sends a message."""
    validity = message.validity
    return {
        "to": message.to.removeprefix("+"),
        "from": sender_of(message, vendor.sender, "Vonage").removeprefix("+"),
        "text": message.text,
        "type": "text" if is_gsm(message.text) else "unicode",
        "callback": message.callback_url,
        "client-ref": message.reference,
        "ttl": None if validity is None else int(validity.total_seconds()) * 1000,
    }


def read_parts(ref: sdk.MakeRef, response: sdk.Response) -> SmsReceipt:
    """Parse the parts of a message, at least one of which was accepted."""
    body = sdk.read_answer(response)
    parts = list(body.objects("messages"))
    accepted_parts = [part for part in parts if _status(part) == _TAKEN_STATUS]
    ids = tuple(name for part in accepted_parts if (name := part.text("message-id")) is not None)
    if not ids or len(ids) < len(accepted_parts):
        raise sdk.malformed(response, "message-id")
    refused_part = next((part for part in parts if _status(part) != _TAKEN_STATUS), None)
    return SmsReceipt(
        ref=ref(ids[0]),
        status=SmsStatus.QUEUED if refused_part is None else SmsStatus.FAILED,
        vendor_status=_TAKEN_STATUS if refused_part is None else _status(refused_part),
        parts=ids,
        segments=len(parts),
        price=_price(accepted_parts),
        error_code=None if refused_part is None else _status(refused_part),
        error_message=None if refused_part is None else refused_part.text("error-text"),
        raw=body.raw,
    )


def _status(part: sdk.Answer) -> str | None:
    return part.text("status")


def _price(parts: list[sdk.Answer]) -> Price | None:
    prices = [part.decimal("message-price") for part in parts]
    known_prices = [price for price in prices if price is not None]
    return as_price(sum(known_prices), _CURRENCY) if len(known_prices) == len(parts) else None


def _number(fields: sdk.Answer) -> str | None:
    number = fields.text("international_format_number")
    return f"+{number}" if number else None


def _is_valid(fields: sdk.Answer) -> bool | None:
    status = fields.text("status")
    return status != _NO_NUMBER if status in _LOOKED_UP else None


def _reasons(fields: sdk.Answer) -> tuple[str | None, ...]:
    return (_NUMBER_WORDS(fields) or fields.text("status"),)


def _look_up_query(_: Vonage, number: str, *, country: str | None) -> dict[str, str | None]:
    return {"number": number.removeprefix("+"), "country": country}


def _code_body(vendor: Vonage, request: VerificationRequest) -> dict[str, Any]:
    channel = {"channel": _CHANNELS[request.channel], "to": request.to.removeprefix("+")}
    meaning = "the sender name that recipients see, of at most 16 letters"
    brand = needed_option(vendor.brand, "brand", "Vonage", meaning)
    return {"brand": brand, "workflow": [channel]}


def _check_body(_: Vonage, __: sdk.Ref, *, code: sdk.Secret) -> dict[str, str]:
    return {"code": code.reveal()}


def _is_incoming(fields: sdk.Answer) -> bool:
    return fields.text("status") is None and fields.text("type") is not None


@attrs.frozen(kw_only=True)
class Vonage(sdk.ApiVendor):
    """An account at Vonage.

    Attributes:
        api_key: API key of the account.
        credentials: API secret; by default the credential provider supplies `Credentials`.
        sender: sender of messages that name none.
        brand: name in verification codes, of at most 16 letters.
        base_url, insight_url: URLs of Vonage.
    """

    name = "vonage"
    kinds = ("sms",)
    capabilities = sdk.members_of(
        SmsCapability,
        "callback validity validate_number carrier balance verification verification_call",
    )
    webhook = "vonage"

    urls: ClassVar[Mapping[str, str]] = {"": "base_url", _INSIGHT: "insight_url"}
    auth = sdk.basic("api_key")
    refusals = CodeMaskingClassifier(classify)
    ping_path = "/account/get-balance"

    api_key: str
    sender: str | None = None
    brand: str | None = None
    base_url: str = "https://rest.nexmo.com"
    insight_url: str = "https://api.nexmo.com"

    send = sdk.post("/sms/json", form=message_form, reads=read_parts)
    validate_number = sdk.get(
        _LOOK_UP,
        to=_INSIGHT,
        query=_look_up_query,
        reads=sdk.Reading(
            NumberCheck,
            number=sdk.when(_is_valid, _number),
            valid=sdk.needed(_is_valid, "status"),
            country=sdk.text("country_code"),
            national=sdk.text("national_format_number"),
            line=sdk.word("current_carrier.network_type", of=_LINES, otherwise=LineType.UNKNOWN),
            carrier=sdk.text("current_carrier.name"),
            reasons=sdk.when(_is_valid, (), _reasons),
        ),
    )
    check_balance = sdk.get(
        "/account/get-balance",
        reads=sdk.Reading(Balance, amount=sdk.needed(price("value", _CURRENCY), "value")),
    )
    start_verification = sdk.post(
        _VERIFY,
        to=_INSIGHT,
        json=_code_body,
        reads=sdk.Reading(
            Verification, ref=sdk.ref_at("request_id"), status=VerificationStatus.PENDING
        ),
    )
    post_check = sdk.post(f"{_VERIFY}/{{id}}", to=_INSIGHT, json=_check_body, reads=read_fields)
    event_reading = sdk.Reading(
        SmsEvent,
        supplied=("id",),
        ref=sdk.ref_at("messageId"),
        status=sdk.when(
            _is_incoming,
            SmsStatus.RECEIVED,
            sdk.word("status", of=_STATUSES, otherwise=SmsStatus.UNKNOWN),
        ),
        vendor_status=sdk.text("status"),
        at=sdk.time("message-timestamp"),
        sender=sdk.when(_is_incoming, international("msisdn")),
        to=sdk.when(_is_incoming, international("to")),
        text=sdk.text("text"),
        error_code=sdk.text("err-code", none=(_TAKEN_STATUS,)),
    )

    async def check_verification(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        code: sdk.Secret,
        /,
        *,
        to: str,  # noqa: ARG002 - Vonage does not say which number a code was sent to
    ) -> Verification:
        """Check a code."""
        try:
            fields = await self.post_check(wire, ref, code=code)
        except sdk.VendorRejected as refusal:
            if refusal.status in _ENDED_STATUSES:
                return refused(ref, refusal, VerificationStatus.ENDED)
            if refusal.vendor_code != _WRONG_CODE:
                raise
            return refused(ref, refusal, VerificationStatus.PENDING)
        vendor_status = fields.text("status")
        status = _VERIFICATIONS.get(vendor_status or "", VerificationStatus.UNKNOWN)
        return Verification(ref=ref, status=status, vendor_status=vendor_status, raw=fields.raw)
