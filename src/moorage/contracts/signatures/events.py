"""Events of envelopes, which a vendor reports."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.ref import Ref


class SignatureEventType(StrEnum):
    """The kind of an event; `signed` means one signer, `completed` all signers."""

    SENT = "sent"
    VIEWED = "viewed"
    SIGNED = "signed"
    COMPLETED = "completed"
    DECLINED = "declined"
    VOIDED = "voided"
    EXPIRED = "expired"
    REMINDED = "reminded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class SignatureEvent:
    """An event of an envelope (the documents that were sent to sign).

    Attributes:
        id: unique id of the event.
        ref: reference of the envelope at the vendor.
        type: kind of the event.
        vendor_type: the vendor's own word for it.
        signer: email address of the signer whom it is about, if the vendor names one.
        at: time of the event, if the vendor states it.
        raw: the vendor's complete event.
    """

    id: str | None
    ref: Ref
    type: SignatureEventType
    vendor_type: str | None = None
    signer: str | None = field(default=None, repr=False)
    at: datetime | None = None
    raw: Any = field(default=None, repr=False, eq=False)
