"""Shipments that were bought, their labels, and what became of calling one back."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs

from moorage.contracts.kinds import is_a
from moorage.contracts.shipping.rates import CarrierMessage, Choice, LabelFormat, RateRequest

if TYPE_CHECKING:
    from moorage.contracts.address import Address
    from moorage.contracts.ref import Ref
    from moorage.domain.money import Money


class ShipmentState(StrEnum):
    """How far buying a shipment, or calling it back, has come."""

    QUOTED = "quoted"
    PENDING = "pending"
    BOUGHT = "bought"
    FAILED = "failed"
    CANCELING = "canceling"
    CANCELED = "canceled"
    UNKNOWN = "unknown"

    @property
    def settled(self) -> bool:
        """Whether the vendor is not at work on it."""
        return self not in {self.PENDING, self.CANCELING, self.UNKNOWN}


@attrs.frozen(kw_only=True)
class ShipmentRequest:
    """A shipment to be bought from whoever has the best offer.

    Attributes:
        asked: the shipment as it is offered to carriers.
        choose: which offer to take; the cheapest unless it says otherwise.
    """

    asked: RateRequest = attrs.field(validator=is_a(RateRequest))
    choose: Choice = attrs.field(factory=Choice, validator=is_a(Choice))

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that it takes."""
        return self.asked.needs


@attrs.frozen(kw_only=True)
class Label:
    """A label to be printed.

    Attributes:
        format: what it is written in.
        content: the label; None if it could not be fetched, and then it is at `url`.
        url: where the vendor keeps it, for a time. Whoever has this URL has the label.
        size: how large it is, in the vendor's words.
        vendor_format: what it is written in, in the vendor's words.
        tracking_number: whose label it is, of several parcels.
    """

    format: LabelFormat
    content: bytes | None = attrs.field(default=None, repr=False)
    url: str | None = attrs.field(default=None, repr=False)
    size: str | None = None
    vendor_format: str | None = None
    tracking_number: str | None = None


@attrs.frozen(kw_only=True)
class Shipment:
    """What a vendor says of a shipment.

    Attributes:
        ref: the shipment at the vendor.
        state: how far it has come.
        vendor_status: the same in the vendor's word.
        tracking_numbers: what to follow it by, one for each parcel.
        tracking_url: where people can follow it.
        carrier, service: who carries it and how, in words that are the same for every vendor.
        cost: what it costs.
        labels: what to print, one for each parcel.
        documents: URLs of further papers, such as an invoice for customs.
        warnings: what carriers had to say.
        raw: all that the vendor said.
    """

    ref: Ref
    state: ShipmentState
    vendor_status: str | None = None
    tracking_numbers: tuple[str, ...] = ()
    tracking_url: str | None = attrs.field(default=None, repr=False)
    carrier: str | None = None
    service: str | None = None
    cost: Money | None = None
    labels: tuple[Label, ...] = ()
    documents: tuple[str, ...] = attrs.field(default=(), repr=False)
    warnings: tuple[CarrierMessage, ...] = ()
    raw: Any = attrs.field(default=None, repr=False, eq=False)


class CancelState(StrEnum):
    """How far calling a shipment back has come."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class CancelResult:
    """What became of calling a shipment back; money comes back only when it is approved.

    Attributes:
        ref: the shipment at the vendor.
        state: how far it has come.
        vendor_status: the same in the vendor's word.
        refund: what comes back, where the vendor says.
        raw: all that the vendor said.
    """

    ref: Ref
    state: CancelState
    vendor_status: str | None = None
    refund: Money | None = None
    raw: Any = attrs.field(default=None, repr=False, eq=False)


class AddressVerdict(StrEnum):
    """Whether something can be delivered to an address."""

    VALID = "valid"
    CORRECTED = "corrected"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class AddressResult:
    """What a vendor makes of an address; nothing is ever replaced unasked.

    Attributes:
        verdict: whether something can be delivered there.
        given: the address as it was given.
        suggested: as the post writes it, if it can be delivered to.
        changes: the names of the fields in which these differ.
        messages: what the vendor had to say.
        residential: whether people live there; None is not known.
        raw: all that the vendor said.
    """

    verdict: AddressVerdict
    given: Address
    suggested: Address | None = None
    changes: tuple[str, ...] = ()
    messages: tuple[CarrierMessage, ...] = ()
    residential: bool | None = None
    raw: Any = attrs.field(default=None, repr=False, eq=False)
