"""Transactions that a vendor reads from a bank account, like the entries of a statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.contracts.validators import is_a, is_maybe_day
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import date

    from moorage.contracts.bank.statements import StatementEntry
    from moorage.contracts.ref import Ref


@frozen(kw_only=True)
class TransactionQuery:
    """A filter of the transactions of an account.

    Attributes:
        since: first day of booking; by default 90 days ago, or the earliest day that the vendor
            has.
        until: last day of booking; by default today.
        pending: True to read the pending transactions too.
        end_to_end: True if the transactions must have the payment's end-to-end identifier, mandate
            and creditor wherever the bank has them. Vendors that never have them are refused.
    """

    since: date | None = field(default=None, validator=is_maybe_day)
    until: date | None = field(default=None, validator=is_maybe_day)
    pending: bool = field(default=False, validator=is_a(bool))
    end_to_end: bool = field(default=False, validator=is_a(bool))

    def __attrs_post_init__(self) -> None:
        """Refuse a period that ends before it begins."""
        if self.since is not None and self.until is not None and self.until < self.since:
            raise InvalidData(
                "The period ends before it begins.",
                field="until",
                remedy="Give a day that is not before `since`.",
            )


@frozen(kw_only=True)
class AccountTransaction:
    """A transaction of a bank account.

    Attributes:
        id: identifier of the transaction, the same at each reading; None if the bank gives
            none. A pending transaction may get another identifier when it is booked.
        entry: the transaction as an entry of a statement.
        raw: the vendor's complete transaction.
    """

    id: str | None
    entry: StatementEntry
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class TransactionPage:
    """A page of the transactions of an account.

    Attributes:
        booked: booked transactions, in the vendor's order.
        pending: pending transactions, if the query requests them. They may change and disappear.
        next: reference to pass as `after` for the next page; None after the last.
        raw: the vendor's complete response.
    """

    booked: tuple[AccountTransaction, ...] = ()
    pending: tuple[AccountTransaction, ...] = ()
    next: Ref | None = None
    raw: Any = field(default=None, repr=False, eq=False)

    @property
    def entries(self) -> tuple[StatementEntry, ...]:
        """The booked transactions as statement entries, for the function `match`."""
        return tuple(transaction.entry for transaction in self.booked)
