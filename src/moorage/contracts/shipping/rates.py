"""Rates: the prices of carriers for a shipment, and the choice of the best rate."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.address import Address
from moorage.contracts.replays import replay_field
from moorage.contracts.shipping.parcels import Customs, Parcel, check_amount
from moorage.contracts.validators import (
    OneOf,
    are_all,
    as_tuple,
    is_a,
    is_maybe,
    is_maybe_day,
    is_maybe_whole,
)
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen, optional
from moorage.domain.values.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    import attrs

    from moorage.contracts.ref import Ref

KIND: Final = "shipping"


class ShippingCapability(StrEnum):
    """An optional feature of a shipping vendor.

    `RATES`: the vendor quotes prices. `FIND_LOST_LABEL`: if the response to a purchase is lost, the
    vendor finds the label again; without it, the outcome of such a purchase stays unknown.
    `DUTIES`: the vendor estimates the duties and taxes on an import. `PAPERLESS_CUSTOMS` and
    `INVOICE_UPLOAD`: the vendor sends the invoice to customs electronically, its own or yours.
    """

    RATES = "rates"
    FIND_LOST_LABEL = "find_lost_label"
    MULTI_PARCEL = "multi_parcel"
    CUSTOMS = "customs"
    INSURANCE = "insurance"
    SIGNATURE = "signature"
    SATURDAY_DELIVERY = "saturday_delivery"
    RETURNS = "returns"
    LABEL_ZPL = "label_zpl"
    LABEL_EPL = "label_epl"
    LABEL_PAPER = "label_paper"
    LABEL_AGAIN = "label_again"
    CONVERT_LABEL = "convert_label"
    BUY_BY_REFERENCE = "buy_by_reference"
    TRACK = "track"
    CANCEL = "cancel"
    VALIDATE_ADDRESS = "validate_address"
    PICKUP = "pickup"
    PICKUP_SEVERAL = "pickup_several"
    CANCEL_PICKUP = "cancel_pickup"
    MANIFEST = "manifest"
    SERVICE_POINTS = "service_points"
    DUTIES = "duties"
    PAPERLESS_CUSTOMS = "paperless_customs"
    INVOICE_UPLOAD = "invoice_upload"


class Signature(OneOf, field="signature"):
    """The signature required at delivery."""

    ANYBODY = "anybody"
    ADULT = "adult"


class LabelFormat(OneOf, field="label"):
    """The file format of a label."""

    PDF = "pdf"
    PNG = "png"
    ZPL = "zpl"
    EPL = "epl"
    UNKNOWN = "unknown"


class LabelSize(OneOf, field="label_size"):
    """The paper size of a label, in inches or as an ISO 216 format."""

    INCHES_4X6 = "4x6"
    A4 = "A4"
    A5 = "A5"
    A6 = "A6"


def _parcels(value: Parcel | Iterable[Parcel]) -> tuple[Parcel, ...]:
    try:
        return tuple(value)  # type: ignore[arg-type]  # one parcel is no sequence
    except TypeError:
        return (value,)  # type: ignore[return-value]  # what is not iterable is one parcel


def _check_label(label: LabelFormat, size: LabelSize | None) -> None:
    if label is LabelFormat.UNKNOWN:
        raise InvalidData(
            "The format of the label is unknown.",
            field="label",
            remedy="Give 'pdf', 'png', 'zpl' or 'epl'.",
        )
    if size is not None and label is not LabelFormat.PDF:
        raise InvalidData(
            f"A label size can be chosen for PDF only, not for {label}.",
            field="label_size",
            remedy="Leave the size out, or choose PDF.",
        )


def _is_maybe_amount(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        check_amount(value, attribute.name)


@frozen(kw_only=True)
class RateRequest:
    """A shipment for which rates are requested.

    Attributes:
        sender: address of the sender.
        recipient: address of the recipient.
        return_to: address for returns, if not the sender's.
        parcels: one or several parcels.
        customs: customs declaration, if the shipment crosses a border.
        carrier_accounts: the vendor's ids of the carrier accounts to ask; empty for all.
        ship_date: date of handing over, if not today.
        label, label_size: format and size of the label.
        insurance: insured value.
        signature: signature required at delivery.
        saturday: True to deliver on a Saturday.
        is_return: True for a customer's return, whose sender is the customer.
        service_point: id of the service point where the recipient collects the shipment.
        reference: text of your own that the vendor stores with the shipment.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    sender: Address = field(validator=is_a(Address))
    recipient: Address = field(validator=is_a(Address))
    return_to: Address | None = field(default=None, validator=is_maybe(Address))
    parcels: tuple[Parcel, ...] = field(converter=_parcels, validator=are_all(Parcel))
    customs: Customs | None = field(default=None, validator=is_maybe(Customs))
    carrier_accounts: tuple[str, ...] = field(
        default=(), converter=as_tuple, validator=are_all(str)
    )
    ship_date: date | None = field(default=None, validator=is_maybe_day)
    label: LabelFormat = field(default=LabelFormat.PDF, converter=LabelFormat)
    label_size: LabelSize | None = field(default=None, converter=optional(LabelSize))
    insurance: Money | None = field(default=None, validator=_is_maybe_amount)
    signature: Signature | None = field(default=None, converter=optional(Signature))
    saturday: bool = field(default=False, validator=is_a(bool))
    is_return: bool = field(default=False, validator=is_a(bool))
    service_point: str | None = field(default=None, validator=is_maybe(str))
    reference: str | None = field(default=None, validator=is_maybe(str))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a shipment without parcels, and a label format or size that is not supported."""
        _check_label(self.label, self.label_size)
        if not self.parcels:
            raise InvalidData(
                "The shipment must have a parcel.",
                field="parcels",
                remedy="Give at least one parcel.",
            )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs for this shipment."""
        requested_features = {
            ShippingCapability.MULTI_PARCEL: len(self.parcels) > 1,
            ShippingCapability.CUSTOMS: self.customs,
            ShippingCapability.PAPERLESS_CUSTOMS: self.customs and self.customs.paperless,
            ShippingCapability.INVOICE_UPLOAD: self.customs
            and self.customs.invoice_file is not None,
            ShippingCapability.INSURANCE: self.insurance,
            ShippingCapability.SIGNATURE: self.signature,
            ShippingCapability.SATURDAY_DELIVERY: self.saturday,
            ShippingCapability.RETURNS: self.is_return,
            ShippingCapability.SERVICE_POINTS: self.service_point is not None,
            ShippingCapability.LABEL_ZPL: self.label is LabelFormat.ZPL,
            ShippingCapability.LABEL_EPL: self.label is LabelFormat.EPL,
            ShippingCapability.LABEL_PAPER: self.label_size not in {None, LabelSize.INCHES_4X6},
        }
        return frozenset(capability for capability, value in requested_features.items() if value)


