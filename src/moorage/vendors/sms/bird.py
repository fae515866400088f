"""Bird, formerly MessageBird: text messages, number look-ups and verification codes.

Version 1 of the API, JSON with a key that belongs to a region. Bird replays its response to an
idempotency key, errors included, for about three hours. The status of messages arrives by webhooks,
at endpoints that are configured once for all messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.sms import (
    LineType,
    NumberCheck,
    SmsCapability,
    SmsEvent,
    SmsMessage,
    SmsReceipt,
    SmsStatus,
    check_number,
)
from moorage.contracts.verification import Verification, VerificationRequest, VerificationStatus
from moorage.vendors.sms import _bird_opt_outs as bird_opt_outs
from moorage.vendors.sms._common import price, refusal, sender_of
from moorage.vendors.sms._verification import CodeMaskingClassifier, read_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendors.sms._common import Kind


_MESSAGES: Final = "/v1/sms/messages"
_KEY: Final = 255
_EVENTS: Final = "sms."
_STATUSES: Final = {
    "accepted": SmsStatus.QUEUED,
    **sdk.same(
        SmsStatus,
        "scheduled sent delivered undelivered failed rejected canceled expired received",
    ),
}
_LINES: Final = {
    **sdk.same(LineType, "mobile voip"),
    "fixed_line": LineType.LANDLINE,
    **sdk.words(
        LineType.OTHER, "toll_free premium_rate satellite pager payphone m2m service other"
    ),
}
_VERIFICATIONS: Final = {
    "pending": VerificationStatus.PENDING,
    "verified": VerificationStatus.APPROVED,
    **sdk.words(VerificationStatus.ENDED, "failed expired canceled blocked"),
}
_NOT_FOUND: Final = 404
_KINDS: Final[Mapping[str, Kind]] = {
    **sdk.words(sdk.AuthenticationFailed, "auth_error permission_error"),
    **sdk.words(sdk.InvalidRequest, "bad_request_error payload_too_large_error validation_error"),
    "rate_limit_error": sdk.RateLimitExceeded,
    "too_early_error": sdk.VendorFailed,
}
"""Errors by the type that a response names."""
_STATUS_KINDS: Final[Mapping[int, Kind]] = {
    401: sdk.AuthenticationFailed,
    429: sdk.RateLimitExceeded,
}
"""Errors for unknown types, by status; any other status is a refusal."""
_KEY_IN_PROGRESS: Final = "E01004"
_KEY_OF_OTHER_REQUEST: Final = "E01005"


_KEYS: Final = sdk.VendorKeys(
    # Bird says roughly three hours.
    memory=2 * 3_600.0,
    repeat=sdk.RepeatedKey.REPLAYED,
    documentation=("https://bird.com/fr-fr/documentation/guides/idempotency/",),
    header="Idempotency-Key",
)


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for a response's type, which is more specific than the status."""
    if sdk.is_success(response.status) or response.status >= 500:
        return None
    error = sdk.error_answer(response).object("error")
    code, kind = error.text("code"), error.text("type")
    if kind is None:
        return None
    if code == _KEY_IN_PROGRESS:
        return sdk.IdempotencyInProgress("Bird is still working on a request with this key.")
    if code == _KEY_OF_OTHER_REQUEST:
        return sdk.IdempotencyConflict("Bird received this key before, with another request.")
    words = sdk.vendor_code_and_message(response)[1]
    error_type = _KINDS.get(kind, _STATUS_KINDS.get(response.status, sdk.VendorRejected))
    return refusal(error_type, "Bird", response, code or kind, words)


def message_body(vendor: Bird, message: SmsMessage) -> dict[str, Any]:
    """The body that sends a message."""
    reference = message.reference
    return {
        "to": message.to,
        "from": sender_of(message, vendor.sender, "Bird"),
        "text": message.text,
        "category": vendor.category,
        "metadata": None if reference is None else {"reference": reference},
    }


def _number_body(_: Bird, number: str, *, country: str | None) -> dict[str, str]:  # noqa: ARG001 - Bird is asked in international form, whatever the country
    return {"phone_number": check_number(number, "number")}


def _code_body(_: Bird, request: VerificationRequest) -> dict[str, Any]:
    return {"to": {"phone_number": request.to}, "options": {"channels": ["sms"]}}


def _check_body(_: Bird, to: str, *, code: sdk.Secret) -> dict[str, Any]:
    return {"to": {"phone_number": to}, "code": code.reveal()}


def _unusable_number(refusal: sdk.VendorRejected) -> NumberCheck | None:
    code, response = refusal.vendor_code, refusal.response
    if not isinstance(refusal, sdk.InvalidRequest) or code is None or response is None:
        return None
    error = sdk.error_answer(response).object("error")
    parameter_names = [
        error.text("param"),
        *(detail.text("param") for detail in error.objects("details")),
    ]
    if "phone_number" not in parameter_names:
        return None
    return NumberCheck(number=None, valid=False, reasons=(refusal.vendor_message or code,))


