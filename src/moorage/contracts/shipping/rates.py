"""What carriers ask for a shipment, and which of their offers is taken."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.address import Address
from moorage.contracts.kinds import (
    OneOf,
    are_all,
    as_tuple,
    is_a,
    is_maybe,
    is_maybe_day,
    is_maybe_whole,
)
from moorage.contracts.shipping.parcels import Customs, Parcel
from moorage.contracts.vendor import no_options
from moorage.domain.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from moorage.contracts.ref import Ref

KIND: Final = "shipping"


class ShippingCapability(StrEnum):
    """What not every vendor can do."""

    MULTI_PARCEL = "multi_parcel"
    CUSTOMS = "customs"
    INSURANCE = "insurance"
    SIGNATURE = "signature"
    SATURDAY_DELIVERY = "saturday_delivery"
    RETURNS = "returns"
    LABEL_EPL = "label_epl"
    LABEL_PAPER = "label_paper"
    LABEL_AGAIN = "label_again"
    CONVERT_LABEL = "convert_label"
    BUY_BY_REFERENCE = "buy_by_reference"
    TRACK = "track"
    CANCEL = "cancel"
    VALIDATE_ADDRESS = "validate_address"


class Signature(OneOf, field="signature"):
    """Who has to sign for a delivery."""

    ANYBODY = "anybody"
    ADULT = "adult"


class LabelFormat(OneOf, field="label"):
    """What a label is written in."""

    PDF = "pdf"
    PNG = "png"
    ZPL = "zpl"
    EPL = "epl"
    UNKNOWN = "unknown"


class LabelSize(OneOf, field="label_size"):
    """How large the paper of a label is; inches, or a format of ISO 216."""

    INCHES_4X6 = "4x6"
    A4 = "A4"
    A5 = "A5"
    A6 = "A6"


def _parcels(value: Parcel | Iterable[Parcel]) -> tuple[Parcel, ...]:
    try:
        return tuple(value)  # type: ignore[arg-type]  # one parcel is no sequence
    except TypeError:
        return (value,)  # type: ignore[return-value]


def _check_label(label: LabelFormat, size: LabelSize | None) -> None:
    if label is LabelFormat.UNKNOWN:
        raise InvalidData(
            "No label can be had in an unknown format.",
            field="label",
            remedy="Give pdf, png, zpl or epl.",
        )
    if size is not None and label is not LabelFormat.PDF:
        raise InvalidData(
            f"A size is chosen for labels in PDF, not in {label}.",
            field="label_size",
            remedy="Leave the size out, or take PDF.",
        )


@attrs.frozen(kw_only=True)
class RateRequest:
    """A shipment as it is offered to carriers.

    Attributes:
        sender: where it comes from.
        recipient: where it goes.
        return_to: where it comes back to, if not to the sender.
        parcels: one, or several.
        customs: the declaration, where a border is crossed.
        carrier_accounts: which carriers' accounts to ask, by the vendor's ids; all unless named.
        ship_date: when it is handed over, if not today.
        label, label_size: how the label is to be written.
        insurance: for how much it is insured.
        signature: who has to sign.
        saturday: whether it is to be delivered on a Saturday.
        is_return: whether it is a customer's return.
        reference: a word of ours that the vendor keeps with it.
        extra: options of single vendors, by the vendor's name, in the vendor's words.
    """

    sender: Address = attrs.field(validator=is_a(Address))
    recipient: Address = attrs.field(validator=is_a(Address))
    return_to: Address | None = attrs.field(default=None, validator=is_maybe(Address))
    parcels: tuple[Parcel, ...] = attrs.field(converter=_parcels, validator=are_all(Parcel))
    customs: Customs | None = attrs.field(default=None, validator=is_maybe(Customs))
    carrier_accounts: tuple[str, ...] = attrs.field(
        default=(), converter=as_tuple, validator=are_all(str)
    )
    ship_date: date | None = attrs.field(default=None, validator=is_maybe_day)
    label: LabelFormat = attrs.field(default=LabelFormat.PDF, converter=LabelFormat)
    label_size: LabelSize | None = attrs.field(
        default=None, converter=attrs.converters.optional(LabelSize)
    )
    insurance: Money | None = attrs.field(default=None, validator=is_maybe(Money))
    signature: Signature | None = attrs.field(
        default=None, converter=attrs.converters.optional(Signature)
    )
    saturday: bool = attrs.field(default=False, validator=is_a(bool))
    is_return: bool = attrs.field(default=False, validator=is_a(bool))
    reference: str | None = attrs.field(default=None, validator=is_maybe(str))
    extra: Mapping[str, Mapping[str, Any]] = attrs.field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a shipment of nothing, and a label that cannot be."""
        _check_label(self.label, self.label_size)
        if not self.parcels:
            raise InvalidData(
                "A shipment has no parcel.", field="parcels", remedy="Give at least one."
            )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that it takes."""
        asked = {
            ShippingCapability.MULTI_PARCEL: len(self.parcels) > 1,
            ShippingCapability.CUSTOMS: self.customs,
            ShippingCapability.INSURANCE: self.insurance,
            ShippingCapability.SIGNATURE: self.signature,
            ShippingCapability.SATURDAY_DELIVERY: self.saturday,
            ShippingCapability.RETURNS: self.is_return,
            ShippingCapability.LABEL_EPL: self.label is LabelFormat.EPL,
            ShippingCapability.LABEL_PAPER: self.label_size not in {None, LabelSize.INCHES_4X6},
        }
        return frozenset(capability for capability, value in asked.items() if value)


@attrs.frozen(kw_only=True)
class CarrierMessage:
    """What a carrier had to say, such as why it offers nothing.

    Attributes:
        carrier: who said it, in our word.
        code: the kind of message, in the vendor's words.
        text: the message.
    """

    carrier: str | None = None
    code: str | None = None
    text: str | None = None


@attrs.frozen(kw_only=True)
class Rate:
    """An offer of a carrier.

    Attributes:
        ref: the offer at the vendor; with it, the shipment can be bought later, unless the vendor
            keeps no offers: then it is bought with the whole of this.
        carrier: the carrier, in a word that is the same for every vendor, such as "usps".
        service: its service, in a word that is the same for every vendor, such as "usps_priority".
        total: what it costs.
        vendor_carrier, vendor_service: the same in the vendor's words.
        service_name: the service as people call it.
        list_price: what it costs those who have no contract, where the vendor says.
        delivery_days: how many days it takes.
        delivery_date: when it arrives.
        guaranteed: whether that is promised; None is not known.
        carrier_account: the account at the carrier.
        asked: the shipment that it is an offer for; a reference alone does not know it.
        raw: all that the vendor said.
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
    asked: RateRequest | None = attrs.field(default=None, repr=False, eq=False)
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class RateResult:
    """The offers, and what was said by carriers that offer nothing.

    Attributes:
        rates: the offers, in the vendor's order.
        messages: what carriers said.
        ref: the shipment that is offered, at the vendor; None if it keeps none before it is sold.
        raw: all that the vendor said.
    """

    rates: tuple[Rate, ...]
    messages: tuple[CarrierMessage, ...] = ()
    ref: Ref | None = None
    raw: Any = attrs.field(default=None, repr=False, eq=False)


