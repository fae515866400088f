"""Items of shops, with their stock and their prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.validators import check_kind, check_text
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref

_MOST_STOCK: Final = 1_000_000_000


@frozen(kw_only=True)
class ShopItem:
    """Something that a shop sells: a product without variants, or one variant.

    Attributes:
        ref: reference of the item, for its stock and its price.
        sku: your number of the item.
        title: name of the item.
        price: usual price.
        stock: quantity that can be sold, over all locations; None if the shop does not count it.
        raw: the vendor's complete response about it.
    """

    ref: Ref
    sku: str
    title: str | None = None
    price: Money | None = None
    stock: int | None = None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class ItemPage:
    """A page of items.

    Attributes:
        items: items of this page.
        next: reference to pass for the next page; None after the last.
    """

    items: tuple[ShopItem, ...]
    next: Ref | None = None


@frozen(kw_only=True)
class StockReceipt:
    """The shop's confirmation that a stock was set.

    Attributes:
        ref: reference of the item.
        quantity: quantity that can be sold now.
        raw: the vendor's complete response.
    """

    ref: Ref
    quantity: int
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class PriceReceipt:
    """The shop's confirmation that a price was set.

    Attributes:
        ref: reference of the item.
        price: usual price now.
        raw: the vendor's complete response.
    """

    ref: Ref
    price: Money
    raw: Any = field(default=None, repr=False, eq=False)


def check_sku(value: object) -> None:
    """Refuse a SKU that is empty, or that has spaces around it or control characters in it."""
    check_text(value, "sku")
    text = str(value)
    if not text or text != text.strip() or any(letter < " " for letter in text):
        raise InvalidData(
            "The SKU must not be empty, and must not have spaces around it or control characters"
            " in it.",
            field="sku",
            remedy="Give the SKU of the item exactly as the shop has it.",
        )


def check_quantity(value: object, field: str) -> None:
    """Refuse a quantity that is negative, too large or not a whole number."""
    if type(value) is not int or not 0 <= value <= _MOST_STOCK:
        raise InvalidData(
            f"The {field} must be a whole number from zero to {_MOST_STOCK}.",
            field=field,
            remedy="Give a number of items, such as 0 or 50.",
        )


def check_price(value: object, field: str, *, free: bool = False) -> None:
    """Refuse an amount of money that is not above zero; with `free`, zero is accepted."""
    check_kind(value, Money, field)
    if isinstance(value, Money) and (value.minor > 0 or (free and value.minor == 0)):
        return
    raise InvalidData(
        f"The {field} must be {'zero or more' if free else 'above zero'}.",
        field=field,
        remedy="Give a Money, such as Money('149.90', 'EUR').",
    )
