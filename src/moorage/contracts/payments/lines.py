"""Order lines, which explain the amount of a payment."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.validators import is_count, is_filled, is_maybe_filled
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Sequence

    import attrs

_MAX_LENGTH: Final = 1_000
_MAX_QUANTITY: Final = 1_000_000
_HIGHEST_RATE: Final = 100


def _is_short(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and len(value) > _MAX_LENGTH:
        raise InvalidData(
            f"The {attribute.name} must have at most {_MAX_LENGTH} characters.",
            field=attribute.name,
            remedy="Give a shorter text.",
        )


def _is_quantity(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if value > _MAX_QUANTITY:
        raise InvalidData(
            f"The {attribute.name} must be at most {_MAX_QUANTITY}.",
            field=attribute.name,
            remedy="Give a smaller quantity of a larger unit.",
        )


def _is_price(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Money) or value.minor < 0:
        raise InvalidData(
            f"The {attribute.name} must be an amount of money of zero or more.",
            field=attribute.name,
            remedy="Give a Money, such as Money('12.50', 'EUR').",
        )


def _is_maybe_price(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        _is_price(_, attribute, value)


def _is_rate(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    is_rate = isinstance(value, Decimal) and value.is_finite()
    if not is_rate or not 0 <= value <= _HIGHEST_RATE or value != round(value, 2):  # type: ignore[operator, call-overload]  # a Decimal here
        raise InvalidData(
            f"The {attribute.name} must be a percentage from 0 to 100 with at most two decimals.",
            field=attribute.name,
            remedy="Give a Decimal, such as Decimal('19') for 19 %.",
        )


@frozen
class LineItem:
    """One line of the order that a payment pays for.

    Attributes:
        name: name of the item that the buyer sees.
        unit_price: price of one item, without tax.
        quantity: number of items.
        discount: discount on the whole line, without tax.
        tax: tax on the whole line, after the discount.
        tax_rate: rate of the tax in percent, as a Decimal; only with a tax.
        sku: your own number of the item.
    """

    name: str = field(validator=[is_filled, _is_short])
    unit_price: Money = field(validator=_is_price)
    quantity: int = field(default=1, kw_only=True, validator=[is_count, _is_quantity])
    discount: Money | None = field(default=None, kw_only=True, validator=_is_maybe_price)
    tax: Money | None = field(default=None, kw_only=True, validator=_is_maybe_price)
    tax_rate: Decimal | None = field(default=None, kw_only=True, validator=_is_rate)
    sku: str | None = field(default=None, kw_only=True, validator=[is_maybe_filled, _is_short])

    def __attrs_post_init__(self) -> None:
        """Refuse amounts in two currencies, too large a discount, and a tax rate without a tax."""
        for name in ("discount", "tax"):
            amount: Money | None = getattr(self, name)
            if amount is not None and amount.currency != self.unit_price.currency:
                raise InvalidData(
                    f"The line is in {self.unit_price.currency}, but its {name} is in"
                    f" {amount.currency}.",
                    field=name,
                    remedy=f"Give the {name} in {self.unit_price.currency}.",
                )
        if self.discount is not None and self.discount > self.unit_price * self.quantity:
            raise InvalidData(
                "The discount is larger than the price of the line.",
                field="discount",
                remedy="Give a smaller discount.",
            )
        if self.tax is None and self.tax_rate is not None:
            raise InvalidData(
                "The line has a tax rate, but no tax amount.",
                field="tax_rate",
                remedy="Give the amount of the tax as well, as your invoice states it.",
            )

    @property
    def net(self) -> Money:
        """The price of the line after its discount, without tax."""
        price = self.unit_price * self.quantity
        return price if self.discount is None else price - self.discount

    @property
    def total(self) -> Money:
        """The price of the line after its discount, with tax."""
        return self.net if self.tax is None else self.net + self.tax


def check_lines(lines: Sequence[LineItem], amount: Money) -> None:
    """Refuse lines that do not add up to the amount of their payment.

    Args:
        lines: all lines of the payment; an empty list is accepted.
        amount: amount of the payment.
    """
    if not lines:
        return
    total = amount * 0
    for number, line in enumerate(lines):
        if line.unit_price.currency != amount.currency:
            raise InvalidData(
                f"The payment is in {amount.currency}, but its line {number + 1} is in"
                f" {line.unit_price.currency}.",
                field=f"lines[{number}]",
                remedy=f"Give all lines in {amount.currency}.",
            )
        total += line.total
    if total != amount:
        raise InvalidData(
            f"The lines add up to {total}, but the payment's amount is {amount}.",
            field="lines",
            remedy="Give all lines of the payment, with discounts, taxes, shipping and fees.",
        )


def total_tax(lines: Sequence[LineItem]) -> Money | None:
    """The tax of all lines; None if no line has a tax."""
    taxes = [line.tax for line in lines if line.tax is not None]
    return sum(taxes[1:], taxes[0]) if taxes else None
