"""Bought shipments, their labels and cancellations, and checks of addresses."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.contracts.replays import replay_field
from moorage.contracts.shipping.rates import (
    CarrierMessage,
    Choice,
    LabelFormat,
    RateRequest,
    ShippingCapability,
)
from moorage.contracts.validators import is_a
from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from moorage.contracts.address import Address
    from moorage.contracts.ref import Ref
    from moorage.domain.values.money import Money


class ShipmentState(StrEnum):
    """The state of buying or cancelling a shipment."""

    QUOTED = "quoted"
    PENDING = "pending"
    BOUGHT = "bought"
    FAILED = "failed"
    CANCELING = "canceling"
    CANCELED = "canceled"
    UNKNOWN = "unknown"

    @property
    def settled(self) -> bool:
        """True if the vendor has finished buying or cancelling the shipment."""
        return self not in {self.PENDING, self.CANCELING, self.UNKNOWN}


@frozen(kw_only=True)
class ShipmentRequest:
    """A shipment to buy at the best rate.

    Attributes:
        rate_request: the shipment.
        choose: rule that chooses the rate; the cheapest by default. A vendor without rates needs
            a rule that names one service and no other limit.
        recoverable: True to buy only at a vendor that finds a label whose response was lost.
    """

    rate_request: RateRequest = field(validator=is_a(RateRequest))
    choose: Choice = field(factory=Choice, validator=is_a(Choice))
    recoverable: bool = field(default=False, validator=is_a(bool))

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs for this purchase."""
        requested_features = {
            ShippingCapability.RATES: self.choose.only_service is None,
            ShippingCapability.FIND_LOST_LABEL: self.recoverable,
        }
        return self.rate_request.needs | {
            name for name, value in requested_features.items() if value
        }


@frozen(kw_only=True)
class Label:
    """A shipping label.

    Attributes:
        format: file format.
        content: bytes of the label; None if they could not be fetched, and are only at `url`.
        url: temporary URL of the label at the vendor. Anybody with this URL can read the label.
        size: the vendor's own name of the size.
        vendor_format: the vendor's own name of the format.
        tracking_number: tracking number of the parcel that it belongs to.
    """

    format: LabelFormat
    content: bytes | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)
    size: str | None = None
    vendor_format: str | None = None
    tracking_number: str | None = None


@frozen(kw_only=True)
class Shipment:
    """A shipment that was bought.

    Attributes:
        ref: reference of the shipment at the vendor.
        state: state of the purchase.
        vendor_status: the vendor's own word for the state.
        tracking_numbers: tracking numbers, one for each parcel.
        tracking_url: page where people can track the shipment.
        carrier, service: carrier and service, by names that all vendors share.
        cost: price.
        labels: labels to print, one for each parcel.
        documents: URLs of further documents, such as a customs invoice.
        warnings: warnings of the carrier.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    state: ShipmentState
    vendor_status: str | None = None
    tracking_numbers: tuple[str, ...] = ()
    tracking_url: str | None = field(default=None, repr=False)
    carrier: str | None = None
    service: str | None = None
    cost: Money | None = None
    labels: tuple[Label, ...] = ()
    documents: tuple[str, ...] = field(default=(), repr=False)
    warnings: tuple[CarrierMessage, ...] = ()
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


class CancelState(StrEnum):
    """The state of cancelling a shipment."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class CancelResult:
    """The result of cancelling a shipment; money is refunded only once it is approved.

    Attributes:
        ref: reference of the shipment at the vendor.
        state: state of the cancellation.
        vendor_status: the vendor's own word for the state.
        refund: refunded amount, if the vendor states it.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    state: CancelState
    vendor_status: str | None = None
    refund: Money | None = None
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


class AddressVerdict(StrEnum):
    """The vendor's judgement whether it can deliver to an address."""

    VALID = "valid"
    CORRECTED = "corrected"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class AddressResult:
    """The result of checking an address; moorage never replaces an address by itself.

    Attributes:
        verdict: judgement whether the vendor can deliver there.
        given: the checked address.
        suggested: address in the carrier's spelling, if it is deliverable.
        changes: names of the fields in which the two differ.
        messages: messages of the vendor.
        residential: True for a home, False for a business, None if unknown.
        raw: the vendor's complete response.
    """

    verdict: AddressVerdict
    given: Address
    suggested: Address | None = None
    changes: tuple[str, ...] = ()
    messages: tuple[CarrierMessage, ...] = ()
    residential: bool | None = None
    raw: Any = field(default=None, repr=False, eq=False)
