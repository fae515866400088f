"""Plivo: text messages and number look-ups.

Messages use version 1 of the API with JSON, look-ups a host of their own, both with basic
authentication. Plivo takes no idempotency key, so a message that may have been sent is not sent
again. Errors have a text but no code.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage.contracts.sms import (
    Balance,
    LineType,
    NumberCheck,
    SmsCapability,
    SmsEvent,
    SmsMessage,
    SmsReceipt,
    SmsStatus,
    check_number,
)
from moorage.contracts.vendor import Vendor, choices, extra_for, merged
from moorage.domain.auth.methods import Credentials
from moorage.domain.http.requests import HttpMethod, Request
from moorage.domain.resilience.classify import is_success, vendor_words
from moorage.domain.secrets.frames import careful
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.service.settings import Service
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.vendors._reading import answer, malformed, read
from moorage.vendors.sms._common import as_price, international, refusal, sender_of

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

_LOOKUPS: Final = "lookups"
_CURRENCY: Final = "USD"
_AUTH_ID: Final = re.compile(r"(?:MA|SA)[A-Z0-9]{18}")
_STATUSES: Final = {
    "queued": SmsStatus.QUEUED,
    "sent": SmsStatus.SENT,
    "delivered": SmsStatus.DELIVERED,
    "read": SmsStatus.READ,
    "undelivered": SmsStatus.UNDELIVERED,
    "failed": SmsStatus.FAILED,
    "rejected": SmsStatus.REJECTED,
    "received": SmsStatus.RECEIVED,
}
_LINES: Final = {
    "mobile": LineType.MOBILE,
    "fixed": LineType.LANDLINE,
    "voip": LineType.VOIP,
    "toll-free": LineType.OTHER,
}
_KINDS: Final[Mapping[int, Kind]] = {
    400: InvalidRequest,
    401: AuthenticationFailed,
    405: InvalidRequest,
    422: InvalidRequest,
    429: RateLimitExceeded,
}
"""Errors by status, for answers with a text; any other status is a refusal."""
_LATER: Final = frozenset({408, 425})
_NO_NUMBER: Final = 404
_FORBIDDEN: Final = 403
_NO_ERROR: Final = "000"
_SCHEMES: Final = {3: "plivo", 2: "plivo-v2"}
"""Signature schemes by version."""


def _checked_auth_id(value: object) -> str:
    if isinstance(value, str) and _AUTH_ID.fullmatch(value):
        return value
    raise ConfigurationError(
        "This is not the auth id of a Plivo account.",
        path="auth_id",
        remedy="Give MA, or SA for a subaccount, with the 18 letters and digits that follow.",
    )


def _checked_version(value: object) -> int:
    if type(value) is int and value in _SCHEMES:
        return value
    raise ConfigurationError(
        "Plivo's webhooks have no signatures of this version.",
        path="webhook_version",
        remedy="Give 3, or 2 if the account's webhooks have no other.",
    )


@careful
@attrs.frozen(kw_only=True)
class Plivo(Vendor):
    """An account at Plivo.

    Attributes:
        auth_id: id of the account, which begins with MA, or SA for a subaccount.
        credentials: auth token; by default the credential provider supplies `Credentials`.
        sender: sender of messages without one of their own.
        webhook_version: required version of webhook signatures: 3, or 2, which does not cover the
            content.
        base_url, lookups_url: URLs of Plivo.
    """

    name: ClassVar[str] = "plivo"
    kinds: ClassVar[tuple[str, ...]] = ("sms",)
    api_version: ClassVar[str | None] = "v1"
    capabilities: ClassVar[frozenset[str]] = frozenset(SmsCapability) - {
        SmsCapability.SCHEDULED,
        SmsCapability.CANCEL,
    }
    limits: ClassVar[Mapping[str, int]] = {"text": 1600, "media": 10}
    webhook: ClassVar[str | None] = "plivo"

    auth_id: str = attrs.field(converter=_checked_auth_id)
    credentials: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret)
    )
    sender: str | None = None
    webhook_version: int = attrs.field(
        default=3, converter=_checked_version, metadata=choices(*_SCHEMES)
    )
    base_url: str = "https://api.plivo.com"
    lookups_url: str = "https://lookup.plivo.com"

    def ping(self) -> Request:
        """Request the account."""
        return Request.get(self._path())

    def services(self) -> Mapping[str, Service]:
        """The API, and that of look-ups."""
        credentials = None
        if self.credentials is not None:
            credentials = Credentials.basic(self.auth_id, self.credentials)
        return {
            to: Service(
                "plivo",
                url,
                credentials=credentials,
                needs_credentials=credentials is None,
                classify=classify,
            )
            for to, url in (("", self.base_url), (_LOOKUPS, self.lookups_url))
        }

    def verifying(self) -> Mapping[str, Any]:
        """The signature scheme of the required version."""
        return {"scheme": _SCHEMES[self.webhook_version]}

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        """Send one message."""
        request = Request.post(self._path("Message"), json=message_body(self, message))
        body, uuid = await wire.send(request, key=key, parse=_read_sent)
        return SmsReceipt(
            ref=wire.ref(uuid),
            status=SmsStatus.QUEUED,
            vendor_status=body.text("message"),
            raw=body.raw,
        )

    async def get(self, wire: Wire, ref: Ref, /) -> SmsReceipt:
        """Get the status of a message."""
        return read_message(wire, await wire.send(Request.get(self._path("Message", ref.id))))

    async def validate_number(
        self,
        wire: Wire,
        number: str,
        /,
        *,
        country: str | None,  # noqa: ARG002 - Plivo is asked in international form only
    ) -> NumberCheck:
        """Look up a number, which must be in international form whatever the country."""
        path = f"/v1/Number/{quote(check_number(number, 'number'), safe='')}"
        request = Request.get(path, query={"type": "carrier"})
        try:
            return read_number(await wire.send(request, to=_LOOKUPS))
        except VendorRejected as refusal:
            if refusal.status != _NO_NUMBER or refusal.vendor_code is None:
                raise
            return NumberCheck(number=None, valid=False, reasons=(refusal.vendor_code,))

    async def check_balance(self, wire: Wire, /) -> Balance:
        """Get the balance, in dollars."""
        response = await wire.send(Request.get(self._path()))
        body = answer(response)
        amount = as_price(body.value("cash_credits"), _CURRENCY)
        if amount is None:
            raise malformed(response, "cash_credits")
        return Balance(amount=amount, raw=body.raw)

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[SmsEvent, ...]:
        """Convert a webhook to an event of a sent or a received message."""
        fields = read(event.data)
        uuid = fields.text("MessageUUID")
        if uuid is None:
            return ()
        status, text = fields.text("Status"), fields.text("Text")
        came_in = status is None and text is not None
        delivery_status = _STATUSES.get(status or "", SmsStatus.UNKNOWN)
        return (
            SmsEvent(
                id=event.id,
                ref=ref(uuid),
                status=SmsStatus.RECEIVED if came_in else delivery_status,
                vendor_status=status,
                sender=international(fields.text("From")) if came_in else None,
                text=text,
                error_code=_error(fields.text("ErrorCode")),
                raw=fields.raw,
            ),
        )

    def _path(self, *parts: str) -> str:
        names = "".join(f"{quote(part, safe='')}/" for part in parts)
        return f"/v1/Account/{self.auth_id}/{names}"


def message_body(vendor: Plivo, message: SmsMessage) -> dict[str, Any]:
    """The body that sends a message."""
    body: dict[str, Any] = {"dst": message.to.removeprefix("+"), "text": message.text or None}
    if message.sender_pool is None:
        body["src"] = sender_of(message, vendor.sender, "Plivo").removeprefix("+")
    else:
        body["powerpack_uuid"] = message.sender_pool
    if message.media:
        body |= {"type": "mms", "media_urls": list(message.media)}
    if message.callback_url is not None:
        body |= {"url": message.callback_url, "method": "POST"}
    if message.validity is not None:
        body["message_expiry"] = int(message.validity.total_seconds())
    whole = merged(body, extra_for("plivo", message.extra))
    return {name: value for name, value in whole.items() if value is not None}


def read_message(wire: Wire, response: Response) -> SmsReceipt:
    """Parse a message."""
    body = answer(response)
    uuid, state = body.text("message_uuid"), body.text("message_state")
    if uuid is None:
        raise malformed(response, "message_uuid")
    status = _STATUSES.get(state or "", SmsStatus.UNKNOWN)
    if body.text("message_direction") == "inbound":
        # The "delivered" of a received message means that it was delivered to us.
        status = SmsStatus.RECEIVED
    return SmsReceipt(
        ref=wire.ref(uuid),
        status=status,
        vendor_status=state,
        segments=body.integer("units"),
        price=as_price(body.value("total_amount"), _CURRENCY),
        error_code=_error(body.text("error_code")),
        error_message=body.text("error_message"),
        raw=body.raw,
    )


def _error(code: str | None) -> str | None:
    return None if code == _NO_ERROR else code


def _read_sent(response: Response) -> tuple[Answer, str]:
    """Parse the receipt and the id of an accepted message."""
    body = answer(response)
    uuids = body.texts("message_uuid")
    if not uuids:
        raise malformed(response, "message_uuid")
    return body, uuids[0]


def read_number(response: Response) -> NumberCheck:
    """Parse the look-up of a number."""
    body = answer(response)
    number = body.text("format.e164") or body.text("phone_number")
    if number is None:
        raise malformed(response, "phone_number")
    return NumberCheck(
        number=number,
        valid=True,
        country=body.text("country.iso2"),
        national=body.text("format.national"),
        line=_LINES.get(body.text("carrier.type") or "", LineType.UNKNOWN),
        carrier=body.text("carrier.name"),
        raw=body.raw,
    )


def classify(request: Request, response: Response) -> ConnectorError | None:
    """The error for the text and status of an answer; without a text, for the status alone."""
    status = response.status
    if is_success(status) or status >= 500 or status in _LATER:
        return None
    code, words = vendor_words(response)
    if code is None and words is None:
        return None
    kind = _KINDS.get(status, VendorRejected)
    if status == _FORBIDDEN and request.method is not HttpMethod.POST:
        # A country that the account may not send to is refused in the same way.
        kind = AuthenticationFailed
    return refusal(kind, "Plivo", response, code, words)
