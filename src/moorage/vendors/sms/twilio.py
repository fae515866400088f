"""Twilio: text messages, templates by WhatsApp and RCS, number look-ups and verification codes.

Messages use the API of 2010-04-01, look-ups and Verify use version 2 of their APIs, all with forms
and basic authentication. Twilio takes no idempotency key, so a message that may have been sent is
not sent again.
"""

from __future__ import annotations

import json
import re
from datetime import UTC
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
)
from moorage.contracts.sms_templates import TemplateChannel, TemplateMessage
from moorage.contracts.verification import Verification, VerificationRequest, VerificationStatus
from moorage.vendors.sms._common import as_price, price, template_sender, without_numbers
from moorage.vendors.sms._verification import (
    CodeMaskingClassifier,
    check_same_number,
    needed_option,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_STATUSES: Final = {
    **sdk.same(SmsStatus, "scheduled sent delivered read undelivered failed canceled received"),
    **sdk.words(SmsStatus.QUEUED, "accepted queued sending"),
    "partially_delivered": SmsStatus.SENT,
    "receiving": SmsStatus.RECEIVED,
}
_LINES: Final = {
    **sdk.same(LineType, "mobile landline"),
    **sdk.words(LineType.VOIP, "fixedVoip nonFixedVoip"),
    **sdk.words(LineType.OTHER, "personal tollFree premium sharedCost uan voicemail pager"),
}
_SETTLED_CODE: Final = "30409"
_VERIFICATIONS: Final = {
    **sdk.same(VerificationStatus, "pending approved"),
    **sdk.words(VerificationStatus.ENDED, "canceled max_attempts_reached deleted failed expired"),
}
_ENDED_CODES: Final = ("20404", "60202")
"""The codes for a verification that Twilio has deleted, and for one with too many checks."""
_NUMBER_CODES: Final = "60202 60203"
"""The codes for too many checks or codes of one number, which do not concern other numbers."""
_TEMPLATE: Final = re.compile("HX[0-9a-fA-F]{32}")
_MESSAGE: Final = "/2010-04-01/Accounts/{account_sid}/Messages/{id}.json"


def message_form(vendor: Twilio, message: SmsMessage) -> dict[str, Any]:
    """The fields of the form that sends a message."""
    pool, send_time, validity = message.sender_pool, message.send_at, message.validity
    sender = message.sender or vendor.sender
    return {
        "To": message.to,
        "Body": message.text or None,
        **({"From": sender} if pool is None else {"MessagingServiceSid": pool}),
        "StatusCallback": message.callback_url,
        "SendAt": send_time and send_time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "ScheduleType": send_time and "fixed",
        "ValidityPeriod": None if validity is None else int(validity.total_seconds()),
        "MediaUrl": list(message.media),
    }


def template_form(vendor: Twilio, message: TemplateMessage) -> dict[str, Any]:
    """The fields of the form that sends a message from a template.

    A pool of senders gets a plain number for RCS: it tries RCS first, and then SMS.
    """
    pool, prefix = message.sender_pool, f"{message.channel}:"
    is_plain = pool is not None and message.channel is TemplateChannel.RCS
    usual_senders = {
        TemplateChannel.WHATSAPP: vendor.whatsapp_sender,
        TemplateChannel.RCS: vendor.rcs_sender,
    }
    origin = {"MessagingServiceSid": pool}
    if pool is None:
        sender = template_sender(message, usual_senders[message.channel], "Twilio")
        origin = {"From": prefix + sender.removeprefix(prefix)}
    return {
        "To": message.to if is_plain else prefix + message.to,
        **origin,
        "ContentSid": message.template,
        "ContentVariables": (
            # In a fixed order, so that a repeat with the same values has the same body.
            json.dumps(dict(message.variables), sort_keys=True) if message.variables else None
        ),
        "StatusCallback": message.callback_url,
    }


def check_message(message: SmsMessage) -> None:
    """Refuse to schedule a message without a messaging service: Twilio would send it at once."""
    has_service = message.sender_pool or "MessagingServiceSid" in message.extra.get("twilio", {})
    if message.send_at is not None and not has_service:
        raise sdk.InvalidData(
            "Twilio schedules only messages of a messaging service, and this one names none.",
            field="sender_pool",
            remedy="Set `sender_pool` to the SID of a messaging service, or leave out `send_at`.",
        )


def check_template(message: TemplateMessage) -> None:
    """Refuse a template that is not named by its SID, which Twilio would not find."""
    if _TEMPLATE.fullmatch(message.template) is None:
        raise sdk.InvalidData(
            "This is not the SID of a content template of Twilio.",
            field="template",
            remedy="Give HX with the 32 hexadecimal digits that follow.",
        )


def _price(fields: sdk.Answer) -> Price | None:
    """A message's price, which Twilio reports as a negative amount."""
    amount = as_price(fields.value("price"), fields.text("price_unit"))
    return None if amount is None else Price(abs(amount.amount), amount.currency)


def _code_form(_: Twilio, request: VerificationRequest) -> dict[str, str]:
    return {"To": request.to, "Channel": request.channel}


def _check_form(_: Twilio, ref: sdk.Ref, *, code: sdk.Secret) -> dict[str, str]:
    return {"VerificationSid": ref.id, "Code": code.reveal()}


def _look_up_query(_vendor: Twilio, _number: str, country: str | None) -> dict[str, str | None]:
    return {"Fields": "line_type_intelligence", "CountryCode": country}


def _auth(vendor: Twilio, secret: sdk.Secret) -> sdk.Credentials:
    """Basic authentication; the user name is the API key's id if there is one, or the account's."""
    return sdk.Credentials.basic(vendor.api_key or vendor.account_sid, secret)


_RECEIPT: Final = sdk.Reading(
    SmsReceipt,
    ref=sdk.ref_at("sid"),
    status=sdk.word("status", of=_STATUSES, otherwise=SmsStatus.UNKNOWN),
    vendor_status=sdk.text("status"),
    segments=sdk.integer("num_segments"),
    price=_price,
    error_code=sdk.text("error_code"),
    error_message=sdk.text("error_message"),
)
_VERIFICATION: Final = sdk.Reading(
    Verification,
    ref=sdk.ref_at("sid"),
    status=sdk.word("status", of=_VERIFICATIONS, otherwise=VerificationStatus.UNKNOWN),
    vendor_status=sdk.text("status"),
)
_EVENT_STATUS: Final = sdk.text("MessageStatus", "SmsStatus")
_MOST_MEDIA: Final = 10


def _is_incoming(fields: sdk.Answer) -> bool:
    return _EVENT_STATUS(fields) == "received"


def _without_channel(path: str) -> Callable[[sdk.Answer], str | None]:
    """Return a function that reads an address without its channel, such as 'whatsapp:'."""

    def read(fields: sdk.Answer) -> str | None:
        address = fields.text(path)
        for channel in TemplateChannel:
            address = address and address.removeprefix(f"{channel}:")
        return address

    return read


def _media(fields: sdk.Answer) -> tuple[str, ...]:
    """The media URLs of a received message, from numbered fields."""
    urls = [fields.text(f"MediaUrl{number}") for number in range(_MOST_MEDIA)]
    return tuple(url for url in urls if url is not None)


@attrs.frozen(kw_only=True)
class Twilio(sdk.ApiVendor):
    """An account at Twilio.

    Attributes:
        account_sid: SID of the account, which begins with AC.
        credentials: auth token, or the secret of an API key; by default the credential provider
            supplies `Credentials`.
        api_key: SID of the API key, if `credentials` is its secret.
        sender: sender of messages that name none.
        whatsapp_sender: number of the WhatsApp sender, for templates whose messages name no sender.
        rcs_sender: id of the RCS sender, for templates whose messages name no sender.
        verify_service: SID of the Verify service for verification codes, which begins with VA.
        base_url, lookups_url, verify_url: URLs of Twilio.
    """

    name = "twilio"
    kinds = ("sms",)
    api_version = "2010-04-01"
    capabilities = frozenset(SmsCapability) - sdk.members_of(SmsCapability, "opt_outs sms_fallback")
    limits: ClassVar[Mapping[str, int]] = {"text": 1600}
    webhook = "twilio"

    urls: ClassVar[Mapping[str, str]] = {
        "": "base_url",
        "lookups": "lookups_url",
        "verify": "verify_url",
    }
    auth = _auth
    ping_path = "/2010-04-01/Accounts/{account_sid}/Balance.json"
    refusals = CodeMaskingClassifier(
        sdk.Refusals(
            vendor="Twilio",
            codes={
                **sdk.words(sdk.RateLimitExceeded, "14107 20429 21611 60728 63017 63038"),
                **sdk.words(sdk.AuthenticationFailed, "20003 20005 20006 20008"),
                **sdk.words(sdk.VendorRejected, _NUMBER_CODES),
            },
            codes_at={
                400: sdk.words(
                    sdk.VendorRejected, f"21408 21608 21610 21612 21614 {_SETTLED_CODE}"
                ),
                429: sdk.words(sdk.RateLimitExceeded, "20003 20005 20006 20008"),
            },
            statuses=sdk.error_statuses("400", login="401 403"),
            needs_code=True,
            mask=without_numbers,
        )
    )

    account_sid: str = attrs.field(
        validator=sdk.matches(
            "AC[0-9a-fA-F]{32}",
            problem="The account_sid is not the SID of a Twilio account.",
            remedy="Set AC and the 32 hexadecimal digits that follow.",
        )
    )
    api_key: str | None = None
    sender: str | None = None
    whatsapp_sender: str | None = None
    rcs_sender: str | None = None
    verify_service: str | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            sdk.matches(
                "VA[0-9a-fA-F]{32}",
                problem="The verify_service is not the SID of a Verify service of Twilio.",
                remedy="Set VA and the 32 hexadecimal digits that follow.",
            )
        ),
    )
    base_url: str = "https://api.twilio.com"
    lookups_url: str = "https://lookups.twilio.com"
    verify_url: str = "https://verify.twilio.com"

    @property
    def _verify(self) -> str:
        meaning = "the SID of a Verify service"
        return needed_option(self.verify_service, "verify_service", "Twilio", meaning)

    send = sdk.post(
        "/2010-04-01/Accounts/{account_sid}/Messages.json",
        form=message_form,
        check=check_message,
        reads=_RECEIPT,
    )
    send_template = sdk.post(
        "/2010-04-01/Accounts/{account_sid}/Messages.json",
        form=template_form,
        check=check_template,
        reads=_RECEIPT,
    )
    get = sdk.get(_MESSAGE, reads=_RECEIPT)
    request_cancel = sdk.post(
        _MESSAGE, form={"Status": "canceled"}, idempotent=True, reads=_RECEIPT
    )
    validate_number = sdk.get(
        "/v2/PhoneNumbers/{id}",
        to="lookups",
        query=_look_up_query,
        reads=sdk.Reading(
            NumberCheck,
            valid=sdk.needed(sdk.flag("valid"), "valid"),
            number=sdk.when(sdk.flag("valid"), sdk.text("phone_number")),
            country=sdk.text("country_code"),
            national=sdk.text("national_format"),
            line=sdk.word("line_type_intelligence.type", of=_LINES, otherwise=LineType.UNKNOWN),
            carrier=sdk.text("line_type_intelligence.carrier_name"),
            reasons=sdk.texts("validation_errors"),
        ),
    )
    check_balance = sdk.get(
        "/2010-04-01/Accounts/{account_sid}/Balance.json",
        reads=sdk.Reading(Balance, amount=sdk.needed(price("balance", "currency"), "balance")),
    )
    start_verification = sdk.post(
        "/v2/Services/{_verify}/Verifications", to="verify", form=_code_form, reads=_VERIFICATION
    )
    post_check = sdk.post(
        "/v2/Services/{_verify}/VerificationCheck",
        to="verify",
        form=_check_form,
        reads=_VERIFICATION,
    )

    event_reading = sdk.Reading(
        SmsEvent,
        supplied=("id",),
        ref=sdk.ref_at("MessageSid", "SmsSid"),
        status=sdk.word("MessageStatus", "SmsStatus", of=_STATUSES, otherwise=SmsStatus.UNKNOWN),
        vendor_status=_EVENT_STATUS,
        sender=sdk.when(_is_incoming, _without_channel("From")),
        to=sdk.when(_is_incoming, _without_channel("To")),
        text=sdk.text("Body"),
        media=_media,
        error_code=sdk.text("ErrorCode"),
    )

    async def check_verification(
        self, wire: sdk.Wire, ref: sdk.Ref, code: sdk.Secret, /, *, to: str
    ) -> Verification:
        """Check a code."""
        try:
            verification = await self.post_check(wire, ref, code=code)
        except sdk.VendorRejected as refusal:
            if refusal.vendor_code not in _ENDED_CODES:
                raise
            return refused(ref, refusal, VerificationStatus.ENDED)
        check_same_number(sdk.as_answer(verification.raw).text("to"), to, "Twilio")
        return verification

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> SmsReceipt:
        """Cancel a scheduled message."""
        try:
            return await self.request_cancel(wire, ref)
        except sdk.VendorRejected as refusal:
            # A second cancellation is refused, for example after a lost response.
            if refusal.vendor_code != _SETTLED_CODE:
                raise
            receipt = await self.get(wire, ref)
            if receipt.status is not SmsStatus.CANCELED:
                raise
            return receipt
