"""The chart of accounts, and the tax rates that lines of invoices can name."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from decimal import Decimal


class AccountClass(StrEnum):
    """The part of the chart of accounts that an account belongs to."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    REVENUE = "revenue"
    EXPENSE = "expense"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class LedgerAccount:
    """An account of the chart of accounts.

    Attributes:
        id: the text by which lines and payments name the account.
        name: name of the account.
        code: number of the account in the chart, if it has one.
        account_class: part of the chart that the account belongs to.
        vendor_type: the vendor's own word for the type of the account.
        currency: ISO 4217 code of the currency, if the account has its own.
        raw: the vendor's complete response about the account.
    """

    id: str
    name: str
    code: str | None = None
    account_class: AccountClass = AccountClass.UNKNOWN
    vendor_type: str | None = None
    currency: str | None = None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class TaxRate:
    """A tax rate that lines of invoices and bills can name.

    Attributes:
        id: the text by which lines name the tax.
        name: name of the tax.
        percent: rate in percent; None if the tax is not a percentage, or if several rates apply.
        on_sales: True if sales invoices can have it; None if unknown.
        on_purchases: True if bills can have it; None if unknown.
        active: False if new lines cannot have it.
        raw: the vendor's complete response about the tax.
    """

    id: str
    name: str
    percent: Decimal | None = None
    on_sales: bool | None = None
    on_purchases: bool | None = None
    active: bool = True
    raw: Any = field(default=None, repr=False, eq=False)
