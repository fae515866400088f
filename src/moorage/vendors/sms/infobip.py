"""Infobip: text messages, templates by WhatsApp and RCS, and verification codes.

Text messages use version 3 of the SMS API, templates the Messages API, and codes the 2FA API.

Infobip takes no idempotency key, so a message that may have been sent is not sent again. It can
reject a message in a response with HTTP 200; this vendor then raises an error. A scheduled message
is sent as a separate bulk with the message's id, because only a bulk can be cancelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.sms import (
    Balance,
    Price,
    SmsCapability,
    SmsEvent,
    SmsMessage,
    SmsReceipt,
    SmsStatus,
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
    without_numbers,
)
from moorage.vendors.sms._infobip_requests import message_body, own_id, template_body
from moorage.vendors.sms._infobip_verification import CODE, code_body, pin_body, pin_status
from moorage.vendors.sms._verification import (
    CodeMaskingClassifier,
    check_same_number,
    read_fields,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from moorage.contracts.sms_templates import TemplateMessage

_BULK_STATUS: Final = "/sms/1/bulks/status"
_GROUPS: Final = {
    **sdk.words(SmsStatus.QUEUED, "ACCEPTED PENDING"),
    "DELIVERED": SmsStatus.DELIVERED,
    "UNDELIVERABLE": SmsStatus.UNDELIVERED,
    "EXPIRED": SmsStatus.EXPIRED,
    "REJECTED": SmsStatus.REJECTED,
}
_NAMES: Final = sdk.words(
    # Infobip calls these states intermediate: the operator has the message, the handset does not.
    SmsStatus.SENT,
    "PENDING_WAITING_DELIVERY PENDING_ENROUTE DELIVERED_TO_OPERATOR",
)
"""Names of statuses that are more precise than their groups."""
_BULKS: Final = {
    **sdk.words(SmsStatus.SCHEDULED, "PENDING PAUSED"),
    "PROCESSING": SmsStatus.QUEUED,
    "CANCELED": SmsStatus.CANCELED,
    "FINISHED": SmsStatus.SENT,
    "FAILED": SmsStatus.FAILED,
}
_REJECTED: Final = "REJECTED"
_NOT_FOUND: Final = 404
_SEEN: Final = "seenAt"
"""The field with the time at which the recipient read a message."""
_NO_ERROR: Final = ("NO_ERROR",)


def _read_words(response: sdk.Response) -> tuple[str | None, str | None]:
    """The code and text of an error, in the format of version 3 or 1."""
    error = sdk.error_answer(response)
    details = error.object("requestError.serviceException")
    code, words = sdk.vendor_code_and_message(response)
    text = error.text("description") or details.text("text")
    code = error.text("errorCode") or details.text("messageId") or code
    return code, sdk.masked_words(text) or words


_REFUSALS: Final = sdk.Refusals(
    vendor="Infobip",
    statuses=sdk.error_statuses("400 405 415 422", login="401 403"),
    read=_read_words,
    mask=without_numbers,
)


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for an error response, or a successful response with rejected messages."""
    if not sdk.is_success(response.status):
        return _REFUSALS(request, response)
    status = sdk.error_answer(response).object("messages.0.status")
    if status.text("groupName") != _REJECTED:
        return None
    words = sdk.masked_words(status.text("description"))
    code = status.text("name") or _REJECTED
    return refusal(sdk.VendorRejected, "Infobip", response, code, words)


def _status(path: str) -> Callable[[sdk.Answer], SmsStatus]:
    """Return a function that reads a status from its name, or else from its group."""

    def read(fields: sdk.Answer) -> SmsStatus:
        status = fields.object(path)
        group = _GROUPS.get(status.text("groupName") or "", SmsStatus.UNKNOWN)
        return _NAMES.get(status.text("name") or "", group)

    return read


def _price(fields: sdk.Answer) -> Price | None:
    """The price of all parts of a message."""
    part = as_price(fields.value("price.pricePerMessage"), fields.text("price.currency"))
    count = fields.integer("messageCount")
    return None if part is None or count is None else Price(part.amount * count, part.currency)


def _error_message(fields: sdk.Answer) -> str | None:
    name = fields.text("error.name")
    return None if name in _NO_ERROR else fields.text("error.description")


