"""Telnyx: text and multimedia messages, and look-ups of numbers.

Version 2 of the API, JSON with an API key as bearer token. Telnyx takes no idempotency key, so a
message that may have been sent is not sent again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.sms import (
    Balance,
    LineType,
    NumberCheck,
    SmsCapability,
    SmsReceipt,
    SmsStatus,
    check_number,
)
from moorage.vendors.sms._common import price, without_numbers
from moorage.vendors.sms._telnyx_messages import message_body, read_event, read_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendors.sms._common import Kind

_MESSAGE_PATH: Final = "/v2/messages/{id}"
_LINES: Final = {
    **sdk.same(LineType, "mobile voip"),
    "fixed line": LineType.LANDLINE,
    **sdk.words(LineType.OTHER, "pager uan voicemail"),
    **dict.fromkeys(
        ("toll free", "premium rate", "shared cost", "personal number"), LineType.OTHER
    ),
}
_KINDS: Final[Mapping[str, Kind]] = {
    **sdk.words(sdk.AuthenticationFailed, "10009 20002 20008"),
    **sdk.words(sdk.RateLimitExceeded, "10011 40318"),
    # Telnyx may have carried out the request, whatever the status is.
    **sdk.words(sdk.VendorFailed, "10007 10008 10037"),
    # The recipient, the sender, the profile or the account is blocked.
    **sdk.words(
        sdk.VendorRejected,
        "20012 20013 20100 40300 40312 40314 40315 40320 40321 40322 40329 40330 40333",
    ),
}
"""Errors by Telnyx's code; other codes have the error of their status."""
_INVALID_NUMBERS: Final = ("10002", "10016")


def _read_error(response: sdk.Response) -> tuple[str | None, str | None]:
    body = sdk.error_answer(response)
    # The refusal of a cancellation is described as a single error, without the list.
    error = next(iter(body.objects("errors")), body)
    return error.text("code"), sdk.masked_words(error.text("detail") or error.text("title"))


def _invalid_number(refusal: sdk.VendorRejected) -> NumberCheck | None:
    code = refusal.vendor_code
    if code not in _INVALID_NUMBERS:
        return None
    return NumberCheck(number=None, valid=False, reasons=(refusal.vendor_message or code,))


@attrs.frozen(kw_only=True)
class Telnyx(sdk.ApiVendor):
    """An account at Telnyx.

    Attributes:
        credentials: API key; by default the credential provider supplies `Credentials`.
        sender: sender of messages that name none: a number, a short code or a name.
        messaging_profile_id: id of the messaging profile, which names as senders need; without a
            sender, Telnyx chooses one of the profile's numbers.
        base_url: URL of Telnyx.
    """

    name = "telnyx"
    kinds = ("sms",)
    api_version = "v2"
    capabilities = sdk.members_of(
        SmsCapability,
        "sender_pool media callback scheduled cancel look_up validate_number carrier balance",
    )
    limits: ClassVar[Mapping[str, int]] = {"segments": 10, "media": 10}
    webhook = "telnyx"

    refusals = sdk.Refusals(
        vendor="Telnyx",
        codes=_KINDS,
        statuses=sdk.error_statuses("400 422"),
        read=_read_error,
        mask=without_numbers,
    )
    ping_path = "/v2/balance"
    event_reading = staticmethod(read_event)

    sender: str | None = None
    messaging_profile_id: str | None = None
    base_url: str = "https://api.telnyx.com"

    send = sdk.post("/v2/messages", json=message_body, reads=read_message)
    get = sdk.get(_MESSAGE_PATH, reads=read_message)
    delete_message = sdk.delete(_MESSAGE_PATH, reads=read_message)
    validate_number = sdk.get(
        "/v2/number_lookup/{id}",
        query={"type": "carrier"},
        # The number is sent to Telnyx in international form, whatever the country.
        check=partial(check_number, field="number"),
        refused=_invalid_number,
        reads=sdk.Reading(
            NumberCheck,
            number=sdk.needed(sdk.text("data.phone_number"), "phone_number"),
            valid=True,
            country=sdk.text("data.country_code"),
            national=sdk.text("data.national_format"),
            line=sdk.word("data.carrier.type", of=_LINES, otherwise=LineType.UNKNOWN),
            carrier=sdk.text("data.carrier.name"),
        ),
    )
    check_balance = sdk.get(
        "/v2/balance",
        reads=sdk.Reading(
            Balance, amount=sdk.needed(price("data.balance", "data.currency"), "balance")
        ),
    )

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> SmsReceipt:
        """Cancel a scheduled message."""
        try:
            return await self.delete_message(wire, ref)
        except sdk.VendorRejected:
            # Telnyx refuses a second cancellation, for example after a lost response.
            receipt: SmsReceipt = await self.get(wire, ref)
            if receipt.status is not SmsStatus.CANCELED:
                raise
            return receipt
