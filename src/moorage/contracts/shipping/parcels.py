"""What is sent: parcels, and what customs want to know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from moorage.contracts.kinds import OneOf, are_all, as_tuple, is_a, is_maybe
from moorage.contracts.shipping.units import LengthUnit, WeightUnit, measure
from moorage.domain.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from decimal import Decimal


def _weight(value: object) -> Decimal:
    return measure(value, "weight")


def _side(value: object) -> Decimal | None:
    return None if value is None else measure(value, "length")


@attrs.frozen(kw_only=True)
class Parcel:
    """One box, bag or envelope.

    Attributes:
        weight: what it weighs, in `weight_unit`.
        length, width, height: how large it is, in `length_unit`: all of them, or none.
        reference: a word of ours for it.
    """

    weight: Decimal = attrs.field(converter=_weight)
    weight_unit: WeightUnit = attrs.field(default=WeightUnit.KILOGRAM, converter=WeightUnit)
    length: Decimal | None = attrs.field(default=None, converter=_side)
    width: Decimal | None = attrs.field(default=None, converter=_side)
    height: Decimal | None = attrs.field(default=None, converter=_side)
    length_unit: LengthUnit = attrs.field(default=LengthUnit.CENTIMETRE, converter=LengthUnit)
    reference: str | None = attrs.field(default=None, validator=is_maybe(str))

    def __attrs_post_init__(self) -> None:
        """Refuse a box of which one side is missing."""
        sides = (self.length, self.width, self.height)
        if None in sides and sides != (None, None, None):
            raise InvalidData(
                "A parcel lacks one of its sides.",
                field="length",
                remedy="Give length, width and height, or none of them.",
            )

    @property
    def sides(self) -> tuple[Decimal, Decimal, Decimal] | None:
        """Length, width and height, if they are known."""
        if self.length is None or self.width is None or self.height is None:
            return None
        return self.length, self.width, self.height


class Contents(OneOf, field="contents"):
    """What customs take a shipment for."""

    MERCHANDISE = "merchandise"
    GIFT = "gift"
    SAMPLE = "sample"
    DOCUMENTS = "documents"
    RETURNED = "returned"
    DONATION = "donation"
    OTHER = "other"


class NonDelivery(OneOf, field="non_delivery"):
    """What becomes of a shipment that cannot be delivered."""

    RETURN = "return"
    ABANDON = "abandon"


def _is_quantity(_: object, attribute: attrs.Attribute[int], value: object) -> None:
    if type(value) is not int or value < 1:
        raise InvalidData(
            "A customs item has no quantity.",
            field=attribute.name,
            remedy="Give a whole number of at least one.",
        )


@attrs.frozen(kw_only=True)
class CustomsItem:
    """One kind of goods in a shipment.

    Attributes:
        description: what it is, in words.
        quantity: how many there are.
        value: what all of them are worth together.
        weight: what all of them weigh together, in `weight_unit`.
        hs_code: the number of the tariff.
        origin: where it was made, in two letters.
        sku: our own number of it.
    """

    description: str = attrs.field(validator=is_a(str))
    quantity: int = attrs.field(validator=_is_quantity)
    value: Money = attrs.field(validator=is_a(Money))
    weight: Decimal = attrs.field(converter=_weight)
    weight_unit: WeightUnit = attrs.field(default=WeightUnit.KILOGRAM, converter=WeightUnit)
    hs_code: str | None = attrs.field(default=None, validator=is_maybe(str))
    origin: str = attrs.field(validator=is_a(str))
    sku: str | None = attrs.field(default=None, validator=is_maybe(str))


@attrs.frozen(kw_only=True)
class Customs:
    """What is declared of a shipment that crosses a border.

    Attributes:
        items: the goods.
        signer: who certifies that this is true.
        contents: what customs take it for.
        explanation: what it is, where `contents` is other.
        non_delivery: what becomes of it if it cannot be delivered.
        incoterm: who pays duties, such as "DDP".
        invoice_number: the number of the invoice.
        eel_pfc: the citation of an exemption from filing, such as "NOEEI 30.37(a)".
    """

    items: tuple[CustomsItem, ...] = attrs.field(converter=as_tuple, validator=are_all(CustomsItem))
    signer: str = attrs.field(repr=False, validator=is_a(str))
    contents: Contents = attrs.field(default=Contents.MERCHANDISE, converter=Contents)
    explanation: str | None = attrs.field(default=None, validator=is_maybe(str))
    non_delivery: NonDelivery = attrs.field(default=NonDelivery.RETURN, converter=NonDelivery)
    incoterm: str | None = attrs.field(default=None, validator=is_maybe(str))
    invoice_number: str | None = attrs.field(default=None, validator=is_maybe(str))
    eel_pfc: str | None = attrs.field(default=None, validator=is_maybe(str))

    def __attrs_post_init__(self) -> None:
        """Refuse a declaration of nothing."""
        if not self.items:
            raise InvalidData(
                "A customs declaration has no items.",
                field="items",
                remedy="Name every kind of goods in the shipment.",
            )
