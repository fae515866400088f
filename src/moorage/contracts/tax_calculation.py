"""Sales tax and VAT: the calculation by a vendor, recorded sales and reversals.

A calculation changes nothing. Recording it puts the sale into the vendor's reports, from which tax
returns are made; a reversal takes it, or a part of it, back out.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from moorage.contracts.address import Address
from moorage.contracts.replays import replay_field
from moorage.contracts.tax import TaxCapability, VatNumber
from moorage.contracts.validators import (
    OneOf,
    are_all,
    as_table,
    as_tuple,
    is_a,
    is_count,
    is_day,
    is_filled,
    is_maybe,
    is_maybe_filled,
    is_table,
)
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime
    from decimal import Decimal

    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire


class TaxExemption(OneOf, field="exemption"):
    """The reason why a buyer pays no tax."""

    RESALE = "resale"
    GOVERNMENT = "government"
    OTHER = "other"


class JurisdictionLevel(StrEnum):
    """The kind of area that a tax belongs to."""

    COUNTRY = "country"
    STATE = "state"
    COUNTY = "county"
    CITY = "city"
    DISTRICT = "district"
    UNKNOWN = "unknown"


def _is_amount(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Money) or value.minor < 0:
        raise InvalidData(
            f"The {attribute.name} must be an amount of money of zero or more.",
            field=attribute.name,
            remedy="Give a Money that is not negative; subtract a discount from the amount of its"
            " line.",
        )


def _is_maybe_amount(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        _is_amount(_, attribute, value)


def _as_vat_number(value: Any) -> Any:
    return VatNumber.parse(value, field="vat_number") if isinstance(value, str) else value


@frozen(kw_only=True)
class TaxLine:
    """A line of a sale whose tax is calculated.

    Attributes:
        id: your own name of the line, which no other line of the sale has.
        amount: amount of the whole line, after discounts; with tax if the sale is inclusive.
        quantity: number of units.
        tax_code: the vendor's code of the kind of product; without one, the vendor's default.
    """

    id: str = field(validator=is_filled)
    amount: Money = field(validator=_is_amount)
    quantity: int = field(default=1, validator=is_count)
    tax_code: str | None = field(default=None, validator=is_maybe_filled)


@frozen(kw_only=True)
class TaxableSale:
    """A sale whose tax is calculated. All amounts have one currency.

    Attributes:
        reference: your own name of the sale, such as the number of the invoice. A recorded sale has
            it at the vendor, where it is unique.
        day: day of the sale, by whose rules the tax is calculated. Vendors refuse days that are not
            close to today.
        lines: the sale's lines; at least one.
        ship_to: address of the buyer, to which the goods are sent.
        ship_from: address from which the goods are sent; by default the one that the vendor has.
        shipping: price of the shipment; with tax if the sale is inclusive.
        inclusive: True if the amounts contain the tax.
        vat_number: VAT number of the buyer.
        exemption: reason why the buyer pays no tax.
        reverse_charge: True if the buyer pays the tax to the tax office.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    reference: str = field(validator=is_filled)
    day: date = field(validator=is_day)
    lines: tuple[TaxLine, ...] = field(converter=as_tuple, validator=are_all(TaxLine))
    ship_to: Address = field(validator=is_a(Address))
    ship_from: Address | None = field(default=None, validator=is_maybe(Address))
    shipping: Money | None = field(default=None, validator=_is_maybe_amount)
    inclusive: bool = field(default=False, validator=is_a(bool))
    vat_number: VatNumber | None = field(
        default=None, converter=_as_vat_number, validator=is_maybe(VatNumber)
    )
    exemption: TaxExemption | None = field(
        default=None, converter=attrs.converters.optional(TaxExemption)
    )
    reverse_charge: bool = field(default=False, validator=is_a(bool))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a sale without lines, with a repeated line id, or with several currencies."""
        if not self.lines:
            raise InvalidData(
                "The sale must have lines.", field="lines", remedy="Give at least one line."
            )
        if len({line.id for line in self.lines}) < len(self.lines):
            raise InvalidData(
                "Two lines of the sale have the same id.",
                field="lines",
                remedy="Give each line a different id, such as its number.",
            )
        amounts = [line.amount for line in self.lines]
        amounts += [] if self.shipping is None else [self.shipping]
        if len({amount.currency for amount in amounts}) > 1:
            raise InvalidData(
                "The amounts of the sale must all be in one currency.",
                field="lines",
                remedy="Give the lines and the shipping in the same currency.",
            )
        if self.reverse_charge and self.exemption is not None:
            raise InvalidData(
                "The sale must not have both an exemption and a reverse charge.",
                field="exemption",
                remedy="Keep the one that applies, and remove the other.",
            )

    @property
    def currency(self) -> str:
        """ISO 4217 code of the currency."""
        return self.lines[0].amount.currency

    @property
    def amount(self) -> Money:
        """The sum of the lines and the shipping; it includes tax if the sale's prices do."""
        return sum_of(
            (*(line.amount for line in self.lines), self.shipping or Money(0, self.currency)),
            self.currency,
        )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to calculate the tax."""
        conditions = {
            TaxCapability.CALCULATION: True,
            TaxCapability.INCLUSIVE_PRICES: self.inclusive,
            TaxCapability.BUYER_VAT_NUMBERS: self.vat_number is not None,
            TaxCapability.EXEMPTIONS: self.exemption is not None,
            TaxCapability.REVERSE_CHARGE: self.reverse_charge,
        }
        return frozenset(capability for capability, applies in conditions.items() if applies)


def sum_of(amounts: Iterable[Money], currency: str) -> Money:
    """The sum of the given amounts; zero if there are none."""
    total = Money(0, currency)
    for amount in amounts:
        total += amount
    return total


@frozen(kw_only=True)
class JurisdictionTax:
    """The tax of one jurisdiction on one line.

    Attributes:
        name: name of the jurisdiction, such as "California"; a code if the vendor has no name.
        level: kind of its area.
        country: ISO 3166 code of its country; None if the vendor does not state it.
        tax: amount of tax; zero if the line is not taxed there.
        taxable: amount on which the tax is calculated; None if the vendor does not state it.
        rate: rate in percent; None if no tax is imposed.
        kind: the vendor's word for the kind of tax, such as "sales_tax" or "vat".
        reason: the vendor's word for the reason of the amount, such as "product_exempt".
    """

    name: str
    level: JurisdictionLevel
    country: str | None = None
    tax: Money
    taxable: Money | None = None
    rate: Decimal | None = None
    kind: str | None = None
    reason: str | None = None


@frozen(kw_only=True)
class LineTax:
    """The tax of a line, or of the shipping.

    Attributes:
        id: the id of the line; "" for the shipping.
        net: amount without tax.
        tax: amount of tax.
        jurisdictions: the tax of each jurisdiction. If a vendor rounds these one by one, their sum
            may differ from `tax` by single minor units.
    """

    id: str
    net: Money
    tax: Money
    jurisdictions: tuple[JurisdictionTax, ...] = ()

    @property
    def gross(self) -> Money:
        """The amount with tax."""
        return self.net + self.tax


@frozen(kw_only=True)
class TaxCalculation:
    """The tax of a sale. The total is the sum of the net amounts and the tax.

    Attributes:
        ref: reference of the calculation, whose account records it. If the vendor keeps no
            calculations, it names only the account.
        sale: the sale.
        lines: the tax of each line, in the order of the sale.
        shipping: the tax of the shipping; None for a sale without shipping.
        tax: the whole tax.
        expires_at: time until which the calculation can be recorded; None if there is no limit.
        raw: the vendor's complete response.
    """

    ref: Ref
    sale: TaxableSale
    lines: tuple[LineTax, ...]
    shipping: LineTax | None = None
    tax: Money
    expires_at: datetime | None = None
    raw: Any = field(default=None, repr=False, eq=False)

    @property
    def total(self) -> Money:
        """The amount that the buyer pays."""
        return self.sale.amount if self.sale.inclusive else self.sale.amount + self.tax

    @property
    def net(self) -> Money:
        """The amount without tax."""
        return self.total - self.tax

    @property
    def rounding(self) -> Money:
        """The part of the tax that belongs to no line because the vendor rounds each line's tax."""
        parts = (*self.lines, *(() if self.shipping is None else (self.shipping,)))
        return self.tax - sum_of((part.tax for part in parts), self.tax.currency)