_ACCEPTED: Final = sdk.Reading(
    SmsReceipt,
    ref=sdk.ref_at("messages.0.messageId"),
    status=_status("messages.0.status"),
    vendor_status=sdk.text("messages.0.status.name", "messages.0.status.groupName"),
    segments=sdk.integer("messages.0.details.messageCount"),
)
_LOG: Final = sdk.Reading(
    SmsReceipt,
    ref=sdk.ref_at("messageId"),
    status=_status("status"),
    vendor_status=sdk.text("status.name", "status.groupName"),
    segments=sdk.integer("messageCount"),
    price=_price,
    error_code=sdk.text("error.name", none=_NO_ERROR),
    error_message=_error_message,
)
_BULK: Final = sdk.Reading(
    SmsReceipt,
    ref=sdk.ref_at("bulkId"),
    status=sdk.word("status", of=_BULKS, otherwise=SmsStatus.UNKNOWN),
    vendor_status=sdk.text("status"),
)


def read_log(ref: sdk.MakeRef, response: sdk.Response) -> SmsReceipt | None:
    """The receipt in a message's log; None if Infobip's log does not contain the message."""
    entries = list(sdk.read_answer(response).objects("results"))
    if not entries:
        return None
    receipts = _LOG.parse_if_complete(ref, entries[0])
    if not receipts:
        raise sdk.malformed(response, "messageId")
    return receipts[0]


def _is_incoming(fields: sdk.Answer) -> bool:
    return fields.text("receivedAt") is not None


def _received_media(fields: sdk.Answer) -> tuple[str, ...]:
    """The URL of the file in a message received by WhatsApp."""
    url = fields.text("message.url")
    return () if url is None else (url,)


def _event_time(fields: sdk.Answer) -> datetime | None:
    return fields.time("doneAt") or fields.time(_SEEN) or fields.time("receivedAt")


def _event_status(fields: sdk.Answer) -> SmsStatus:
    return SmsStatus.READ if fields.text(_SEEN) is not None else _status("status")(fields)


def _unchanged_body(_: Infobip, body: dict[str, Any]) -> dict[str, Any]:
    return body


def _bulk_query(_: Infobip, ref: sdk.Ref) -> dict[str, str]:
    return {"bulkId": ref.id}


def _log_query(_: Infobip, ref: sdk.Ref) -> dict[str, str]:
    return {"messageId": ref.id}


def _auth(_: Infobip, secret: sdk.Secret) -> sdk.Credentials:
    """Credentials with the API key in Infobip's format."""
    return sdk.Credentials.api_key(sdk.Secret(f"App {secret.reveal()}"), header="Authorization")


