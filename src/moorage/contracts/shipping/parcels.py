"""Parcels and their customs declarations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.contracts.shipping.units import LengthUnit, WeightUnit, measure
from moorage.contracts.validators import OneOf, are_all, as_tuple, check_kind, is_a, is_maybe
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from decimal import Decimal

    import attrs


_PDF: Final = b"%PDF-"


def _weight(value: object) -> Decimal:
    return measure(value, "weight")


def _side_length(value: object) -> Decimal | None:
    return None if value is None else measure(value, "length")


@frozen(kw_only=True)
class Parcel:
    """A box, bag or envelope.

    Attributes:
        weight: weight in `weight_unit`.
        length, width, height: dimensions in `length_unit`; give all of them, or none.
        reference: your own name of the parcel.
    """

    weight: Decimal = field(converter=_weight)
    weight_unit: WeightUnit = field(default=WeightUnit.KILOGRAM, converter=WeightUnit)
    length: Decimal | None = field(default=None, converter=_side_length)
    width: Decimal | None = field(default=None, converter=_side_length)
    height: Decimal | None = field(default=None, converter=_side_length)
    length_unit: LengthUnit = field(default=LengthUnit.CENTIMETRE, converter=LengthUnit)
    reference: str | None = field(default=None, validator=is_maybe(str))

    def __attrs_post_init__(self) -> None:
        """Refuse a parcel with only some of its dimensions."""
        sides = (self.length, self.width, self.height)
        if None in sides and sides != (None, None, None):
            raise InvalidData(
                "The parcel must have all three dimensions or none of them.",
                field="length",
                remedy="Give length, width and height, or leave all of them out.",
            )

    @property
    def sides(self) -> tuple[Decimal, Decimal, Decimal] | None:
        """Length, width and height; None if they are unknown."""
        if self.length is None or self.width is None or self.height is None:
            return None
        return self.length, self.width, self.height


class Contents(OneOf, field="contents"):
    """The category of a shipment's contents for customs."""

    MERCHANDISE = "merchandise"
    GIFT = "gift"
    SAMPLE = "sample"
    DOCUMENTS = "documents"
    RETURNED = "returned"
    DONATION = "donation"
    OTHER = "other"


class NonDelivery(OneOf, field="non_delivery"):
    """The treatment of a shipment that cannot be delivered."""

    RETURN = "return"
    ABANDON = "abandon"


def check_amount(value: object, field: str) -> None:
    """Check that a value is an amount of money of zero or more.

    Raises:
        InvalidData: it is something else.
    """
    check_kind(value, Money, field)
    if isinstance(value, Money) and value.minor < 0:
        raise InvalidData(
            f"The amount of money is negative: {value}.",
            field=field,
            remedy="Give an amount of zero or more.",
        )


def _is_amount(_: object, attribute: attrs.Attribute[Money], value: object) -> None:
    check_amount(value, attribute.name)


def _is_quantity(_: object, attribute: attrs.Attribute[int], value: object) -> None:
    if type(value) is not int or value < 1:
        raise InvalidData(
            "The customs item must have a quantity of at least one.",
            field=attribute.name,
            remedy="Give a whole number, such as 1.",
        )


@frozen(kw_only=True)
class CustomsItem:
    """One kind of goods in a shipment.

    Attributes:
        description: description of the goods.
        quantity: number of pieces.
        value: total value of all pieces.
        weight: total weight of all pieces, in `weight_unit`.
        hs_code: customs tariff number.
        origin: country of manufacture, as a code of two letters.
        sku: your own article number.
    """

    description: str = field(validator=is_a(str))
    quantity: int = field(validator=_is_quantity)
    value: Money = field(validator=_is_amount)
    weight: Decimal = field(converter=_weight)
    weight_unit: WeightUnit = field(default=WeightUnit.KILOGRAM, converter=WeightUnit)
    hs_code: str | None = field(default=None, validator=is_maybe(str))
    origin: str = field(validator=is_a(str))
    sku: str | None = field(default=None, validator=is_maybe(str))


@frozen(kw_only=True)
class Customs:
    """The customs declaration of a shipment that crosses a border.

    Attributes:
        items: the goods.
        signer: name of the person who certifies the declaration.
        contents: category of the contents.
        explanation: description of the contents if `contents` is other.
        non_delivery: treatment of the shipment if it cannot be delivered.
        incoterm: rule for who pays duties, such as "DDP".
        invoice_number: invoice number.
        eel_pfc: citation of an exemption from filing, such as "NOEEI 30.37(a)".
        paperless: True if the carrier makes an invoice from the declaration, and sends it to
            customs electronically instead of with the parcel.
        invoice_file: your own invoice as a PDF, which the carrier sends electronically.
    """

    items: tuple[CustomsItem, ...] = field(converter=as_tuple, validator=are_all(CustomsItem))
    signer: str = field(repr=False, validator=is_a(str))
    contents: Contents = field(default=Contents.MERCHANDISE, converter=Contents)
    explanation: str | None = field(default=None, validator=is_maybe(str))
    non_delivery: NonDelivery = field(default=NonDelivery.RETURN, converter=NonDelivery)
    incoterm: str | None = field(default=None, validator=is_maybe(str))
    invoice_number: str | None = field(default=None, validator=is_maybe(str))
    eel_pfc: str | None = field(default=None, validator=is_maybe(str))
    paperless: bool = field(default=False, validator=is_a(bool))
    invoice_file: bytes | None = field(default=None, repr=False, validator=is_maybe(bytes))

    def __attrs_post_init__(self) -> None:
        """Refuse a declaration without items, and an invoice that is no PDF or is given twice."""
        if self.invoice_file is not None and not self.invoice_file.startswith(_PDF):
            raise InvalidData(
                "The invoice file must be a PDF file.",
                field="invoice_file",
                remedy="Give the bytes of a PDF file.",
            )
        if self.invoice_file is not None and self.paperless:
            raise InvalidData(
                "The shipment has an invoice file, but `paperless` lets the carrier create its"
                " own invoice.",
                field="paperless",
                remedy="Give `invoice_file`, or set `paperless`, but not both.",
            )
        if not self.items:
            raise InvalidData(
                "The customs declaration must have items.",
                field="items",
                remedy="Give one item for each kind of goods in the shipment.",
            )

    @property
    def value(self) -> Money:
        """The total value of the goods.

        Raises:
            InvalidData: the values are in several currencies.
        """
        first_amount, *other_amounts = (item.value for item in self.items)
        if any(amount.currency != first_amount.currency for amount in other_amounts):
            raise InvalidData(
                "The values of the goods in the customs declaration are in several currencies.",
                field="customs.items",
                remedy="Declare all values in one currency.",
            )
        return sum(other_amounts, first_amount)
