"""Bird, formerly MessageBird: text messages and number look-ups.

Version 1 of the API, JSON with a key that belongs to a region. Bird replays its answer to an
idempotency key, refusals too, for about three hours. The status of messages arrives by webhooks,
at endpoints that are configured once for all messages.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

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
from moorage.contracts.vendor import (
    RepeatedKey,
    Vendor,
    VendorKeys,
    choices,
    extra_for,
    key_at,
    merged,
)
from moorage.domain.auth.methods import Credentials
from moorage.domain.http.requests import Request
from moorage.domain.resilience.classify import is_success, vendor_words
from moorage.domain.secrets.frames import careful
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.service.settings import Service
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.vendors._reading import answer, malformed, read
from moorage.vendors.sms._common import as_price, refusal, sender_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.ref import Ref
    from moorage.contracts.vendor import MakeRef
    from moorage.contracts.wire import Wire
    from moorage.domain.http.requests import Response
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.errors import ConnectorError
    from moorage.vendors._reading import Answer
    from moorage.vendors.sms._common import Kind

_MESSAGES: Final = "/v1/sms/messages"
_LOOK_UP: Final = "/v1/lookup/phone-number"
_KEY: Final = 255
_REGION: Final = re.compile(r"[a-z]{2}[0-9]+")
_EVENT: Final = "sms."
_STATUSES: Final = {
    "scheduled": SmsStatus.SCHEDULED,
    "accepted": SmsStatus.QUEUED,
    "sent": SmsStatus.SENT,
    "delivered": SmsStatus.DELIVERED,
    "undelivered": SmsStatus.UNDELIVERED,
    "failed": SmsStatus.FAILED,
    "rejected": SmsStatus.REJECTED,
    "canceled": SmsStatus.CANCELED,
    "expired": SmsStatus.EXPIRED,
    "received": SmsStatus.RECEIVED,
}
_LINES: Final = {
    "mobile": LineType.MOBILE,
    "fixed_line": LineType.LANDLINE,
    "voip": LineType.VOIP,
    "toll_free": LineType.OTHER,
    "premium_rate": LineType.OTHER,
    "satellite": LineType.OTHER,
    "pager": LineType.OTHER,
    "payphone": LineType.OTHER,
    "m2m": LineType.OTHER,
    "service": LineType.OTHER,
    "other": LineType.OTHER,
}
_KINDS: Final[Mapping[str, Kind]] = {
    "auth_error": AuthenticationFailed,
    "permission_error": AuthenticationFailed,
    "bad_request_error": InvalidRequest,
    "payload_too_large_error": InvalidRequest,
    "validation_error": InvalidRequest,
    "rate_limit_error": RateLimitExceeded,
    "too_early_error": VendorFailed,
}
"""Errors by the type that an answer names."""
_OTHERWISE: Final[Mapping[int, Kind]] = {401: AuthenticationFailed, 429: RateLimitExceeded}
"""Errors for unknown types, by status; any other status is a refusal."""
_AT_WORK: Final = "E01004"
_OTHER_REQUEST: Final = "E01005"


def _checked_region(value: object) -> str:
    if isinstance(value, str) and _REGION.fullmatch(value):
        return value
    raise ConfigurationError(
        "This is not a region of Bird.",
        path="region",
        remedy="Give the part of the key between bk_ and the next _, such as eu1 or us1.",
    )


_KEYS: Final = VendorKeys(
    # Bird says roughly three hours.
    memory=2 * 3_600.0,
    repeat=RepeatedKey.REPLAYED,
    documentation=("https://bird.com/fr-fr/documentation/guides/idempotency/",),
    header="Idempotency-Key",
)


@careful
@attrs.frozen(kw_only=True)
class Bird(Vendor):
    """A workspace at Bird.

    Attributes:
        region: region of the workspace, such as `eu1`.
        credentials: API key; by default the credential provider supplies it.
        sender: sender of messages without one of their own.
        category: Bird's category of messages without one of their own: transactional, marketing,
            authentication or service.
        base_url: URL of Bird; by default that of the region.
    """

    name: ClassVar[str] = "bird"
    kinds: ClassVar[tuple[str, ...]] = ("sms",)
    api_version: ClassVar[str | None] = "v1"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {SmsCapability.LOOK_UP, SmsCapability.VALIDATE_NUMBER, SmsCapability.CARRIER}
    )
    limits: ClassVar[Mapping[str, int]] = {"segments": 12, "idempotency_key": _KEY}
    webhook: ClassVar[str | None] = "standard-webhooks"
    idempotency: ClassVar[VendorKeys | None] = _KEYS

    region: str = attrs.field(converter=_checked_region)
    credentials: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret)
    )
    sender: str | None = None
    category: str = attrs.field(
        default="transactional",
        metadata=choices("transactional", "marketing", "authentication", "service"),
    )
    base_url: str | None = None

    def services(self) -> Mapping[str, Service]:
        """The API."""
        credentials = None if self.credentials is None else Credentials.bearer(self.credentials)
        return {
            "": Service(
                "bird",
                self.base_url or f"https://{self.region}.platform.bird.com",
                credentials=credentials,
                needs_credentials=credentials is None,
                classify=classify,
                **_KEYS.settings,
            )
        }

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        """Send one message."""
        request = Request.post(_MESSAGES, json=message_body(self, message))
        vendor_key = None if key is None else key_at(wire, key, _KEY)
        return await wire.send(request, key=vendor_key, parse=partial(read_message, wire))

    async def get(self, wire: Wire, ref: Ref, /) -> SmsReceipt:
        """Get the status of a message."""
        request = Request.get(f"{_MESSAGES}/{quote(ref.id, safe='')}")
        return read_message(wire, await wire.send(request))

    async def validate_number(
        self,
        wire: Wire,
        number: str,
        /,
        *,
        country: str | None,  # noqa: ARG002 - Bird is asked in international form only
    ) -> NumberCheck:
        """Look up a number, which must be in international form whatever the country."""
        body = {"phone_number": check_number(number, "number")}
        try:
            return read_number(await wire.send(Request.post(_LOOK_UP, json=body)))
        except InvalidRequest as refusal:
            code, response = refusal.vendor_code, refusal.response
            if code is None or response is None or not _is_about_number(response):
                raise
            reasons = (refusal.vendor_message or code,)
            return NumberCheck(number=None, valid=False, reasons=reasons)

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[SmsEvent, ...]:
        """Convert a webhook to an event of a sent or a received message."""
        fields = read(event.data)
        sms = fields.text("sms_id")
        if sms is None or not event.vendor_type.startswith(_EVENT):
            return ()
        word = event.vendor_type.removeprefix(_EVENT)
        status = _STATUSES.get(word, SmsStatus.UNKNOWN)
        return (
            SmsEvent(
                id=event.id,
                ref=ref(sms),
                status=status,
                vendor_status=word,
                at=event.time,
                sender=fields.text("from") if status is SmsStatus.RECEIVED else None,
                text=fields.text("text"),
                error_code=fields.text("error.code"),
                raw=fields.raw,
            ),
        )


def message_body(vendor: Bird, message: SmsMessage) -> dict[str, Any]:
    """The body that sends a message."""
    body: dict[str, Any] = {
        "to": message.to,
        "from": sender_of(message, vendor.sender, "Bird"),
        "text": message.text,
        "category": vendor.category,
    }
    if message.reference is not None:
        body["metadata"] = {"reference": message.reference}
    whole = merged(body, extra_for("bird", message.extra))
    return {name: value for name, value in whole.items() if value is not None}


def read_message(wire: Wire, response: Response) -> SmsReceipt:
    """Parse a message."""
    body = answer(response)
    sms, status = body.text("id"), body.text("status")
    if sms is None:
        raise malformed(response, "id")
    return SmsReceipt(
        ref=wire.ref(sms),
        status=_STATUSES.get(status or "", SmsStatus.UNKNOWN),
        vendor_status=status,
        segments=body.integer("segments.count"),
        price=as_price(body.value("cost.amount"), body.text("cost.currency_code")),
        error_code=body.text("last_error.code"),
        error_message=body.text("last_error.description"),
        raw=body.raw,
    )


def read_number(response: Response) -> NumberCheck:
    """Parse the look-up of a number."""
    body = answer(response)
    number = body.text("phone_number")
    if number is None:
        raise malformed(response, "phone_number")
    return NumberCheck(
        number=number,
        valid=True,
        country=body.text("country_code"),
        line=_LINES.get(body.text("line_type") or "", LineType.UNKNOWN),
        carrier=body.text("network_info.carrier_name"),
        raw=body.raw,
    )


def _is_about_number(response: Response) -> bool:
    error = answer(response).object("error")
    named = [error.text("param"), *(detail.text("param") for detail in error.objects("details"))]
    return "phone_number" in named


def classify(_: Request, response: Response) -> ConnectorError | None:
    """The error for the type in an answer, which is more specific than its status."""
    if is_success(response.status) or response.status >= 500:
        return None
    try:
        error = answer(response).object("error")
    except VendorFailed:
        return None
    return _refused(response, error)


def _refused(response: Response, error: Answer) -> ConnectorError | None:
    code, kind = error.text("code"), error.text("type")
    if kind is None:
        return None
    if code == _AT_WORK:
        return IdempotencyInProgress("Bird is still working on a request with this key.")
    if code == _OTHER_REQUEST:
        return IdempotencyConflict("Bird knows this key from another request.")
    words = vendor_words(response)[1]
    error_type = _KINDS.get(kind, _OTHERWISE.get(response.status, VendorRejected))
    return refusal(error_type, "Bird", response, code or kind, words)