MESSAGE: Final = sdk.Reading(
    SmsReceipt,
    ref=sdk.ref_at("id"),
    status=sdk.word("status", of=_STATUSES, otherwise=SmsStatus.UNKNOWN),
    vendor_status=sdk.text("status"),
    segments=sdk.integer("segments.count"),
    price=price("cost.amount", "cost.currency_code"),
    error_code=sdk.text("last_error.code"),
    error_message=sdk.text("last_error.description"),
)
NUMBER: Final = sdk.Reading(
    NumberCheck,
    number=sdk.needed(sdk.text("phone_number"), "phone_number"),
    valid=True,
    country=sdk.text("country_code"),
    line=sdk.word("line_type", of=_LINES, otherwise=LineType.UNKNOWN),
    carrier=sdk.text("network_info.carrier_name"),
)
VERIFICATION: Final = sdk.Reading(
    Verification,
    ref=sdk.ref_at("id"),
    status=sdk.word("status", of=_VERIFICATIONS, otherwise=VerificationStatus.UNKNOWN),
    vendor_status=sdk.text("status"),
)
_EVENT: Final = sdk.Reading(
    SmsEvent,
    supplied=("id", "status", "vendor_status", "at", "sender"),
    ref=sdk.ref_at("sms_id"),
    text=sdk.text("text"),
    error_code=sdk.text("error.code"),
)


@attrs.frozen(kw_only=True)
class Bird(sdk.ApiVendor):
    """A workspace at Bird.

    Attributes:
        region: region of the workspace, such as `eu1`.
        credentials: API key; by default the credential provider supplies it.
        sender: sender of messages that name none.
        category: Bird's category of messages that name none: transactional, marketing,
            authentication or service.
        base_url: URL of Bird; by default that of the region.
    """

    name = "bird"
    kinds = ("sms",)
    api_version = "v1"
    capabilities = sdk.members_of(
        SmsCapability, "look_up validate_number carrier verification opt_outs"
    )
    limits: ClassVar[Mapping[str, int]] = {"segments": 12, "idempotency_key": _KEY}
    webhook = "standard-webhooks"
    idempotency = _KEYS

    urls: ClassVar[Mapping[str, str]] = {"": "_url"}
    refusals = CodeMaskingClassifier(classify)

    region: str = attrs.field(
        validator=sdk.matches(
            "[a-z]{2}[0-9]+",
            problem="Bird does not have this region.",
            remedy="Set the part of the API key between bk_ and the next _, such as eu1 or us1.",
        )
    )
    sender: str | None = None
    category: str = sdk.choice(
        "transactional",
        "transactional",
        "marketing",
        "authentication",
        "service",
        problem="Bird does not have this category.",
    )
    base_url: str | None = None

    @property
    def _url(self) -> str:
        return self.base_url or f"https://{self.region}.platform.bird.com"

    send = sdk.post(_MESSAGES, json=message_body, reads=MESSAGE)
    get = sdk.get(f"{_MESSAGES}/{{id}}", reads=MESSAGE)
    validate_number = sdk.post(
        "/v1/lookup/phone-number", json=_number_body, refused=_unusable_number, reads=NUMBER
    )
    start_verification = sdk.post("/v1/verify/verifications", json=_code_body, reads=VERIFICATION)
    post_check = sdk.post("/v1/verify/verifications/check", json=_check_body, reads=read_fields)

    opt_outs = staticmethod(bird_opt_outs.list_opt_outs)
    find_opt_outs = staticmethod(bird_opt_outs.opt_outs_of)
    remove_opt_out = staticmethod(bird_opt_outs.opt_in)

    async def check_verification(
        self, wire: sdk.Wire, ref: sdk.Ref, code: sdk.Secret, /, *, to: str
    ) -> Verification:
        """Check the code last sent to a number; an older verification has ended."""
        try:
            fields = await self.post_check(wire, to, code=code)
        except sdk.VendorRejected as refusal:
            if refusal.status != _NOT_FOUND:
                raise
            refusal_code = refusal.vendor_code
            return Verification(
                ref=ref, status=VerificationStatus.ENDED, vendor_status=refusal_code
            )
        state = fields.object("verification")
        status = _VERIFICATIONS.get(state.text("status") or "", VerificationStatus.UNKNOWN)
        if (status is VerificationStatus.APPROVED) != bool(fields.flag("success")):
            status = VerificationStatus.UNKNOWN
        if state.text("id") != ref.id:
            # A newer verification of the same number, or the verification of another number.
            status = VerificationStatus.ENDED
        return Verification(
            ref=ref,
            status=status,
            vendor_status=fields.text("reason") or state.text("status"),
            attempts_left=fields.integer("attempts_remaining"),
            raw=fields.raw,
        )

    def events(self, event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[SmsEvent, ...]:
        """Convert a webhook to an event of a sent or a received message."""
        if not event.vendor_type.startswith(_EVENTS):
            return ()
        fields, word = sdk.as_answer(event.data), event.vendor_type.removeprefix(_EVENTS)
        status = _STATUSES.get(word, SmsStatus.UNKNOWN)
        is_incoming = status is SmsStatus.RECEIVED
        return _EVENT.parse_if_complete(
            ref,
            fields,
            id=event.id,
            status=status,
            vendor_status=word,
            at=event.time,
            sender=fields.text("from") if is_incoming else None,
            to=fields.text("to") if is_incoming else None,
        )