@attrs.frozen(kw_only=True)
class Infobip(sdk.ApiVendor):
    """An account at Infobip.

    Attributes:
        base_url: URL of the account, such as https://abc123.api.infobip.com.
        credentials: API key; by default the credential provider supplies `Credentials` that send
            `App …` in `Authorization`.
        sender: sender of messages that name none.
        whatsapp_sender: number of the WhatsApp sender, for templates whose messages name no sender.
        rcs_sender: name of the RCS sender, for templates whose messages name no sender.
        pin_application, pin_message: ids of the 2FA application, and of its message template, for
            verification codes.
    """

    name = "infobip"
    kinds = ("sms",)
    api_version = "3"
    capabilities = sdk.members_of(
        SmsCapability,
        "callback scheduled cancel validity look_up balance verification verification_call"
        " templates whatsapp rcs sms_fallback",
    )
    limits: ClassVar[Mapping[str, int]] = {"reference": 4000}
    webhook = "infobip"

    auth = _auth
    refusals = CodeMaskingClassifier(classify)
    ping_path = "/account/1/balance"

    base_url: str = attrs.field(
        validator=sdk.matches(
            r"https?://[^\s/?#@]+(?:/[^\s?#]*)?",
            problem="The base_url is not the base URL of an Infobip account.",
            remedy="Set https:// and the host that Infobip shows, such as"
            " https://abc123.api.infobip.com.",
        )
    )
    sender: str | None = None
    whatsapp_sender: str | None = None
    rcs_sender: str | None = None
    pin_application: str | None = None
    pin_message: str | None = None

    post_message = sdk.post("/sms/3/messages", json=_unchanged_body, reads=_ACCEPTED)
    post_template = sdk.post("/messages-api/1/messages", json=_unchanged_body, reads=_ACCEPTED)
    get_log = sdk.get("/sms/3/logs", query=_log_query, reads=read_log)
    get_bulk = sdk.get(_BULK_STATUS, query=_bulk_query, reads=_BULK)
    cancel_bulk = sdk.put(_BULK_STATUS, query=_bulk_query, json={"status": "CANCELED"}, reads=_BULK)
    check_balance = sdk.get(
        "/account/1/balance",
        reads=sdk.Reading(Balance, amount=sdk.needed(price("balance", "currency"), "balance")),
    )
    post_code = sdk.post("/2fa/2/pin", json=code_body, reads=CODE)
    post_call = sdk.post("/2fa/2/pin/voice", json=code_body, reads=CODE)
    post_check = sdk.post("/2fa/2/pin/{id}/verify", json=pin_body, reads=read_fields)

    event_reading = sdk.Reading(
        SmsEvent,
        supplied=("id",),
        ref=sdk.ref_at("messageId"),
        status=sdk.when(_is_incoming, SmsStatus.RECEIVED, _event_status),
        vendor_status=sdk.text("status.name", "status.groupName", "event"),
        at=_event_time,
        sender=sdk.when(_is_incoming, international("from")),
        to=sdk.when(_is_incoming, international("to")),
        text=sdk.text("text", "message.text", "message.caption"),
        media=_received_media,
        error_code=sdk.text("error.name", none=_NO_ERROR),
    )

    async def send(self, wire: sdk.Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        """Send a message, or schedule it with an id that moorage chooses."""
        id_ = None if message.send_at is None else own_id(wire, key)
        receipt: SmsReceipt = await self.post_message(
            wire, message_body(self, message, id_), key=key
        )
        is_scheduled = id_ is not None and receipt.status is SmsStatus.QUEUED
        return attrs.evolve(receipt, status=SmsStatus.SCHEDULED) if is_scheduled else receipt

    async def send_template(
        self, wire: sdk.Wire, message: TemplateMessage, /, *, key: str | None
    ) -> SmsReceipt:
        """Send a message from a template, with an id that moorage chooses."""
        body = template_body(self, message, own_id(wire, key))
        receipt: SmsReceipt = await self.post_template(wire, body, key=key)
        return receipt

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> SmsReceipt:
        """Read a message's log; for a scheduled message, which has no log yet, read its bulk."""
        receipt: SmsReceipt | None = await self.get_log(wire, ref)
        if receipt is not None and receipt.ref.id != ref.id:
            raise sdk.VendorFailed(
                "Infobip returned the log of another message.",
                retryable=False,
                remedy="Look the message up at Infobip, and report the error to Infobip.",
            )
        return receipt or await self.get_bulk(wire, ref)

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> SmsReceipt:
        """Cancel a scheduled message."""
        try:
            return await self.cancel_bulk(wire, ref)
        except sdk.VendorRejected:
            # A second cancellation of a bulk may be refused, for example after a lost response.
            receipt: SmsReceipt = await self.get_bulk(wire, ref)
            if receipt.status is not SmsStatus.CANCELED:
                raise
            return receipt

    async def start_verification(
        self, wire: sdk.Wire, request: VerificationRequest, /, *, key: str | None
    ) -> Verification:
        """Send a code by a text message or a call."""
        is_call = request.channel is VerificationChannel.CALL
        post = self.post_call if is_call else self.post_code
        verification: Verification = await post(wire, request, key=key)
        return verification

    async def check_verification(
        self, wire: sdk.Wire, ref: sdk.Ref, code: sdk.Secret, /, *, to: str
    ) -> Verification:
        """Check a code."""
        try:
            fields = await self.post_check(wire, ref, code=code)
        except sdk.VendorRejected as refusal:
            if refusal.status != _NOT_FOUND:
                raise
            return refused(ref, refusal, VerificationStatus.ENDED)
        check_same_number(fields.text("msisdn"), to, "Infobip")
        return Verification(
            ref=ref,
            status=pin_status(fields),
            vendor_status=fields.text("pinError"),
            attempts_left=fields.integer("attemptsRemaining"),
            raw=fields.raw,
        )