@frozen(kw_only=True)
class ReversedAmount:
    """The reversed part of a line or of the shipping.

    Attributes:
        amount: amount in the form of the sale: with tax if the sale was inclusive.
        tax: tax of this part.
    """

    amount: Money = field(validator=_is_amount)
    tax: Money = field(validator=_is_amount)

    def __attrs_post_init__(self) -> None:
        """Refuse amounts in two currencies."""
        if self.amount.currency != self.tax.currency:
            raise InvalidData(
                "The reversed amount and its tax are in different currencies.",
                field="tax",
                remedy="Give the amount and the tax in the currency of the sale.",
            )


def _are_reversed(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not is_table(value) or not all(
        isinstance(id_, str) and id_ and isinstance(part, ReversedAmount)
        for id_, part in value.items()
    ):
        raise InvalidData(
            f"The {attribute.name} must be a dict from line ids to ReversedAmount.",
            field=attribute.name,
            remedy="Give a dict such as {'1': ReversedAmount(...)}.",
        )


def _empty_parts() -> dict[str, ReversedAmount]:
    return {}


@frozen(kw_only=True)
class TaxReversal:
    """A reversal of a recorded sale: of the whole sale, unless lines or shipping are given.

    Attributes:
        reference: your own name of the reversal, such as the number of the credit note. No recorded
            sale and no other reversal has it.
        day: day of the reversal.
        lines: the reversed part of each line, by the id of the line.
        shipping: the reversed part of the shipping.
    """

    reference: str = field(validator=is_filled)
    day: date = field(validator=is_day)
    lines: Mapping[str, ReversedAmount] = field(
        factory=_empty_parts, converter=as_table, validator=_are_reversed
    )
    shipping: ReversedAmount | None = field(default=None, validator=is_maybe(ReversedAmount))

    def __attrs_post_init__(self) -> None:
        """Refuse a reversal whose amounts are in several currencies."""
        if len({part.amount.currency for part in self.parts}) > 1:
            raise InvalidData(
                "The parts of the reversal must all be in one currency.",
                field="lines",
                remedy="Give all parts in the currency of the sale.",
            )

    @property
    def parts(self) -> tuple[ReversedAmount, ...]:
        """The reversed lines and shipping; empty if the whole sale is reversed."""
        return (*self.lines.values(), *(() if self.shipping is None else (self.shipping,)))


@frozen(kw_only=True)
class TaxRecord:
    """A recorded sale or reversal, as the vendor reports it.

    Attributes:
        ref: reference of the record.
        reference: your own name of the sale or reversal.
        reverses: reference of the reversed sale; None for a sale.
        tax: recorded tax; negative for a reversal.
        recorded_at: time of the record, if the vendor states it.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    reference: str
    reverses: Ref | None = None
    tax: Money
    recorded_at: datetime | None = None
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)


class TaxCalculationVendor(Protocol):
    """The operations of a vendor that calculates taxes; its `capabilities` list the optional ones.

    `record` stores the tax of the calculation, and never another one that is calculated anew.
    """

    async def calculate(self, wire: Wire, sale: TaxableSale, /) -> TaxCalculation: ...

    async def record(
        self, wire: Wire, calculation: TaxCalculation, /, *, key: str
    ) -> TaxRecord: ...

    async def reverse(
        self, wire: Wire, ref: Ref, reversal: TaxReversal, /, *, key: str
    ) -> TaxRecord: ...