class Prize(OneOf, field="by"):
    """What the best offer is best in."""

    PRICE = "price"
    SPEED = "speed"


@attrs.frozen(kw_only=True)
class Choice:
    """Which offer to take: the best of those that fit.

    Attributes:
        carriers, services: whose offers fit, in our words or the vendor's; none named is all.
        most: what it may cost at most.
        within_days: how many days it may take at most; an offer that does not say takes too long.
        by: what the best is best in; among equals it is the cheapest, then the first.
    """

    carriers: tuple[str, ...] = attrs.field(default=(), converter=as_tuple, validator=are_all(str))
    services: tuple[str, ...] = attrs.field(default=(), converter=as_tuple, validator=are_all(str))
    most: Money | None = attrs.field(default=None, validator=is_maybe(Money))
    within_days: int | None = attrs.field(default=None, validator=is_maybe_whole)
    by: Prize = attrs.field(default=Prize.PRICE, converter=Prize)

    def of(self, rates: Iterable[Rate]) -> Rate | None:
        """The offer to take; None if none fits."""
        fitting = [rate for rate in rates if self._fits(rate)]
        currencies = {rate.total.currency for rate in fitting}
        if len(currencies) > 1:
            raise InvalidData(
                f"Offers in {', '.join(sorted(currencies))} cannot be compared.",
                field="choose",
                remedy="Name carriers or services, or choose one of the rates yourself.",
            )
        return min(fitting, key=self._order, default=None)

    def _fits(self, rate: Rate) -> bool:
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
        if self.by is Prize.PRICE:
            return False, rate.total.minor, 0
        return days is None, days or 0, rate.total.minor