@frozen(kw_only=True)
class CarrierMessage:
    """A message of a carrier, such as the reason why it offers no rate.

    Attributes:
        carrier: carrier, by our name for it.
        code: the vendor's code of the message.
        text: text of the message.
    """

    carrier: str | None = None
    code: str | None = None
    text: str | None = None


@frozen(kw_only=True)
class Rate:
    """A carrier's price for a shipment.

    Attributes:
        ref: reference of the rate, by which the shipment can be bought later. If the vendor stores
            no rates, pass this whole value to the purchase instead.
        carrier: carrier, by a name that all vendors share, such as "usps".
        service: carrier's service, by a name that all vendors share, such as "usps_priority".
        total: price.
        vendor_carrier, vendor_service: the vendor's own names of these.
        service_name: name of the service for people.
        list_price: price without a contract, if the vendor states it.
        delivery_days: number of days until delivery.
        delivery_date: expected date of delivery.
        guaranteed: True if the date is guaranteed; None if unknown.
        carrier_account: account at the carrier.
        rate_request: the shipment that the rate is for; a reference alone does not contain it.
        raw: the vendor's complete response.
    """

    ref: Ref
    carrier: str
    service: str
    total: Money
    vendor_carrier: str | None = None
    vendor_service: str | None = None
    service_name: str | None = None
    list_price: Money | None = None
    delivery_days: int | None = None
    delivery_date: datetime | None = None
    guaranteed: bool | None = None
    carrier_account: str | None = None
    rate_request: RateRequest | None = field(default=None, repr=False, eq=False)
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class RateResult:
    """The rates for a shipment, and the messages of carriers without a rate.

    Attributes:
        rates: rates, in the vendor's order.
        messages: messages of the carriers.
        ref: reference of the shipment; None if the vendor stores none before it is bought.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    rates: tuple[Rate, ...]
    messages: tuple[CarrierMessage, ...] = ()
    ref: Ref | None = None
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


class RateCriterion(OneOf, field="by"):
    """The criterion by which the best rate is chosen."""

    PRICE = "price"
    SPEED = "speed"


@frozen(kw_only=True)
class Choice:
    """A rule that chooses a rate: filters, and a criterion for the remaining rates.

    Attributes:
        carriers, services: accepted carriers and services, by our names or the vendor's; empty for
            all.
        most: maximum price.
        within_days: maximum number of days; a rate that does not state its days is rejected.
        by: criterion for the best; among equals the cheapest, then the first.
    """

    carriers: tuple[str, ...] = field(default=(), converter=as_tuple, validator=are_all(str))
    services: tuple[str, ...] = field(default=(), converter=as_tuple, validator=are_all(str))
    most: Money | None = field(default=None, validator=is_maybe(Money))
    within_days: int | None = field(default=None, validator=is_maybe_whole)
    by: RateCriterion = field(default=RateCriterion.PRICE, converter=RateCriterion)

    @property
    def only_service(self) -> str | None:
        """The service, if it is the rule's only limit; None if rates must be compared."""
        has_limits = self.carriers or self.most is not None or self.within_days is not None
        return self.services[0] if len(self.services) == 1 and not has_limits else None

    def of(self, rates: Iterable[Rate]) -> Rate | None:
        """The best rate; None if no rate passes the filters."""
        fitting_rates = [rate for rate in rates if self._allows_rate(rate)]
        currencies = {rate.total.currency for rate in fitting_rates}
        if len(currencies) > 1:
            raise InvalidData(
                f"The cheapest rate is unknown, because the rates are in several currencies:"
                f" {', '.join(sorted(currencies))}.",
                field="choose",
                remedy="Name carriers or services, or choose one of the rates yourself.",
            )
        return min(fitting_rates, key=self._order, default=None)

    def _allows_rate(self, rate: Rate) -> bool:
        days = rate.delivery_days
        return (
            (not self.carriers or not {rate.carrier, rate.vendor_carrier}.isdisjoint(self.carriers))
            and (
                not self.services
                or not {rate.service, rate.vendor_service}.isdisjoint(self.services)
            )
            and (self.within_days is None or (days is not None and days <= self.within_days))
            and (
                self.most is None
                or (rate.total.currency == self.most.currency and rate.total <= self.most)
            )
        )

    def _order(self, rate: Rate) -> tuple[bool, int, int]:
        days = rate.delivery_days
        if self.by is RateCriterion.PRICE:
            return False, rate.total.minor, 0
        return days is None, days or 0, rate.total.minor
