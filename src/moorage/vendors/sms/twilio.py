"""Twilio: text messages and number look-ups.

Messages use the API of 2010-04-01, look-ups version 2 of theirs, both with forms and basic
authentication. Twilio takes no idempotency key, so a message that may have been sent is not sent
again.
"""

from __future__ import annotations

import re
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

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
from moorage.contracts.vendor import Vendor, extra_for
from moorage.domain.auth.methods import Credentials
from moorage.domain.http.requests import Request
from moorage.domain.resilience.classify import is_success, vendor_words
from moorage.domain.secrets.frames import careful
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.service.settings import Service
from moorage.domain.values.json_text import is_list
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.vendors._reading import answer, malformed, read
from moorage.vendors.sms._common import as_field, as_price, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.ref import Ref
    from moorage.contracts.vendor import MakeRef
    from moorage.contracts.wire import Wire
    from moorage.domain.http.requests import Response
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.errors import ConnectorError
    from moorage.vendors.sms._common import Kind

_LOOKUPS: Final = "lookups"
_SID: Final = re.compile(r"AC[0-9a-fA-F]{32}")
_STATUSES: Final = {
    "accepted": SmsStatus.QUEUED,
    "queued": SmsStatus.QUEUED,
    "sending": SmsStatus.QUEUED,
    "scheduled": SmsStatus.SCHEDULED,
    "sent": SmsStatus.SENT,
    "delivered": SmsStatus.DELIVERED,
    "partially_delivered": SmsStatus.SENT,
    "read": SmsStatus.READ,
    "undelivered": SmsStatus.UNDELIVERED,
    "failed": SmsStatus.FAILED,
    "canceled": SmsStatus.CANCELED,
    "receiving": SmsStatus.RECEIVED,
    "received": SmsStatus.RECEIVED,
}
_LINES: Final = {
    "mobile": LineType.MOBILE,
    "landline": LineType.LANDLINE,
    "fixedVoip": LineType.VOIP,
    "nonFixedVoip": LineType.VOIP,
    "personal": LineType.OTHER,
    "tollFree": LineType.OTHER,
    "premium": LineType.OTHER,
    "sharedCost": LineType.OTHER,
    "uan": LineType.OTHER,
    "voicemail": LineType.OTHER,
    "pager": LineType.OTHER,
}
_SETTLED: Final = "30409"
_LATER: Final = frozenset({"14107", "20429", "21611", "60728", "63017", "63038"})
_WHO: Final = frozenset({"20003", "20005", "20006", "20008"})
_REFUSED: Final = frozenset({"21408", "21608", "21610", "21612", "21614", _SETTLED})


def _checked_sid(value: object) -> str:
    if isinstance(value, str) and _SID.fullmatch(value):
        return value
    raise ConfigurationError(
        "This is not the SID of a Twilio account.",
        path="account_sid",
        remedy="Give AC with the 32 hexadecimal digits that follow.",
    )


