"""The figures of a VAT return in the Union scheme of the EU's one-stop shop (OSS).

A seller declares in it the sales to consumers in other member states: for each quarter, member
state, kind and rate the net amount and the tax. Corrections of earlier quarters are declared apart,
as an amount of tax for each quarter and member state.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.tax_rates import member_state
from moorage.contracts.validators import (
    OneOf,
    as_list,
    check_day,
    check_kind,
    is_a,
    is_day,
    is_filled,
)
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_QUARTER: Final = re.compile(r"(20[0-9]{2})-Q([1-4])")
_FIRST_QUARTER: Final = "2021-Q3"


class SupplyKind(OneOf, field="kind"):
    """The kind of a sale."""

    GOODS = "goods"
    SERVICES = "services"


def _is_quarter(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or _QUARTER.fullmatch(value) is None:
        raise InvalidData(
            f"The {attribute.name} must be a quarter.",
            field=attribute.name,
            remedy="Give a string such as '2026-Q3'.",
        )
    if value < _FIRST_QUARTER:
        raise InvalidData(
            "The Union scheme of the one-stop shop began in the third quarter of 2021.",
            field=attribute.name,
            remedy=f"Give {_FIRST_QUARTER} or a later quarter.",
        )


@frozen
class Quarter:
    """A quarter of a year from 2021-Q3 on, such as `Quarter("2026-Q3")`.

    Attributes:
        text: the year and the quarter.
    """

    text: str = field(validator=_is_quarter)

    @classmethod
    def of(cls, day: date) -> Quarter:
        """The quarter that a day is in."""
        check_day(day, "day")
        return cls(f"{day.year}-Q{(day.month + 2) // 3}")

    @property
    def first(self) -> date:
        """The first day of the quarter."""
        return date(int(self.text[:4]), int(self.text[-1]) * 3 - 2, 1)

    @property
    def last(self) -> date:
        """The last day of the quarter. The return uses the ECB's exchange rates of this day."""
        month = int(self.text[-1]) * 3
        next_month = date(self.first.year + month // 12, month % 12 + 1, 1)
        return next_month - timedelta(days=1)

    def __str__(self) -> str:
        return self.text


def _is_rate(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Decimal) or not value.is_finite() or not 0 <= value <= 100:
        raise InvalidData(
            "The tax rate must be a Decimal from 0 to 100.",
            field=attribute.name,
            remedy="Give the rate in percent, such as Decimal('25.5').",
        )


@frozen(kw_only=True)
class OssSale:
    """The part of a consumer's invoice or credit note that has one VAT rate.

    Attributes:
        reference: your own name of the sale, such as the number of the invoice.
        country: ISO 3166 code of the member state whose VAT it has; EL is read as GR.
        day: day of the tax point; of a credit note, the day on which it is declared.
        rate: VAT rate in percent.
        net: net amount in the currency of the return; negative in a credit note.
        tax: VAT in that currency; negative in a credit note.
        kind: goods or services.
        corrects: the earlier quarter in which a credited or corrected sale was declared; None for a
            sale, and for a credit note of the same quarter.
    """

    reference: str = field(validator=is_filled)
    country: str = field(converter=member_state)
    day: date = field(validator=is_day)
    rate: Decimal = field(validator=_is_rate)
    net: Money = field(validator=is_a(Money))
    tax: Money = field(validator=is_a(Money))
    kind: SupplyKind = field(default=SupplyKind.GOODS, converter=SupplyKind)
    corrects: Quarter | None = field(
        default=None, validator=attrs.validators.optional(is_a(Quarter))
    )

    def __attrs_post_init__(self) -> None:
        """Refuse mixed currencies, mixed signs, and a correction of the sale's own quarter."""
        if self.net.currency != self.tax.currency:
            raise InvalidData(
                "The net amount and the tax are in different currencies.",
                field="tax",
                remedy="Give net amount and tax in the currency of the return, such as EUR.",
            )
        if self.net.minor * self.tax.minor < 0:
            raise InvalidData(
                "The net amount and the tax must both be negative, or neither of them.",
                field="tax",
                remedy="Make both amounts negative for a credit note.",
            )
        if self.corrects is not None and self.corrects.first >= Quarter.of(self.day).first:
            raise InvalidData(
                "The corrected quarter must be before the quarter in which the correction is"
                " declared.",
                field="corrects",
                remedy="Leave out the corrected quarter for a credit note of the same quarter.",
            )


@frozen(kw_only=True)
class OssLine:
    """The total of one kind of sales to one member state at one rate.

    Attributes:
        country: ISO 3166 code of the member state.
        kind: goods or services.
        rate: VAT rate in percent.
        net: sum of the net amounts.
        tax: sum of the VAT.
        count: number of sales and credit notes.
    """

    country: str
    kind: SupplyKind
    rate: Decimal
    net: Money
    tax: Money
    count: int


@frozen(kw_only=True)
class OssCorrection:
    """The change of the VAT that was declared for a member state in an earlier quarter.

    Attributes:
        quarter: the earlier quarter.
        country: ISO 3166 code of the member state.
        tax: the change; negative if too much was declared.
    """

    quarter: Quarter
    country: str
    tax: Money


@frozen(kw_only=True)
class OssReport:
    """The figures of the VAT return of one quarter.

    Attributes:
        quarter: the quarter.
        lines: sales by member state, kind and rate, in this order.
        corrections: corrections by quarter and member state, in this order.
        due: the VAT of each member state, with its corrections; negative if it owes you money.
    """

    quarter: Quarter
    lines: tuple[OssLine, ...]
    corrections: tuple[OssCorrection, ...]
    due: Mapping[str, Money]


def oss_report(
    sales: Iterable[OssSale], quarter: Quarter, *, home: str, currency: str = "EUR"
) -> OssReport:
    """Sum up the sales of a quarter; sales in other quarters are left out.

    Args:
        sales: sales, and credit notes, of this and other quarters.
        quarter: the quarter of the return.
        home: member state from which you sell; sales with its VAT are not part of the return.
        currency: currency of the return.

    Raises:
        InvalidData: a sale of this quarter is to the home state, or in another currency.
    """
    check_kind(quarter, Quarter, "quarter")
    home_state = member_state(home, "home")
    zero = Money(0, currency)
    lines: dict[tuple[str, SupplyKind, Decimal], OssLine] = {}
    corrections: dict[tuple[str, str], Money] = {}
    due_amounts: dict[str, Money] = {}
    for sale in as_list(sales, "sales"):
        check_kind(sale, OssSale, "sales")
        if not quarter.first <= sale.day <= quarter.last:
            continue
        _check_sale(sale, home_state, currency)
        due_amounts[sale.country] = due_amounts.get(sale.country, zero) + sale.tax
        if sale.corrects is not None:
            place = (sale.corrects.text, sale.country)
            corrections[place] = corrections.get(place, zero) + sale.tax
            continue
        key = (sale.country, sale.kind, sale.rate)
        line = lines.get(key)
        lines[key] = OssLine(
            country=sale.country,
            kind=sale.kind,
            rate=sale.rate,
            net=sale.net if line is None else line.net + sale.net,
            tax=sale.tax if line is None else line.tax + sale.tax,
            count=1 if line is None else line.count + 1,
        )
    return OssReport(
        quarter=quarter,
        lines=tuple(lines[key] for key in sorted(lines)),
        corrections=tuple(
            OssCorrection(quarter=Quarter(text), country=country, tax=tax)
            for (text, country), tax in sorted(corrections.items(), key=lambda item: item[0])
        ),
        due=dict(sorted(due_amounts.items())),
    )


def _check_sale(sale: OssSale, home: str, currency: str) -> None:
    if sale.country == home:
        raise InvalidData(
            f"The sale {sale.reference} has VAT of {home}, the country from which you sell.",
            field="sales",
            remedy="Declare the sale in your national VAT return, and leave it out of this return.",
        )
    if sale.net.currency != currency:
        raise InvalidData(
            f"The sale {sale.reference} is in {sale.net.currency}, but the return is in"
            f" {currency}.",
            field="sales",
            remedy="Convert the sale at the rate of the European Central Bank of the quarter's"
            " last day.",
        )
