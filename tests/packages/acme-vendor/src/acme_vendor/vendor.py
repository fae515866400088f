"""Acme: text messages.

JSON with a bearer key. Acme knows idempotency keys: what may have been sent is asked for again
under its key.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import Credentials, Request, Secret, Service
from moorage.contracts.sms import SmsCapability, SmsEvent, SmsMessage, SmsReceipt, SmsStatus
from moorage.contracts.vendor import RepeatedKey, Vendor, VendorKeys, extra_for, key_at, merged
from moorage.domain.secrets.secret import as_secret
from moorage.domain.values.json_text import is_object
from moorage.errors import InvalidData, VendorFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage import Ref, Response
    from moorage.contracts.vendor import MakeRef
    from moorage.contracts.wire import Wire
    from moorage.domain.webhooks.events import WebhookEvent

_KEY: Final = 255
_EVENT: Final = "message."
_STATUSES: Final = {
    "queued": SmsStatus.QUEUED,
    "sent": SmsStatus.SENT,
    "delivered": SmsStatus.DELIVERED,
    "failed": SmsStatus.FAILED,
}
"""What Acme's words for a status mean; a word that is not here is unknown, and kept."""
_KEYS: Final = VendorKeys(
    # Where Acme's documents differ, the smaller number counts.
    memory=24 * 3_600.0,
    repeat=RepeatedKey.REPLAYED,
    documentation=("https://docs.acme.example/idempotency",),
    header="Idempotency-Key",
)


@attrs.frozen(kw_only=True)
class Acme(Vendor):
    """An account at Acme.

    Attributes:
        credentials: the API key; by default the credential provider is asked.
        sender: who messages come from unless they say so themselves.
        base_url: where Acme is.
    """

    name: ClassVar[str] = "acme"
    kinds: ClassVar[tuple[str, ...]] = ("sms",)
    capabilities: ClassVar[frozenset[str]] = frozenset({SmsCapability.LOOK_UP})
    limits: ClassVar[Mapping[str, int]] = {"idempotency_key": _KEY}
    webhook: ClassVar[str | None] = "standard-webhooks"
    idempotency: ClassVar[VendorKeys | None] = _KEYS

    credentials: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret)
    )
    sender: str | None = None
    base_url: str = "https://api.acme.example"

    def services(self) -> Mapping[str, Service]:
        """The API."""
        credentials = None if self.credentials is None else Credentials.bearer(self.credentials)
        return {
            "": Service(
                "acme",
                self.base_url,
                credentials=credentials,
                needs_credentials=credentials is None,
                **_KEYS.settings,
            )
        }

    async def send(self, wire: Wire, message: SmsMessage, /, *, key: str | None) -> SmsReceipt:
        """Send one message."""
        request = Request.post("/v1/messages", json=message_body(self, message))
        vendor_key = None if key is None else key_at(wire, key, _KEY)
        return await wire.send(request, key=vendor_key, parse=partial(read_message, wire))

    async def get(self, wire: Wire, ref: Ref, /) -> SmsReceipt:
        """Ask what became of one."""
        request = Request.get(f"/v1/messages/{quote(ref.id, safe='')}")
        return read_message(wire, await wire.send(request))

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[SmsEvent, ...]:
        """News of a message."""
        data = event.data if is_object(event.data) else {}
        message, word = data.get("id"), event.vendor_type.removeprefix(_EVENT)
        if not isinstance(message, str) or not event.vendor_type.startswith(_EVENT):
            return ()
        status = _STATUSES.get(word, SmsStatus.UNKNOWN)
        news = SmsEvent(
            id=event.id,
            ref=ref(message),
            status=status,
            vendor_status=word,
            at=event.time,
            raw=data,
        )
        return (news,)


def message_body(vendor: Acme, message: SmsMessage) -> dict[str, Any]:
    """The body that sends a message."""
    body = {"to": message.to, "from": message.sender or vendor.sender, "text": message.text}
    whole = merged(body, extra_for(vendor.name, message.extra))
    return {name: value for name, value in whole.items() if value is not None}


def read_message(wire: Wire, response: Response) -> SmsReceipt:
    """What is said of a message.

    Raises:
        VendorFailed: the answer names none, so that nobody knows what was done.
    """
    body = _object(response)
    message, status = body.get("id"), body.get("status")
    if not isinstance(message, str):
        raise VendorFailed(
            "Acme's answer names no message.",
            status=response.status,
            response=response,
            retryable=False,
            remedy="Look the message up at Acme before sending it again.",
        )
    return SmsReceipt(
        ref=wire.ref(message),
        status=_STATUSES.get(str(status), SmsStatus.UNKNOWN),
        vendor_status=None if status is None else str(status),
        raw=body,
    )


def _object(response: Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except InvalidData:
        return {}
    return body if is_object(body) else {}