@careful
@attrs.frozen(kw_only=True)
class Twilio(Vendor):
    """An account at Twilio.

    Attributes:
        account_sid: SID of the account, which begins with AC.
        credentials: auth token, or the secret of an API key; by default the credential provider
            supplies `Credentials`.
        api_key: SID of the API key, if `credentials` is its secret.
        sender: sender of messages without one of their own.
        base_url, lookups_url: URLs of Twilio.
    """

    name: ClassVar[str] = "twilio"
    kinds: ClassVar[tuple[str, ...]] = ("sms",)
    api_version: ClassVar[str | None] = "2010-04-01"
    capabilities: ClassVar[frozenset[str]] = frozenset(SmsCapability)
    limits: ClassVar[Mapping[str, int]] = {"text": 1600}
    webhook: ClassVar[str | None] = "twilio"

    account_sid: str = attrs.field(converter=_checked_sid)
    credentials: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret)
    )
    api_key: str | None = None
    sender: str | None = None
    base_url: str = "https://api.twilio.com"
    lookups_url: str = "https://lookups.twilio.com"

    def ping(self) -> Request:
        """Request the balance."""
        return Request.get(self._path("Balance"))

    def services(self) -> Mapping[str, Service]:
        """The API, and that of look-ups."""
        credentials = None
        if self.credentials is not None:
            credentials = Credentials.basic(self.api_key or self.account_sid, self.credentials)
        return {
            to: Service(
                "twilio",
                url,
                credentials=credentials,
                needs_credentials=credentials is None,
                classify=classify,
            )
            for to, url in (("", self.base_url), (_LOOKUPS, self.lookups_url))
        }

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        """Send one message."""
        form = message_form(self, message)
        request = Request.post(self._path("Messages"), form=form)
        return await wire.send(request, key=key, parse=partial(read_message, wire))

    async def get(self, wire: Wire, ref: Ref, /) -> SmsReceipt:
        """Get the status of a message."""
        response = await wire.send(Request.get(self._path("Messages", ref.id)))
        return read_message(wire, response)

    async def cancel(self, wire: Wire, ref: Ref, /) -> SmsReceipt:
        """Cancel a scheduled message."""
        request = Request.post(self._path("Messages", ref.id), form={"Status": "canceled"})
        try:
            return read_message(wire, await wire.send(request.evolve(idempotent=True)))
        except VendorRejected as refusal:
            # A message that is already cancelled is refused too, for example after a lost answer.
            if refusal.vendor_code != _SETTLED:
                raise
            receipt = await self.get(wire, ref)
            if receipt.status is not SmsStatus.CANCELED:
                raise
            return receipt

    async def validate_number(
        self, wire: Wire, number: str, /, *, country: str | None
    ) -> NumberCheck:
        """Look up a number."""
        request = Request.get(
            f"/v2/PhoneNumbers/{quote(number, safe='')}",
            query={"Fields": "line_type_intelligence", "CountryCode": country},
        )
        return read_number(await wire.send(request, to=_LOOKUPS))

    async def check_balance(self, wire: Wire, /) -> Balance:
        """Get the balance."""
        response = await wire.send(Request.get(self._path("Balance")))
        body = answer(response)
        amount = as_price(body.value("balance"), body.text("currency"))
        if amount is None:
            raise malformed(response, "balance")
        return Balance(amount=amount, raw=body.raw)

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[SmsEvent, ...]:
        """Convert a webhook to an event of a sent or a received message."""
        fields = read(event.data)
        sid = fields.text("MessageSid") or fields.text("SmsSid")
        if sid is None:
            return ()
        status = fields.text("MessageStatus") or fields.text("SmsStatus")
        return (
            SmsEvent(
                id=event.id,
                ref=ref(sid),
                status=_STATUSES.get(status or "", SmsStatus.UNKNOWN),
                vendor_status=status,
                sender=fields.text("From") if status == "received" else None,
                text=fields.text("Body"),
                error_code=fields.text("ErrorCode"),
                raw=fields.raw,
            ),
        )

    def _path(self, *parts: str) -> str:
        names = "/".join(quote(part, safe="") for part in parts)
        return f"/2010-04-01/Accounts/{self.account_sid}/{names}.json"


def message_form(vendor: Twilio, message: SmsMessage) -> list[tuple[str, str]]:
    """The form that sends a message."""
    form: dict[str, Any] = {"To": message.to, "Body": message.text or None}
    if message.sender_pool is None:
        form["From"] = message.sender or vendor.sender
    else:
        form["MessagingServiceSid"] = message.sender_pool
    form["StatusCallback"] = message.callback_url
    if message.send_at is not None:
        form["SendAt"] = message.send_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        form["ScheduleType"] = "fixed"
    if message.validity is not None:
        form["ValidityPeriod"] = int(message.validity.total_seconds())
    if message.media:
        form["MediaUrl"] = list(message.media)
    form.update(extra_for("twilio", message.extra))
    pairs: list[tuple[str, str]] = []
    for name, value in form.items():
        several = value if is_list(value) else [value]
        pairs += [(name, as_field(item)) for item in several if item is not None]
    return pairs


def read_message(wire: Wire, response: Response) -> SmsReceipt:
    """Parse a message."""
    body = answer(response)
    sid, status = body.text("sid"), body.text("status")
    if sid is None:
        raise malformed(response, "sid")
    price = as_price(body.value("price"), body.text("price_unit"))
    return SmsReceipt(
        ref=wire.ref(sid),
        status=_STATUSES.get(status or "", SmsStatus.UNKNOWN),
        vendor_status=status,
        segments=body.integer("num_segments"),
        # Prices are negative amounts.
        price=None if price is None else Price(abs(price.amount), price.currency),
        error_code=body.text("error_code"),
        error_message=body.text("error_message"),
        raw=body.raw,
    )


def read_number(response: Response) -> NumberCheck:
    """Parse the look-up of a number."""
    body = answer(response)
    valid = body.flag("valid")
    if valid is None:
        raise malformed(response, "valid")
    line = body.text("line_type_intelligence.type")
    return NumberCheck(
        number=body.text("phone_number") if valid else None,
        valid=valid,
        country=body.text("country_code"),
        national=body.text("national_format"),
        line=_LINES.get(line or "", LineType.UNKNOWN),
        carrier=body.text("line_type_intelligence.carrier_name"),
        reasons=body.texts("validation_errors"),
        raw=body.raw,
    )


def classify(_: Request, response: Response) -> ConnectorError | None:
    """The error for the code in an answer, which is more specific than its status."""
    if is_success(response.status) or response.status >= 500:
        return None
    code, words = vendor_words(response)
    if code is None:
        return None
    kind: Kind
    if code in _LATER or response.status == 429:
        kind = RateLimitExceeded
    elif code in _WHO or response.status in {401, 403}:
        kind = AuthenticationFailed
    elif response.status == 400 and code not in _REFUSED:
        kind = InvalidRequest
    else:
        kind = VendorRejected
    return refusal(kind, "Twilio", response, code, words)
