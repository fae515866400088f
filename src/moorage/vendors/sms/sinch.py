"""Sinch: text messages by the SMS REST API, which is also called XMS.

A message is a batch with one recipient. Sinch takes no idempotency key, so a message that may have
been sent is not sent again. The state of a message is in its delivery report; only a scheduled and
a cancelled message have none, so their state is read from the batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.sms import SmsCapability, SmsEvent, SmsMessage, SmsReceipt, SmsStatus
from moorage.vendors.sms._common import international, media_urls, utc_text, without_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_BATCHES: Final = "/xms/v1/{service_plan_id}/batches"
_REGIONS: Final = ("us", "eu", "au", "br", "ca")
_STATUSES: Final = {
    "Queued": SmsStatus.QUEUED,
    "Dispatched": SmsStatus.SENT,
    "Delivered": SmsStatus.DELIVERED,
    "Cancelled": SmsStatus.CANCELED,
    "Rejected": SmsStatus.REJECTED,
    "Expired": SmsStatus.EXPIRED,
    "Deleted": SmsStatus.UNDELIVERED,
    **sdk.words(SmsStatus.FAILED, "Aborted Failed"),
}
_CANCELED_CODE: Final = "407"
_NO_ERROR: Final = ("0", "400", "401")
"""Codes of messages that are delivered, queued or dispatched."""


def message_body(vendor: Sinch, message: SmsMessage) -> dict[str, Any]:
    """The body that sends a message."""
    body: dict[str, Any] = {
        "to": [message.to],
        "from": message.sender or vendor.sender,
        "type": "mt_text",
        "body": message.text,
        "client_reference": message.reference,
    }
    if message.media:
        caption = {"message": message.text} if message.text else {}
        body |= {"type": "mt_media", "body": {"url": message.media[0], **caption}}
    if message.callback_url is not None:
        # Sinch sends reports only if they are requested.
        body |= {"callback_url": message.callback_url, "delivery_report": "per_recipient"}
    if message.send_at is not None:
        body["send_at"] = utc_text(message.send_at)
    return body


def check_message(message: SmsMessage) -> None:
    """Refuse a message with several media, because Sinch would send only one of them."""
    if len(message.media) > 1:
        raise sdk.InvalidData(
            "The message has several media, but Sinch accepts at most one.",
            field="media",
            remedy="Pass one URL, and send a separate message for each further URL.",
        )


def _read_words(response: sdk.Response) -> tuple[str | None, str | None]:
    code, words = sdk.vendor_code_and_message(response)
    return code, sdk.masked_words(sdk.error_answer(response).text("text")) or words


def _state(fields: sdk.Answer) -> sdk.Answer:
    """The fields with the status: the report's only status, or else the report itself."""
    states = list(fields.objects("statuses"))
    return states[0] if len(states) == 1 else fields


def _status(fields: sdk.Answer) -> SmsStatus:
    state = _state(fields)
    if state.text("code") == _CANCELED_CODE:
        return SmsStatus.CANCELED
    return _STATUSES.get(state.text("status") or "", SmsStatus.UNKNOWN)


def _status_word(fields: sdk.Answer) -> str | None:
    return _state(fields).text("status")


def _error_code(fields: sdk.Answer) -> str | None:
    code = _state(fields).text("code")
    return None if code in _NO_ERROR else code


def _batch_status(fields: sdk.Answer) -> SmsStatus:
    if fields.flag("canceled"):
        return SmsStatus.CANCELED
    sent_at, created_at = fields.time("send_at"), fields.time("created_at")
    is_later = sent_at is not None and created_at is not None and sent_at > created_at
    return SmsStatus.SCHEDULED if is_later else SmsStatus.QUEUED


def _is_incoming(fields: sdk.Answer) -> bool:
    return fields.text("type") in {"mo_text", "mo_media", "mo_binary"}


def _event_time(fields: sdk.Answer) -> datetime | None:
    return fields.time("at") or fields.time("received_at")


_BATCH: Final = sdk.Reading(SmsReceipt, ref=sdk.ref_at("id"), status=_batch_status)


@attrs.frozen(kw_only=True)
class Sinch(sdk.ApiVendor):
    """A service plan at Sinch.

    Attributes:
        service_plan_id: id of the service plan.
        credentials: API token of the service plan; by default the credential provider supplies
            `Credentials`.
        region: region of the service plan: us, eu, au, br or ca.
        sender: sender of messages that name none; if None, the service plan's default originator.
        base_url: URL of Sinch; by default that of the region.
    """

    name = "sinch"
    kinds = ("sms",)
    api_version = "v1"
    capabilities = sdk.members_of(SmsCapability, "media callback scheduled cancel look_up")
    limits: ClassVar[Mapping[str, int]] = {"media": 1}
    webhook = "sinch"

    urls: ClassVar[Mapping[str, str]] = {"": "_url"}
    ping_path = _BATCHES
    ping_query: ClassVar[Mapping[str, Any]] = {"page_size": 1}
    refusals = sdk.Refusals(
        vendor="Sinch",
        statuses=sdk.error_statuses("400 405 415"),
        read=_read_words,
        mask=without_numbers,
    )

    service_plan_id: str = attrs.field(
        validator=sdk.matches(
            "[0-9A-Za-z_-]{1,64}",
            problem="The service_plan_id is not the id of a Sinch service plan.",
            remedy="Set the id that Sinch's dashboard shows beside the API token.",
        )
    )
    region: str = sdk.choice("us", *_REGIONS, problem="Sinch does not have this region.")
    sender: str | None = None
    base_url: str | None = None

    @property
    def _url(self) -> str:
        return self.base_url or f"https://{self.region}.sms.api.sinch.com"

    send = sdk.post(_BATCHES, json=message_body, check=check_message, reads=_BATCH)
    cancel = sdk.delete(f"{_BATCHES}/{{id}}", reads=_BATCH)
    get_batch = sdk.get(f"{_BATCHES}/{{id}}", reads=_BATCH)
    get_report = sdk.get(
        f"{_BATCHES}/{{id}}/delivery_report",
        query={"type": "summary"},
        reads=sdk.Reading(
            SmsReceipt,
            ref=sdk.ref_at("batch_id"),
            status=_status,
            vendor_status=_status_word,
            error_code=_error_code,
        ),
    )

    event_reading = sdk.Reading(
        SmsEvent,
        supplied=("id",),
        ref=sdk.ref_at("batch_id", "id"),
        status=sdk.when(_is_incoming, SmsStatus.RECEIVED, _status),
        vendor_status=_status_word,
        at=_event_time,
        sender=sdk.when(_is_incoming, international("from")),
        to=sdk.when(_is_incoming, international("to")),
        text=sdk.when(_is_incoming, sdk.text("body", "body.message")),
        media=media_urls("body.media"),
        error_code=_error_code,
    )

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> SmsReceipt:
        """Read a message's delivery report, or its batch if the report has no state."""
        receipt = await self.get_report(wire, ref)
        return receipt if receipt.vendor_status else await self.get_batch(wire, ref)
