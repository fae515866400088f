"""MessageMedia: text and multimedia messages, by the API that is also called Sinch Engage.

Version 1 of the API, JSON with an API key and its secret by basic authentication. MessageMedia
takes no idempotency key, so a message that may have been sent is not sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.sms import SmsCapability, SmsEvent, SmsMessage, SmsReceipt, SmsStatus
from moorage.vendors.sms import _messagemedia_opt_outs as messagemedia_opt_outs
from moorage.vendors.sms._common import international, utc_text, without_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

_MESSAGES: Final = "/v1/messages"
_MESSAGE: Final = "/v1/messages/{id}"
_REGIONS: Final = ("au", "eu")
_STATUSES: Final = {
    **sdk.same(SmsStatus, "scheduled queued delivered read failed rejected expired"),
    **sdk.words(SmsStatus.QUEUED, "processing enroute held"),
    "submitted": SmsStatus.SENT,
    "cancelled": SmsStatus.CANCELED,
}
_PROGRESS: Final = ("1", "2")
"""The first digits of the status codes of messages that are on their way or delivered."""


def message_body(vendor: MessageMedia, message: SmsMessage) -> dict[str, Any]:
    """The body that sends a message.

    Args:
        vendor: the account.
        message: the message, whose options in `extra` are merged into the message itself.

    Raises:
        InvalidData: the message has media and no text.
    """
    if not message.text:
        raise sdk.InvalidData(
            "The message has no text, which MessageMedia requires.",
            field="text",
            remedy="Set a text, which is sent with the media.",
        )
    fields = {
        "destination_number": message.to,
        "content": message.text,
        "source_number": message.sender or vendor.sender,
        "format": "MMS" if message.media else None,
        "media": list(message.media) or None,
        "scheduled": message.send_at and utc_text(message.send_at),
        "callback_url": message.callback_url,
        # MessageMedia sends reports only if they are requested.
        "delivery_report": True if message.callback_url else None,
        "metadata": message.reference and {"reference": message.reference},
    }
    fields = sdk.merged(fields, sdk.extra_for(vendor.name, message.extra))
    return {"messages": [{name: value for name, value in fields.items() if value is not None}]}


def _unchanged_body(_: MessageMedia, body: dict[str, Any]) -> dict[str, Any]:
    return body


def _read_words(response: sdk.Response) -> tuple[None, str | None]:
    body = sdk.error_answer(response)
    return None, sdk.masked_words("; ".join(body.texts("details")) or body.text("message"))


def _check_done(_: sdk.MakeRef, response: sdk.Response) -> None:
    sdk.check_done(response)


def _error_code(fields: sdk.Answer) -> str | None:
    code = fields.text("error_code")
    return None if code is None or code.startswith(_PROGRESS) else code


_is_report: Final = sdk.text("status")


def _receipt_at(path: str) -> sdk.Reading[SmsReceipt]:
    """Describe the message at a path of a response; a path that is not empty ends in a dot."""
    return sdk.Reading(
        SmsReceipt,
        ref=sdk.ref_at(f"{path}message_id"),
        status=sdk.word(f"{path}status", of=_STATUSES, otherwise=SmsStatus.UNKNOWN),
        vendor_status=sdk.text(f"{path}status"),
    )


@attrs.frozen(kw_only=True)
class MessageMedia(sdk.ApiVendor):
    """An account at MessageMedia.

    Attributes:
        api_key: the API key.
        credentials: the API secret; by default the credential provider supplies `Credentials`.
        region: the region of the account: au or eu.
        sender: sender of messages that name none: a number, a short code or a name; if None, the
            default number of the account.
        base_url: URL of MessageMedia; by default that of the region.
    """

    name = "messagemedia"
    kinds = ("sms",)
    api_version = "v1"
    capabilities = sdk.members_of(SmsCapability, "media callback scheduled cancel look_up opt_outs")
    limits: ClassVar[Mapping[str, int]] = {"reference": 256}
    webhook = "messagemedia"

    auth = sdk.basic("api_key")
    urls: ClassVar[Mapping[str, str]] = {"": "_url"}
    ping_path = messagemedia_opt_outs.LIST
    refusals = sdk.Refusals(
        vendor="MessageMedia",
        statuses=sdk.error_statuses("400 422"),
        read=_read_words,
        mask=without_numbers,
    )

    api_key: str
    region: str = sdk.choice("au", *_REGIONS, problem="MessageMedia does not have this region.")
    sender: str | None = None
    base_url: str | None = None

    @property
    def _url(self) -> str:
        return self.base_url or f"https://{self.region}.app.api.sinch.com"

    post_message = sdk.post(_MESSAGES, json=_unchanged_body, reads=_receipt_at("messages.0."))
    get = sdk.get(_MESSAGE, reads=_receipt_at(""))
    cancel_message = sdk.put(_MESSAGE, json={"status": "cancelled"}, reads=_check_done)
    opt_outs = staticmethod(messagemedia_opt_outs.list_opt_outs)
    find_opt_outs = staticmethod(messagemedia_opt_outs.opt_outs_of)
    remove_opt_out = staticmethod(messagemedia_opt_outs.opt_in)

    event_reading = sdk.Reading(
        SmsEvent,
        supplied=("id",),
        ref=sdk.ref_at("reply_id", "notification_id", "message_id"),
        status=sdk.when(
            _is_report,
            sdk.word("status", of=_STATUSES, otherwise=SmsStatus.UNKNOWN),
            SmsStatus.RECEIVED,
        ),
        vendor_status=sdk.text("status"),
        at=sdk.time("date_received"),
        sender=sdk.when(_is_report, None, international("source_number")),
        to=sdk.when(_is_report, None, international("destination_number")),
        text=sdk.text("content"),
        error_code=_error_code,
    )

    async def send(self, wire: sdk.Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        """Send or schedule a message; MessageMedia reports both as queued."""
        body = message_body(self, message)
        receipt: SmsReceipt = await self.post_message(wire, body, key=key)
        is_scheduled = message.send_at is not None and receipt.status is SmsStatus.QUEUED
        return attrs.evolve(receipt, status=SmsStatus.SCHEDULED) if is_scheduled else receipt

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> SmsReceipt:
        """Cancel a scheduled message, and look it up, because the cancellation has no response."""
        try:
            await self.cancel_message(wire, ref)
        except sdk.VendorRejected:
            # Only a scheduled message can be cancelled; a lost response may have cancelled it.
            receipt: SmsReceipt = await self.get(wire, ref)
            if receipt.status is not SmsStatus.CANCELED:
                raise
            return receipt
        return await self.get(wire, ref)
