"""Changes in the books that a vendor reports."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    import datetime as dt

    from moorage.contracts.ref import Ref


class BookRecord(StrEnum):
    """A kind of record in the books."""

    INVOICE = "invoice"
    BILL = "bill"
    CONTACT = "contact"
    PAYMENT = "payment"
    JOURNAL = "journal"
    OTHER = "other"


class BookChange(StrEnum):
    """A change of a record in the books."""

    CREATED = "created"
    UPDATED = "updated"
    VOIDED = "voided"
    DELETED = "deleted"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class AccountingEvent:
    """A change in the books that the vendor reports, without the content of the record.

    Attributes:
        id: unique id of the event.
        ref: reference of the record.
        record: kind of the record. Xero reports bills as invoices.
        change: change of the record.
        vendor_type: the vendor's own word for the event.
        at: time of the change, if the vendor states it.
        raw: the vendor's complete event.
    """

    id: str | None
    ref: Ref
    record: BookRecord
    change: BookChange
    vendor_type: str | None = None
    at: dt.datetime | None = None
    raw: Any = field(default=None, repr=False, eq=False)
