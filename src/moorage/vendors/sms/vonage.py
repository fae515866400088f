"""Vonage: text messages and number look-ups.

Messages use the SMS API, which always answers HTTP 200 and reports every part of a message
separately. Look-ups use Number Insight, at its standard level. The API key and its secret are sent
as basic authentication. Vonage takes no idempotency key, so a message that may have been sent is
not sent again. It can neither query nor cancel a message: delivery receipts report the outcome.

Vonage ends Number Insight in February 2027.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

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
    is_gsm,
)
from moorage.contracts.vendor import Vendor, extra_for
from moorage.domain.auth.methods import Credentials
from moorage.domain.http.requests import Request
from moorage.domain.resilience.classify import is_success
from moorage.domain.secrets.frames import careful
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.service.settings import Service
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.vendors._reading import answer, malformed, read
from moorage.vendors.sms._common import as_field, as_price, international, refusal, sender_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.vendor import MakeRef
    from moorage.contracts.wire import Wire
    from moorage.domain.http.requests import Response
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.vendors._reading import Answer
    from moorage.vendors.sms._common import Kind

_INSIGHT: Final = "insight"
_SEND: Final = "/sms/json"
_LOOK_UP: Final = "/ni/standard/json"
_TAKEN: Final = "0"
_CURRENCY: Final = "EUR"
_STATUSES: Final = {
    "accepted": SmsStatus.SENT,
    "buffered": SmsStatus.SENT,
    "delivered": SmsStatus.DELIVERED,
    "expired": SmsStatus.EXPIRED,
    "failed": SmsStatus.FAILED,
    "rejected": SmsStatus.REJECTED,
}
_LINES: Final = {
    "mobile": LineType.MOBILE,
    "landline": LineType.LANDLINE,
    "landline_premium": LineType.OTHER,
    "landline_tollfree": LineType.OTHER,
    "pager": LineType.OTHER,
    "virtual": LineType.VOIP,
}
_KINDS: Final[Mapping[str, Kind]] = {
    "1": RateLimitExceeded,
    "2": InvalidRequest,
    "3": InvalidRequest,
    "4": AuthenticationFailed,
    "5": VendorFailed,
    "6": InvalidRequest,
    "10": RateLimitExceeded,
    "12": InvalidRequest,
    "14": AuthenticationFailed,
    "15": InvalidRequest,
    "22": InvalidRequest,
    "23": InvalidRequest,
    "32": AuthenticationFailed,
}
"""Errors by the status of a message; any other than 0 is a refusal."""
_INSIGHTS: Final[Mapping[str, Kind]] = {
    "1": RateLimitExceeded,
    "4": AuthenticationFailed,
    "5": VendorFailed,
    "999": InvalidRequest,
}
_NO_NUMBER: Final = "3"
_LOOKED_UP: Final = frozenset({"0", _NO_NUMBER, "43", "44", "45"})
"""Successful look-ups; the last three lack a part that could not be read at that moment."""


@careful
@attrs.frozen(kw_only=True)
class Vonage(Vendor):
    """An account at Vonage.

    Attributes:
        api_key: API key of the account.
        credentials: API secret; by default the credential provider supplies `Credentials`.
        sender: sender of messages without one of their own.
        base_url, insight_url: URLs of Vonage.
    """

    name: ClassVar[str] = "vonage"
    kinds: ClassVar[tuple[str, ...]] = ("sms",)
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {
            SmsCapability.CALLBACK,
            SmsCapability.VALIDITY,
            SmsCapability.VALIDATE_NUMBER,
            SmsCapability.CARRIER,
            SmsCapability.BALANCE,
        }
    )
    webhook: ClassVar[str | None] = "vonage"

    api_key: str
    credentials: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret)
    )
    sender: str | None = None
    base_url: str = "https://rest.nexmo.com"
    insight_url: str = "https://api.nexmo.com"

    def ping(self) -> Request:
        """Request the balance."""
        return Request.get("/account/get-balance")

    def services(self) -> Mapping[str, Service]:
        """The API, and that of look-ups."""
        credentials = None
        if self.credentials is not None:
            credentials = Credentials.basic(self.api_key, self.credentials)
        return {
            to: Service(
                "vonage",
                url,
                credentials=credentials,
                needs_credentials=credentials is None,
                classify=classify,
            )
            for to, url in (("", self.base_url), (_INSIGHT, self.insight_url))
        }

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        """Send one message, in as many parts as it needs."""
        request = Request.post(_SEND, form=message_form(self, message))
        return await wire.send(request, key=key, parse=partial(read_parts, wire))

    async def validate_number(
        self, wire: Wire, number: str, /, *, country: str | None
    ) -> NumberCheck:
        """Look up a number."""
        query = {"number": number.removeprefix("+"), "country": country}
        return read_number(await wire.send(Request.get(_LOOK_UP, query=query), to=_INSIGHT))

    async def check_balance(self, wire: Wire, /) -> Balance:
        """Get the balance, in euros."""
        response = await wire.send(Request.get("/account/get-balance"))
        body = answer(response)
        amount = as_price(body.value("value"), _CURRENCY)
        if amount is None:
            raise malformed(response, "value")
        return Balance(amount=amount, raw=body.raw)

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[SmsEvent, ...]:
        """Convert a webhook to an event: a delivery receipt, or a received message."""
        fields = read(event.data)
        part = fields.text("messageId")
        if part is None:
            return ()
        status, code = fields.text("status"), fields.text("err-code")
        came_in = status is None and fields.text("type") is not None
        delivery_status = _STATUSES.get(status or "", SmsStatus.UNKNOWN)
        return (
            SmsEvent(
                id=event.id,
                ref=ref(part),
                status=SmsStatus.RECEIVED if came_in else delivery_status,
                vendor_status=status,
                at=fields.time("message-timestamp"),
                sender=international(fields.text("msisdn")) if came_in else None,
                text=fields.text("text"),
                error_code=None if code == _TAKEN else code,
                raw=fields.raw,
            ),
        )


def message_form(vendor: Vonage, message: SmsMessage) -> dict[str, str]:
    """The form that sends a message."""
    sender = sender_of(message, vendor.sender, "Vonage")
    form: dict[str, Any] = {
        "to": message.to.removeprefix("+"),
        "from": sender.removeprefix("+"),
        "text": message.text,
        "type": "text" if is_gsm(message.text) else "unicode",
        "callback": message.callback_url,
        "client-ref": message.reference,
    }
    if message.validity is not None:
        form["ttl"] = int(message.validity.total_seconds()) * 1000
    form.update(extra_for("vonage", message.extra))
    return {name: as_field(value) for name, value in form.items() if value is not None}


def read_parts(wire: Wire, response: Response) -> SmsReceipt:
    """Parse the parts of a message, of which at least one was accepted."""
    body = answer(response)
    parts = list(body.objects("messages"))
    taken = [part for part in parts if _status(part) == _TAKEN]
    ids = tuple(name for part in taken if (name := part.text("message-id")) is not None)
    if not ids or len(ids) < len(taken):
        raise malformed(response, "message-id")
    refused = next((part for part in parts if _status(part) != _TAKEN), None)
    return SmsReceipt(
        ref=wire.ref(ids[0]),
        status=SmsStatus.QUEUED if refused is None else SmsStatus.FAILED,
        vendor_status=_TAKEN if refused is None else _status(refused),
        parts=ids,
        segments=len(parts),
        price=_price(taken),
        error_code=None if refused is None else _status(refused),
        error_message=None if refused is None else refused.text("error-text"),
        raw=body.raw,
    )


def _status(part: Answer) -> str | None:
    return part.text("status")


def _price(parts: list[Answer]) -> Price | None:
    prices = [part.decimal("message-price") for part in parts]
    stated = [price for price in prices if price is not None]
    return as_price(sum(stated), _CURRENCY) if len(stated) == len(parts) else None


def read_number(response: Response) -> NumberCheck:
    """Parse the look-up of a number."""
    body = answer(response)
    status = body.text("status")
    if status not in _LOOKED_UP:
        raise malformed(response, "status")
    number = body.text("international_format_number")
    why = body.text("status_message") or body.text("error_text") or status
    valid = status != _NO_NUMBER
    return NumberCheck(
        number=f"+{number}" if valid and number else None,
        valid=valid,
        country=body.text("country_code"),
        national=body.text("national_format_number"),
        line=_LINES.get(body.text("current_carrier.network_type") or "", LineType.UNKNOWN),
        carrier=body.text("current_carrier.name"),
        reasons=() if valid else (why,),
        raw=body.raw,
    )


def classify(request: Request, response: Response) -> ConnectorError | None:
    """The error in an answer's body; Vonage answers HTTP 200 in any case."""
    if not is_success(response.status):
        return None
    try:
        body = answer(response)
    except VendorFailed:
        return None
    if request.path == _LOOK_UP:
        status = body.text("status")
        if status is None or status in _LOOKED_UP:
            return None
        words = body.text("status_message") or body.text("error_text")
        return refusal(_INSIGHTS.get(status, VendorRejected), "Vonage", response, status, words)
    parts = list(body.objects("messages"))
    status = _status(parts[0]) if parts else None
    # If some part was accepted, something was done, and the whole is not a refusal.
    if status is None or any(_status(part) == _TAKEN for part in parts):
        return None
    kind = _KINDS.get(status, VendorRejected)
    return refusal(kind, "Vonage", response, status, parts[0].text("error-text"))
