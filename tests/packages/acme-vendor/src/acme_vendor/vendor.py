"""Acme: text messages.

JSON with a bearer key. Acme replays its answer to an idempotency key, so a message that may have
been sent is sent again under its key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.sms import SmsCapability, SmsEvent, SmsMessage, SmsReceipt, SmsStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX: Final = "message."
_STATUSES: Final = sdk.same(SmsStatus, "queued sent delivered failed")
"""The meaning of Acme's words for a status; any other word is unknown, and kept."""
_MESSAGE: Final = sdk.Reading(
    SmsReceipt,
    ref=sdk.ref_at("id"),
    status=sdk.word("status", of=_STATUSES, otherwise=SmsStatus.UNKNOWN),
    vendor_status=sdk.text("status"),
)
_UPDATE: Final = sdk.Reading(
    SmsEvent, supplied=("id", "status", "vendor_status", "at"), ref=sdk.ref_at("id")
)


def message_body(vendor: Acme, message: SmsMessage) -> dict[str, Any]:
    """The body that sends a message."""
    return {"to": message.to, "from": message.sender or vendor.sender, "text": message.text}


@attrs.frozen(kw_only=True)
class Acme(sdk.ApiVendor):
    """An account at Acme.

    Attributes:
        credentials: the API key; by default the credential provider supplies it.
        sender: sender of messages without one of their own.
        base_url: URL of Acme.
    """

    name = "acme"
    kinds = ("sms",)
    refusals = sdk.Refusals(
        vendor="Acme",
        # Acme's own error codes, as `codes`, come before the statuses.
        statuses=sdk.error_statuses("400 422"),
    )
    capabilities = frozenset({SmsCapability.LOOK_UP})
    limits: ClassVar[Mapping[str, int]] = {"idempotency_key": 255}
    webhook = "standard-webhooks"
    idempotency = sdk.VendorKeys(
        # Where Acme's documents differ, the smaller number counts.
        memory=24 * 3_600.0,
        repeat=sdk.RepeatedKey.REPLAYED,
        documentation=("https://docs.acme.example/idempotency",),
        header="Idempotency-Key",
    )

    sender: str | None = None
    base_url: str = "https://api.acme.example"

    send = sdk.post("/v1/messages", json=message_body, reads=_MESSAGE)
    get = sdk.get("/v1/messages/{id}", reads=_MESSAGE)

    def events(self, event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[SmsEvent, ...]:
        """Return the message events of a webhook: one, or none if it reports anything else."""
        if not event.vendor_type.startswith(_PREFIX):
            return ()
        word = event.vendor_type.removeprefix(_PREFIX)
        status = _STATUSES.get(word, SmsStatus.UNKNOWN)
        more = {"id": event.id, "at": event.time, "status": status, "vendor_status": word}
        return _UPDATE.parse_if_complete(ref, sdk.as_answer(event.data), **more)
